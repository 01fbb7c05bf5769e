"""``headprint report``: the page of a study, or of two beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headprint.base.errors import InputError
from headprint.cli import options, output


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Directory of a study; two with --compare.")],
    compare: Annotated[bool, typer.Option("--compare", help="Two runs side by side, with differences.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The page. \\[default: report.html in RUN; with --compare comparison.html here]",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    json: options.JsonOption = False,
) -> None:
    """Build the page of a finished study again from its results.json: one HTML file that opens offline."""
    wanted = 2 if compare else 1
    if len(runs) != wanted:
        fix = "give two with --compare, or one without it" if len(runs) > 1 or compare else "give one"
        raise InputError(f"{len(runs)} run{'s' if len(runs) > 1 else ''} given, {wanted} wanted: {fix}")
    from headprint.study import report as page
    from headprint.study.results import read_results

    results = [read_results(run) for run in runs]
    if compare:
        path = out or Path("comparison.html")
        page.write_comparison(results[0], results[1], path)
    else:
        path = out or (runs[0] if runs[0].is_dir() else runs[0].parent) / "report.html"
        page.write(results[0], path)
    if json:
        output.emit({"out": str(path), "bytes": path.stat().st_size})
    else:
        output.say(f"wrote {path}: open it in a browser")
