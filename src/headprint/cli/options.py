"""Options of commands: those that several share, and those made from the classes of :mod:`headprint.base.options`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from headprint.base.options import Description, Options, Reading, defaults, described

F = TypeVar("F", bound=Callable[..., Any])

ANSWERS_PANEL = "Answers"
OUTPUT_PANEL = "Output"

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Directory, hub id, or 'lab': the shipped model.")]
_DATA = typer.Argument(
    metavar="DATA",
    help="JSONL, CSV or Parquet file, folder with <split> files, datasets id, or lab:TASK: a built-in task.",
)
DataArgument = Annotated[str, _DATA]
OptionalDataArgument = Annotated[str | None, _DATA]
ReadingOption = Annotated[
    Reading | None,
    typer.Option(
        help="What is averaged: the paper's level, signed, as a share of all heads', per nat of loss, or of log odds. "
        "\\[default: as extracted]"
    ),
]
TopOption = Annotated[int, typer.Option(min=1, metavar="K", help="Heads to name.", rich_help_panel=OUTPUT_PANEL)]
PlotOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Draw the heat maps, too: .png, .svg or .pdf.", rich_help_panel=OUTPUT_PANEL),
]
ResultOption = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Write the result as JSON.", rich_help_panel=OUTPUT_PANEL)
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object and nothing else.", rich_help_panel=OUTPUT_PANEL)
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress bars, no messages.", rich_help_panel=OUTPUT_PANEL)
]


def takes_options(kind: type[Options], *, leave_out: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Give a command one option for each field of a class; the command receives them as ``**fields``.

    Args:
        kind: The class of options.
        leave_out: Fields that the command does not offer, or declares itself.
    """

    def decorate(command: F) -> F:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        default = defaults(kind)
        made = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=default[name],
                annotation=Annotated[hint, _typer_option(name, about)],
            )
            for name, (hint, about) in described(kind).items()
            if name not in leave_out
        ]
        required = [p for p in own if p.default is p.empty]
        optional = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own if p.default is not p.empty]
        target: Any = command
        target.__signature__ = signature.replace(parameters=[*required, *made, *optional])
        return command

    return decorate


def said(context: typer.Context, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a command's options that the command line has; the others are at their defaults."""
    sources = {name: context.get_parameter_source(name) for name in fields}
    return {name: value for name, value in fields.items() if (at := sources[name]) and at.name == "COMMANDLINE"}


def _typer_option(name: str, about: Description) -> Any:
    declaration, text = about.flag or f"--{name.replace('_', '-')}", about.help
    if about.unset:
        text += f" [default: {about.unset}]"
    if about.switch:  # on by default: the command line has only the flag that turns it off
        declaration, text = f" /{about.switch[0]}", about.switch[1]
    return typer.Option(
        declaration,
        help=text.replace("[", "\\["),
        show_default=about.switch is None,
        min=about.minimum,
        metavar=about.metavar or None,
        rich_help_panel=about.panel or None,
    )
