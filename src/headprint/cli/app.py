"""The ``headprint`` command: its subcommands in panels, and exceptions as one line and an exit code.

0: done. 2: the user's input is wrong, and the line says how to fix it. 1: anything else. 130: interrupted.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from headprint.base.errors import InputError
from headprint.cli.commands.ablate import ablate
from headprint.cli.commands.bench import bench
from headprint.cli.commands.compare import compare
from headprint.cli.commands.compare_answers import compare_answers
from headprint.cli.commands.decompose import decompose
from headprint.cli.commands.diff import diff
from headprint.cli.commands.evaluate import evaluate
from headprint.cli.commands.explain import explain
from headprint.cli.commands.extract import extract
from headprint.cli.commands.ls import ls
from headprint.cli.commands.mix import mix
from headprint.cli.commands.report import report
from headprint.cli.commands.select import select
from headprint.cli.commands.show import show
from headprint.cli.commands.study import study
from headprint.cli.commands.train import train
from headprint.cli.commands.verify import verify
from headprint.cli.output import say

_DEBUG = "HEADPRINT_DEBUG"

app = typer.Typer(
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        # None, typer's own default, makes it import pydantic: 0.08 s of every --help.
        "default_map": dict.fromkeys(("help", "install_completion", "show_completion"), False),
    },
)
_PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Measure": (extract, verify, bench),
    "Look and compare": (ls, show, diff, compare, decompose),
    "Put to use": (mix, select, explain),
    "Train and test": (train, evaluate, compare_answers, ablate),
    "The whole paper": (study, report),
}
for _panel, _commands in _PANELS.items():
    for _command in _commands:
        app.command(rich_help_panel=_panel)(_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from headprint import __version__

        print(f"headprint {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar=_DEBUG, help="Show tracebacks and the libraries' own messages.")
    ] = False,
) -> None:
    """See which attention heads a fine-tune wakes up."""
    if context.invoked_subcommand is None:
        print(context.get_help())
    if debug:
        os.environ[_DEBUG] = "1"
    else:
        warnings.simplefilter("ignore")
        for library in ("TRANSFORMERS", "DATASETS"):
            os.environ.setdefault(f"{library}_VERBOSITY", "error")


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    try:
        code = app(list(arguments), prog_name="headprint", standalone_mode=False)
    except InputError as error:
        return _fail(str(error), 2)
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's own: wrong usage
            return _fail(error.format_message(), 2)
        hint = "run `headprint --debug …` for the traceback"
        return _fail(f"{type(error).__name__}: {error} ({hint})", 1)
    return code or 0


def _fail(message: str, code: int) -> int:
    if os.environ.get(_DEBUG):
        traceback.print_exc()
    say(f"error: {' '.join(message.split())}")
    return code


def main() -> None:
    """The ``headprint`` command."""
    sys.exit(run(sys.argv[1:]))
