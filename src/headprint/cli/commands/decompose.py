"""``headprint decompose``: a task as a combination of other tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headprint.base.errors import InputError
from headprint.base.files import write_json
from headprint.base.options import DecompositionOptions
from headprint.cli import options, output

if TYPE_CHECKING:
    from rich.console import RenderableType

    from headprint.analysis.decomposition import Decomposition, Discovery, Null
    from headprint.analysis.intervals import Interval

_TASK = "NAME=BEFORE,AFTER or NAME=CHANGE.safetensors (of diff --out); by gradients NAME=SET, extracted with --sketch."
_FIT = "Fit"
_DOUBT = "Intervals and nulls"
_RANKS = 10  # subsets shown of each size


@options.takes_options(DecompositionOptions)
def decompose(
    target: Annotated[str, typer.Option("--target", metavar="TASK", help=_TASK)],
    basic: Annotated[list[str], typer.Option("--basic", metavar="TASK", help="Likewise, once for each basic task.")],
    reading: options.ReadingOption = None,
    subsets: Annotated[
        bool, typer.Option("--subsets", help="Rank every subset of the basic tasks.", rich_help_panel=_FIT)
    ] = False,
    discover: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Find a basis of N tasks at most among the basic ones.", rich_help_panel=_FIT
        ),
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(metavar="N", min=0, help="Resamples of the examples.", rich_help_panel=_DOUBT)
    ] = 1000,
    confidence: Annotated[float, typer.Option(help="Of the intervals.", rich_help_panel=_DOUBT)] = 0.95,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the result as JSON.", rich_help_panel=options.OUTPUT_PANEL),
    ] = None,
    json: options.JsonOption = False,
    **fields: Any,
) -> None:
    """Fit one task by others: their changes, or their head gradients; weights, R², and what chance would give."""
    from headprint.analysis import decomposition
    from headprint.analysis.bootstrap import Bootstrap

    name, change = decomposition.read_task(target, reading)
    basics = dict(pairs := [decomposition.read_task(each, reading) for each in basic])
    if len(basics) < len(pairs):
        raise InputError("two basic tasks have the same name: give each a name of its own")
    if discover and subsets:
        raise InputError("--subsets ranks the tasks that are named, and --discover names them: give one of the two")
    draws = Bootstrap(draws=bootstrap, seed=fields["seed"], confidence=confidence)
    result: Decomposition | Discovery
    if discover:
        result = decomposition.discover(change, basics, name=name, most=discover, bootstrap=draws, **fields)
        parts, fit = _discovery(result), result.fit
    else:
        result = decomposition.decompose(change, basics, name=name, subsets=subsets, bootstrap=draws, **fields)
        parts, fit = _decomposition(result), result
    if fit and bootstrap and not fit.intervals:
        output.say(
            "no intervals: they need pattern sets of two examples or more for every task, of changes before and after "
            "(and, for change rates, a level above 0 in every resample)"
        )
    for warning in fit.warnings if fit else []:
        output.say(f"warning: {warning}")
    content = {**result.to_dict(), "changes": {"target": target, "basic": basic}, "bootstrap": vars(draws)}
    if out:
        write_json(out, content)
        output.say(f"wrote {out}")
    if json:
        output.emit(content)
    else:
        output.show(*parts)


def _decomposition(found: Decomposition) -> list[RenderableType]:
    options = found.options
    fitted = "change rates ΔAP/AP" if options.relative else "changes ΔAP"
    if options.by == "gradients":
        fitted = "head gradients"
    counts = ", ".join(f"{task} {'–' if n is None else n}" for task, n in found.examples.items())
    parts: list[RenderableType] = [
        f"{found.target} by {options.method}, {fitted}, {found.heads} heads; examples: {counts}",
        "",
        _weights(found),
        "",
    ]
    rows = [
        ("R²", *_cells(found.r2)),
        ("R² adjusted", f"{found.adjusted:.3f}", ""),
        ("R² on held-out heads", f"{found.cross_validated:.3f}", ""),
        *_null_rows(found.null, f"heads permuted {_within(options.permute_within)}"),
        *_null_rows(found.random_tasks, "rows shuffled among the tasks"),
    ]
    if options.intercept:
        rows.append(("constant", *_cells(found.intercept)))
    parts.append(_table(("fit", "", "interval"), rows))
    for size in sorted({len(subset.tasks) for subset in found.subsets or []}):
        ranked = [subset for subset in found.subsets or [] if len(subset.tasks) == size]
        cells = [
            (
                " + ".join(subset.tasks),
                *(f"{x:.3f}" for x in (subset.r2, subset.adjusted, subset.cross_validated)),
                *((f"{subset.null.high:.3f}", f"{subset.null.p_value:.3f}") if subset.null else ("–", "–")),
            )
            for subset in ranked[:_RANKS]
        ]
        kind = f"{len(ranked)} of {size}" + (f", best {_RANKS}" if len(ranked) > _RANKS else "")
        parts += ["", _table((kind, "R²", "adj.", "held out", "null 95%", "p"), cells)]
        parts += [
            f"best above median: {gap.value}"
            + (f", p {gap.p_value:.3f}" if gap.p_value == gap.p_value else "")
            + (f", best in {gap.best_in:.0%} of draws" if gap.best_in == gap.best_in else "")
            for gap in found.gaps or []
            if gap.size == size
        ]
    return parts


def _discovery(found: Discovery) -> list[RenderableType]:
    rows = []
    for number, step in enumerate(found.path, start=1):
        task = step.tasks[-1]
        share = f"{found.selection_frequency[task]:.0%}" if task in found.selection_frequency else "–"
        chosen = "•" if number <= len(found.tasks) else ""
        rows.append((f"{chosen:<2}{number} + {task}", f"{step.r2:.3f}", f"{step.cross_validated:.3f}", share))
    parts: list[RenderableType] = [
        f"{found.target}: a growing basis, • chosen on held-out heads",
        "",
        _table(("task", "R²", "held out", "in draws"), rows),
        "",
    ]
    if found.fit is None:
        return [*parts, "no basis predicts held-out heads better than a constant"]
    if found.null:
        chance = _null_rows(found.null, "bases of this size for permuted heads")
        parts += [_table(("chance, the choice included", "", ""), chance), ""]
    return [*parts, *_decomposition(found.fit)]


def _weights(found: Decomposition) -> RenderableType:
    columns = {"weight": {task: _cells(weight) for task, weight in found.weights.items()}}
    if found.mixture:
        columns["mixture"] = {task: _cells(share) for task, share in found.mixture.shares.items()}
    heading = [name for column in columns for name in (column, "interval")]
    rows = [(task, *(cell for cells in columns.values() for cell in cells[task])) for task in found.weights]
    return _table(("basic task", *heading), rows)


def _null_rows(null: Null | None, what: str) -> list[tuple[str, str, str]]:
    if null is None:
        return []
    return [(f"R², {what}", f"{null.mean:.3f}", f"95% below {null.high:.3f}"), ("p", f"{null.p_value:.4f}", "")]


def _within(within: str) -> str:
    return "within layers" if within == "layer" else "over all layers"


def _cells(interval: Interval) -> tuple[str, str]:
    ends = f"{interval.low:.3f} … {interval.high:.3f}" if interval.low == interval.low else "–"
    return f"{interval.value:.3f}", ends


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> RenderableType:
    from headprint.plotting import WideTable

    return WideTable(columns, rows, justify="right")
