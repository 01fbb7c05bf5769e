"""``headprint compare``: the patterns of several tasks, how even they are and how alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headprint.base.errors import InputError
from headprint.base.options import CorrelationMethod
from headprint.cli import common, files

if TYPE_CHECKING:
    from rich.console import RenderableType

    from headprint.analysis.comparison import Comparison, Correlations
    from headprint.patterns.pattern_set import PatternSet

_NAMES = {"before": "before", "after": "after", "change": "after - before", "relative": "(after - before) / before"}


def compare(
    tasks: Annotated[
        list[str],
        typer.Argument(metavar="TASK=BEFORE[,AFTER]...", help="Pattern sets by task, all with AFTER or none."),
    ],
    method: Annotated[CorrelationMethod, typer.Option(help="Of the correlations.")] = "pearson",
    bootstrap: Annotated[int, typer.Option(metavar="N", min=0, help="Resamples of the examples.")] = 1000,
    confidence: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep the result as JSON.", rich_help_panel=common.OUTPUT_PANEL),
    ] = None,
    json: common.JsonOption = False,
) -> None:
    """Compare tasks: Gini, CV and kurtosis of each pattern, and task × task correlations, with intervals."""
    from headprint.analysis import comparison
    from headprint.analysis.bootstrap import Bootstrap

    before, after = _sets(tasks)
    draws = Bootstrap(draws=bootstrap, seed=seed, confidence=confidence)
    found = comparison.compare(before, after or None, method=method, bootstrap=draws)
    content = found.to_dict()
    if out:
        files.write_json(out, content)
        common.say(f"wrote {out}")
    if json:
        common.emit(content)
        return
    common.show(_shapes(found))
    for name in ("before", "after", "change", "relative"):
        matrix = getattr(found.correlations, name)
        if matrix and len(before) > 1:
            common.show("", _matrix(f"{method}, {_NAMES[name]}", found.correlations.tasks, matrix))


def _sets(texts: Sequence[str]) -> tuple[dict[str, PatternSet], dict[str, PatternSet]]:
    before: dict[str, PatternSet] = {}
    after: dict[str, PatternSet] = {}
    for text in texts:
        task, _, paths = text.partition("=")
        parts = paths.split(",")
        if not (task and all(parts) and len(parts) <= 2) or task in before:
            raise InputError(f"{text!r}: write TASK=BEFORE or TASK=BEFORE,AFTER (pattern sets), each task once")
        before[task] = files.load_set(Path(parts[0]))
        if len(parts) == 2:
            after[task] = files.load_set(Path(parts[1]))
    if after and len(after) < len(before):
        lacking = next(task for task in before if task not in after)
        raise InputError(
            f"{lacking!r} has no pattern set from after training, while other tasks do: give one for each task, or none"
        )
    return before, after


def _shapes(found: Comparison) -> RenderableType:
    from rich.table import Table

    table = Table("", "", "Gini", "CV", "kurtosis", box=None, pad_edge=False, header_style="dim")
    for task in found.before:
        for name in ("before", "after", "change"):
            if of := getattr(found, name):
                cells = (_cell(x.value, x.low, x.high) for x in (of[task].gini, of[task].cv, of[task].kurtosis))
                table.add_row(task if name == "before" else "", _NAMES[name], *cells)
    return table


def _matrix(title: str, tasks: Sequence[str], matrix: Correlations) -> RenderableType:
    from rich.table import Table

    table = Table(title, *tasks[:-1], box=None, pad_edge=False, header_style="dim")
    for i, task in enumerate(tasks[1:], start=1):
        table.add_row(task, *(_cell(*(part[i, j] for part in matrix)) for j in range(i)))
    return table


def _cell(value: float, low: float, high: float) -> str:
    return f"{value:.3f}" + (f"\n{low:.2f} … {high:.2f}" if low == low else "")
