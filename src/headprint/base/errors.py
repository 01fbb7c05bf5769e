"""The one exception that means "the input is wrong, and here is how to fix it", and the hint for a misspelled name."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """A mistake that the user can fix.

    The message is one line: what is wrong, where (file and line number when there is one), and what
    to do about it. The command line prints it and exits with code 2; every other exception exits with 1.
    """


def did_you_mean(name: str, names: Iterable[str], *, otherwise: str = "") -> str:
    """A hint for an unknown name: the nearest that there is, or else all of them.

    Args:
        name: What was given.
        names: What there is.
        otherwise: Said where nothing is near, in place of the list.
    """
    names = list(names)
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise or f"choose from {', '.join(names) or 'none'}"
