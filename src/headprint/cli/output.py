"""What commands read and write: patterns in, results on stdout, everything else on stderr.

Results go to stdout, everything else to stderr; with ``--json`` stdout is one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from headprint.base.errors import InputError
from headprint.base.files import without_nan
from headprint.base.options import Reading

if TYPE_CHECKING:
    from rich.console import RenderableType

    from headprint.patterns import Pattern, PatternSet

INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the number of the signal."""


def say(message: str) -> None:
    """Print one line for the user on stderr."""
    print(f"headprint: {message}", file=sys.stderr)


def show(*parts: RenderableType) -> None:
    """Print a result on stdout; text as it is, since a path or a task may hold brackets or colons."""
    from rich.console import Console

    from headprint.plotting import Line

    console = Console(highlight=False, markup=False, emoji=False)
    for part in parts:
        console.print(Line(part) if isinstance(part, str) else part, crop=False)


def emit(result: dict[str, Any]) -> None:
    """Print a result on stdout as one JSON object; NaN and infinity become null."""
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


def load_pattern(path: Path, reading: Reading | None = None) -> Pattern:
    """Load the pattern in a file, or of the pattern set in a directory.

    Raises:
        InputError: There is none, or it has another reading.
    """
    from headprint.patterns.pattern_set import PatternSet, load

    found = load(path, reading=reading)
    return found.pattern() if isinstance(found, PatternSet) else found


def title(path: Path, pattern: Pattern) -> str:
    """Return the path as given, and the model, adapters and data that its provenance names, of paths two parts."""
    model, data = (pattern.provenance.get(key) for key in ("model", "data"))
    if not (isinstance(model, dict) and isinstance(data, dict) and model.get("id") and data.get("source")):
        return str(path)
    short, source = ("/".join(Path(name).parts[-2:]) for name in (model["id"], data["source"]))
    adapters = ["adapter" if name == "default" else f"adapter {name}" for name in model.get("adapters") or []]
    step = pattern.provenance.get("step")
    after = [f"after {step:,} steps"] if step else []
    return f"{path}: {' '.join([' + '.join([short, *adapters]), *after])} on {source}"


def matrix(pattern: Pattern) -> list[list[float]]:
    """Return the values as rows for JSON, one a layer."""
    rows: list[list[float]] = pattern.values.tolist()
    return rows


def load_set(path: Path, reading: Reading | None = None) -> PatternSet:
    """Load the pattern set in a directory.

    Raises:
        InputError: There is none, or it is one pattern, which has no examples.
    """
    from headprint.patterns.pattern_set import PatternSet, load

    found = load(path, reading=reading)
    if not isinstance(found, PatternSet):
        raise InputError(f"{path} is a single pattern, which has no examples: give the pattern set's directory")
    return found


def check_destination(path: Path | None) -> None:
    """Refuse a file in a directory that does not exist, before a model has worked for an hour.

    Raises:
        InputError: There is no such directory.
    """
    if path is not None and not path.parent.is_dir():
        raise InputError(f"{path.parent} is not a directory: make it, or choose another place for {path.name}")
