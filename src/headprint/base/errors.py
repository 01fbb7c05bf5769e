"""The one exception that means "the input is wrong, and here is how to fix it", and hints that messages share."""

from collections.abc import Iterable
from difflib import get_close_matches

_EXTRAS = {
    "train": "TRL, PEFT and accelerate",
    "eval": "lm-evaluation-harness",
    "select": "bm25s, scikit-learn and sentence-transformers",
}


class InputError(ValueError):
    """A mistake that the user can fix.

    The message is one line: what is wrong, where (file and line number when there is one), and what
    to do about it. The command line prints it and exits with code 2; every other exception exits with 1.
    """


def did_you_mean(name: str, names: Iterable[str], *, otherwise: str = "") -> str:
    """Return a hint for an unknown name: the nearest that exists, or else all of them.

    Args:
        name: What was given.
        names: What there is.
        otherwise: Said where nothing is near, in place of the list.
    """
    names = list(names)
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise or f"choose from {', '.join(names) or 'none'}"


def missing_extra(extra: str, purpose: str, *, otherwise: str = "") -> InputError:
    """Return the error for a feature whose optional dependencies are not installed.

    Args:
        extra: Name of the extra in ``pyproject.toml``.
        purpose: What needs it, as the subject of the sentence, such as ``"fine-tuning"``.
        otherwise: What else would do, such as ``"set loss_on='all'"``.
    """
    # headprint is on no package index: an extra is installed from a clone, as headprint itself.
    how = f"run pip install '.[{extra}]' in your clone of headprint"
    return InputError(f"{purpose} needs {_EXTRAS[extra]}: {how}{f', or {otherwise}' if otherwise else ''}")
