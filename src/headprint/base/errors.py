"""The one exception that means "the input is wrong, and here is how to mend it"."""


class InputError(ValueError):
    """A mistake that the user can mend.

    The message is one line: what is wrong, where (file and line number when there is one), and what
    to do about it. The command line prints it and exits with code 2; every other exception exits with 1.
    """
