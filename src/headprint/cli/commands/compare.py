"""``headprint compare``: the patterns of several tasks, how even they are and how alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headprint.base.errors import InputError
from headprint.base.files import write_json
from headprint.base.options import BootstrapOptions, CorrelationMethod, Reading
from headprint.cli import options, output

if TYPE_CHECKING:
    from rich.console import RenderableType

    from headprint.analysis.comparison import Comparison, Correlations
    from headprint.patterns.pattern_set import PatternSet

_NAMES = {"before": "before", "after": "after", "change": "after - before", "relative": "(after - before) / before"}


@options.takes_options(BootstrapOptions, leave_out=("method",))
def compare(
    tasks: Annotated[
        list[str],
        typer.Argument(metavar="TASK=BEFORE[,AFTER]...", help="Pattern sets by task, all with AFTER or none."),
    ],
    reading: options.ReadingOption = None,
    method: Annotated[CorrelationMethod, typer.Option(help="Of the correlations.")] = "pearson",
    out: options.ResultOption = None,
    json: options.JsonOption = False,
    **intervals: Any,
) -> None:
    """Compare tasks: Gini, CV and kurtosis of each pattern, and task × task correlations, with intervals."""
    from headprint.analysis import comparison
    from headprint.analysis.bootstrap import Bootstrap

    before, after = _sets(tasks, reading)
    found = comparison.compare(before, after or None, method=method, bootstrap=Bootstrap(**intervals))
    content = found.to_dict()
    if out:
        write_json(out, content)
        output.say(f"wrote {out}")
    if json:
        output.emit(content)
        return
    output.show(_shapes(found))
    for name in ("before", "after", "change", "relative"):
        matrix = getattr(found.correlations, name)
        if matrix and len(before) > 1:
            output.show("", _matrix(f"{method}, {_NAMES[name]}", found.correlations.tasks, matrix))


def _sets(texts: Sequence[str], reading: Reading | None) -> tuple[dict[str, PatternSet], dict[str, PatternSet]]:
    before: dict[str, PatternSet] = {}
    after: dict[str, PatternSet] = {}
    for text in texts:
        task, _, paths = text.partition("=")
        parts = paths.split(",")
        if not (task and all(parts) and len(parts) <= 2) or task in before:
            raise InputError(f"{text!r}: write TASK=BEFORE or TASK=BEFORE,AFTER (pattern sets), each task once")
        before[task] = output.load_set(Path(parts[0]), reading)
        if len(parts) == 2:
            after[task] = output.load_set(Path(parts[1]), reading)
    if after and len(after) < len(before):
        lacking = next(task for task in before if task not in after)
        raise InputError(
            f"{lacking!r} has no pattern set from after training, while other tasks do: give one for each task, or none"
        )
    return before, after


def _shapes(found: Comparison) -> RenderableType:
    from headprint.plotting import WideTable

    rows = []
    for task in found.before:
        for name in ("before", "after", "change"):
            if of := getattr(found, name):
                cells = (_cell(x.value, x.low, x.high) for x in (of[task].gini, of[task].cv, of[task].kurtosis))
                rows.append([task if name == "before" else "", _NAMES[name], *cells])
    return WideTable(["", "", "Gini", "CV", "kurtosis"], rows)


def _matrix(title: str, tasks: Sequence[str], matrix: Correlations) -> RenderableType:
    from headprint.plotting import WideTable

    rows = [
        [task, *(_cell(*(part[i, j] for part in matrix)) if j < i else "" for j in range(len(tasks) - 1))]
        for i, task in enumerate(tasks[1:], start=1)
    ]
    return WideTable([title, *tasks[:-1]], rows)


def _cell(value: float, low: float, high: float) -> str:
    return f"{value:.3f}" + (f"\n{low:.2f} … {high:.2f}" if low == low else "")
