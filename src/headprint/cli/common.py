"""What the commands share: options, reading patterns, and where output goes.

Results go to stdout, everything else to stderr; with ``--json`` stdout is one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headprint.base.errors import InputError
from headprint.base.files import without_nan
from headprint.base.options import Dtype, Placement

if TYPE_CHECKING:
    from rich.console import RenderableType

    from headprint.patterns.pattern_set import Pattern


INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the number of the signal."""

MODEL_PANEL = "Model"
OUTPUT_PANEL = "Output"

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Directory, hub id, or 'lab': the shipped model.")]
DtypeOption = Annotated[Dtype, typer.Option(help="Of the weights; auto: as stored.", rich_help_panel=MODEL_PANEL)]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        metavar="DEVICE",
        help="Such as cpu, cuda:1, or auto: over all devices. \\[default: a GPU if there is one]",
        rich_help_panel=MODEL_PANEL,
    ),
]
AttentionOption = Annotated[
    str | None,
    typer.Option(
        "--attn-implementation",  # as transformers calls it
        metavar="KERNEL",
        help="Attention kernel, such as sdpa, eager, flash_attention_2. \\[default: the model's]",
        rich_help_panel=MODEL_PANEL,
    ),
]
TrustOption = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.", rich_help_panel=MODEL_PANEL)
]
PlacementOption = Annotated[
    Placement | None,
    typer.Option(help="Where the absolute value goes. \\[default: as extracted]"),
]
TopOption = Annotated[int, typer.Option(min=1, metavar="K", help="Heads to name.", rich_help_panel=OUTPUT_PANEL)]
PictureOption = Annotated[
    Path | None,
    typer.Option(
        "--png", metavar="FILE", help="Draw the heat maps, too: .png, .svg or .pdf.", rich_help_panel=OUTPUT_PANEL
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object and nothing else.", rich_help_panel=OUTPUT_PANEL)
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress bars, no messages.", rich_help_panel=OUTPUT_PANEL)
]


def say(message: str) -> None:
    """A line for the person at the terminal, on stderr."""
    print(f"headprint: {message}", file=sys.stderr)


def show(*parts: RenderableType) -> None:
    """Print a result on stdout; text as it is, since a path or a task may hold brackets or colons."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    for part in parts:
        console.print(part)


def emit(result: dict[str, Any]) -> None:
    """Print a result on stdout as one JSON object; what is no finite number becomes null."""
    print(json.dumps(without_nan(result), ensure_ascii=False, allow_nan=False))


@contextmanager
def working(*, quiet: bool = False, when_interrupted: Callable[[], str] | None = None) -> Iterator[bool]:
    """Run a command's work: other libraries do not print on stdout, and their bars are drawn on terminals only.

    Args:
        quiet: Show no progress.
        when_interrupted: Says after Ctrl-C what is saved and how to go on; None says only that it was interrupted.

    Yields:
        Whether to show progress (:mod:`headprint.base.progress`).
    """
    if quiet or not sys.stderr.isatty():
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # of downloads, and of loading weights
    try:
        with redirect_stdout(sys.stderr):
            yield not quiet
    except KeyboardInterrupt as interruption:
        say(f"interrupted; {when_interrupted()}" if when_interrupted else "interrupted")
        raise typer.Exit(INTERRUPTED) from interruption


def load_pattern(path: Path, placement: Placement | None = None) -> Pattern:
    """The pattern in a file, or of the pattern set in a directory.

    Raises:
        InputError: There is none, or it has another placement.
    """
    from headprint.patterns.pattern_set import PatternSet, load

    found = load(path)
    if isinstance(found, PatternSet):
        return found.pattern(placement)
    own = found.provenance.get("placement", placement)
    if placement not in (None, own):
        raise InputError(
            f"{path} is a pattern of placement {own!r}, which cannot be turned into {placement!r}: "
            "give the pattern set's directory"
        )
    return found


def title(path: Path, pattern: Pattern) -> str:
    """The path as given and what its provenance names: model and data, of paths their last two parts."""
    model, data = (pattern.provenance.get(key) for key in ("model", "data"))
    if not (isinstance(model, dict) and isinstance(data, dict) and model.get("id") and data.get("source")):
        return str(path)
    short = ("/".join(Path(name).parts[-2:]) for name in (model["id"], data["source"]))
    return f"{path}: {' on '.join(short)}"


def matrix(pattern: Pattern) -> list[list[float]]:
    """The values as JSON-able rows, one per layer."""
    rows: list[list[float]] = pattern.values.tolist()
    return rows
