"""``headprint extract``: a model and rows to a pattern set."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from headprint.base.options import ExtractOptions
from headprint.cli import options, output


@options.takes_options(ExtractOptions)
def extract(
    model: options.ModelArgument,
    data: options.DataArgument,
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="The pattern set's directory.", rich_help_panel=options.OUTPUT_PANEL),
    ],
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace a pattern set in DIR.", rich_help_panel=options.OUTPUT_PANEL),
    ] = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    **fields: Any,
) -> None:
    """Measure every attention head's activation level on every row, into a directory.

    A run that was stopped continues after its last finished shard when the same command is given again.
    """
    started = before = time.perf_counter()
    tokens = 0
    saved = "finished shards are saved: the same command goes on from there"

    def count(examples: int, more: int) -> None:
        nonlocal before, tokens
        if not examples:
            before = time.perf_counter()
        tokens += more

    with output.working(quiet=quiet, when_interrupted=lambda: saved) as bars:
        from headprint.data.examples import Report
        from headprint.measure.extraction import extract as run

        levels = run(model, None, data, out=out, overwrite=overwrite, show_progress=bars, on_batch=count, **fields)
    now = time.perf_counter()
    seconds, rate = now - started, tokens / (now - before)  # the rate without loading the model
    report = levels.provenance["report"]
    examples, layers, heads = levels.shape
    if json:
        shape = {"examples": examples, "layers": layers, "heads": heads}
        cost = {"seconds": seconds, "tokens": tokens, "tokens_per_second": rate}
        output.emit({"out": str(out), **shape, "report": report, **cost, "provenance": levels.provenance})
    elif not quiet:
        output.show(
            f"{Report(**report)}",
            f"{examples:,} examples × {layers} layers × {heads} heads in {out}, {seconds:,.1f} s"
            + (f" ({rate:,.0f} tokens/s)" if tokens else ""),
            f"next: headprint show {shlex.quote(str(out))}",
        )


def check(data: str, split: str) -> None:
    """Read the first row of a command's DATA: a wrong path should not cost loading a model.

    Raises:
        InputError: There is no such data, or the first row is broken.
    """
    from headprint.data.rows import read_rows

    next(read_rows(data, split=split))
