"""The command line: parse options, call the library, print.

One module of :mod:`headprint.cli.commands` is one command. :mod:`~headprint.cli.options` has the options that commands
share, :mod:`~headprint.cli.output` what they read and write, and :mod:`~headprint.cli.app` the exit codes. A new
command is one module and one entry in ``app``. Importing this package loads neither torch nor NumPy, so that ``--help``
is quick.
"""

from headprint.cli.app import main, run

__all__ = ["main", "run"]
