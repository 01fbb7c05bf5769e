"""What a reader sees of decompositions: the idea on this run's numbers, and every fit (Figures 3 and 4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import Any

from pydantic.dataclasses import dataclass

from headprint.study.chapters.common import BY_MODEL, MODEL, groups, over, where
from headprint.study.chapters.fits import READINGS, Fit, MeanFit, Subset
from headprint.study.chapters.mirrors import Mirror, mirror_table
from headprint.study.estimates import mean_of, number, values_of
from headprint.study.records import STRICT, Matrix
from headprint.study.views import (
    Cell,
    Chooser,
    Column,
    Dots,
    Drawing,
    Figure,
    HeatMap,
    Panel,
    Scale,
    Series,
    Table,
    Text,
    details,
)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Equation:
    """A complex task beside the weighted changes of the basic tasks that it is made of, in the first run that has both.

    Attributes:
        model: Name in the config.
        seed: Of the run.
        target: The complex task.
        parts: The basic tasks.
        weights: Of each part, in the fit of these parts alone.
        r2: Of that fit.
        maps: Change by task, layers × heads: of the parts, and of the target.
        fitted: The parts' changes, weighted and added up.
    """

    model: str
    seed: int
    target: str
    parts: list[str]
    weights: dict[str, float]
    r2: float | None
    maps: dict[str, Matrix]
    fitted: Matrix


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Fig3:
    """The idea, on this run's numbers: one equation for each model that has one."""

    title: str = "The idea"
    caption: str = "A complex task needs the skills, and the heads, of basic ones."
    equations: list[Equation] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PublishedFit:
    """The paper's own best pair."""

    target: str
    best: list[str]
    r2: float


PUBLISHED = PublishedFit(target="SGSM", best=["CodeSearchNet", "GSM8K"], r2=0.97)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Fig4:
    """Every decomposition."""

    title: str = "A complex task's change as a combination of basic tasks' changes"
    caption: str = (
        "R² of least-squares fits by every subset of the basic tasks, with R² on held-out heads and of "
        "targets whose heads were permuted beside it. What tells is how far the best pair stands above the median one."
    )
    fits: list[Fit]
    summary: list[MeanFit]
    paper: PublishedFit


_CHANGE = Scale(label="change ΔAP (nats)", diverging=True)
_ABOUT = (MODEL, Column("Target"), Column("Of"), Column("Fit"))


def idea_figure(equations: Sequence[Equation]) -> Figure:
    """The equations of the named parts, one for each model."""
    panels = []
    for each in equations:
        terms = {f"{number(each.weights[task])} × {task}": each.maps[task] for task in each.parts}
        terms = {("+ " if place else "") + title: values for place, (title, values) in enumerate(terms.items())}
        fit = f" (R² {number(each.r2)})" if each.r2 is not None else ""
        terms |= {"= fit": each.fitted, f"≈ {each.target}{fit}": each.maps[each.target]}
        plots = [HeatMap(title=title, values=values, scale=_CHANGE) for title, values in terms.items()]
        panels.append(Panel(plots=plots, at=(each.model,)))
    return Figure(
        name="fig3",
        title="The idea on this run's numbers",
        caption="The basic tasks' changes, weighted and added up, beside the complex task's change; all on one scale.",
        drawing=Drawing(panels=panels, choosers=[BY_MODEL]),
        notes=[Text(f"Seed {equations[0].seed}.")],
    )


def fits_figure(figure: Fig4, seeds: Sequence[int]) -> Figure:
    """Every fit by every subset of the basis."""
    choosers = [
        BY_MODEL,
        Chooser(label="Complex task", on_paper="all"),
        Chooser(label="Of"),
        Chooser(label="Fit"),
        Chooser(label="Basic tasks in the basis"),
    ]
    intervals = (
        "Intervals: Student's t over seeds, 95 %." if len(seeds) > 1 else "One seed: no intervals in the drawing."
    )
    panels = _subset_panels(figure.fits)
    return Figure(
        name="fig4",
        title=figure.title,
        caption=figure.caption,
        drawing=Drawing(panels=panels, choosers=choosers) if panels else None,
        tables=[*_summaries(figure), mirror_table(mirrors_of(figure.fits)), *_details(figure.fits)],
        notes=[Text(intervals), Text("● marks the tasks that the target is made of.")],
    )


def _about(fits: Sequence[Fit]) -> Iterator[tuple[tuple[str, str, str, str], list[Fit]]]:
    """Fits that differ in their seed, by model, target, what is decomposed, and method."""
    for (model, target, reading, method), of in groups(fits, "model", "target", "reading", "method").items():
        yield (model, target, READINGS[reading], method), of


def _subset_panels(fits: Sequence[Fit]) -> list[Panel]:
    """A panel for each target, method and size of the basis: pairs fitted without negative weights come first."""
    panels = []
    for about, of in _about(sorted(fits, key=lambda fit: fit.method != "nnls")):
        named = named_in(of)
        subsets: dict[tuple[str, ...], list[Subset]] = {}
        for fit in of:
            for subset in fit.decomposition.subsets or []:
                subsets.setdefault(tuple(sorted(subset.tasks)), []).append(subset)
        for size in sorted(set(map(len, subsets)), key=lambda size: (size != 2, size)):
            found = [(tasks, members, mean_of(values_of(x.r2 for x in members))) for tasks, members in subsets.items()]
            found = [each for each in found if len(each[0]) == size]
            found.sort(key=lambda each: -(each[2].value if each[2].value is not None else float("-inf")))
            rows = {tasks: " + ".join(members[0].tasks) for tasks, members, _ in found}
            held_out = [mean_of(values_of(x.cross_validated for x in members)).value for _, members, _ in found]
            nulls = [mean_of(values_of(x.null.high for x in members if x.null)).value for _, members, _ in found]
            plot = Dots(
                title="R²",
                rows=list(rows.values()),
                series=[
                    Series(name="R²", points=[r2 for _, _, r2 in found]),
                    Series(name="R² on held-out heads", points=held_out),
                    Series(name="95 % of permuted heads", points=nulls),
                ],
                marked=[row for tasks, row in rows.items() if set(tasks) == set(named or ())],
                joined=True,
                limits=(-0.5, 1.05),
            )
            panels.append(Panel(plots=[plot], at=(*about, str(size))))
    return panels


def named_in(fits: Sequence[Fit]) -> list[str] | None:
    """The basic tasks that people say a target is made of."""
    return next((fit.named for fit in fits if fit.named), None)


def mirrors_of(fits: Sequence[Fit]) -> list[Mirror]:
    """How far the changes mirror the patterns before: of each run's targets and of their bases."""
    found = {
        (fit.model, task, fit.seed): Mirror(model=fit.model, task=task, seed=fit.seed, r=r)
        for fit in where(fits, reading="change") or where(fits, reading="rate")
        for task, r in fit.decomposition.mirrors_before.items()
    }
    return list(found.values())


def _summaries(figure: Fig4) -> list[Table]:
    return [_pairs(figure), _weights(figure), _discoveries(figure)]


def _pairs(figure: Fig4) -> Table:
    columns = [
        Column("Best pair"),
        Column("Best in", percent=True),
        Column("R² of the best pair"),
        Column("R² of the median pair"),
        Column("Best above median"),
        Column("Permuted heads"),
        Column("Made of"),
        Column("R² of what it is made of"),
        Column("Rank of what it is made of", 1),
    ]
    rows = []
    for row in figure.summary:
        of = {name: getattr(row, name) for name in ("model", "target", "reading", "method")}
        named = named_in(where(figure.fits, **of))
        best = [row.best, row.best_in, row.r2_best_pair, row.r2_median_pair, row.above_median, row.null_r2]
        about = [row.model, row.target, READINGS[row.reading], row.method]
        rows.append([*about, *best, named, row.r2_named, row.named_rank])
    return Table(
        title="Pairs of basic tasks",
        columns=[*_ABOUT, *columns],
        rows=rows,
        keys=4,
        note="R² is measured against the best constant, so it can be negative. “Permuted heads” is the mean R² of "
        "targets whose heads were permuted, fitted by all basic tasks.",
    )


def _weights(figure: Fig4) -> Table:
    tasks = list(dict.fromkeys(task for fit in figure.fits for task in fit.decomposition.weights))
    rows: list[list[Cell]] = [
        [*about, *(over(fit.decomposition.weights.get(task) for fit in of) for task in tasks)]
        for about, of in _about(figure.fits)
    ]
    title = "Weights α, all basic tasks in the basis"
    return Table(title=title, columns=[*_ABOUT, *map(Column, tasks)], rows=rows, keys=4)


def _discoveries(figure: Fig4) -> Table:
    rows: list[list[Cell]] = []
    for about, of in _about(figure.fits):
        searches = [fit.discovery for fit in of if fit.discovery]
        bases = Counter(tuple(sorted(search.tasks)) for search in searches)
        for basis, count in bases.most_common(1):
            fitted = over(search.fit.r2 for search in searches if search.fit)
            rows.append([*about, basis or "nothing", count, len(searches), fitted])
    columns = [Column("Most frequent basis"), Column("Found in"), Column("of"), Column("R² of its fit")]
    title = "The basis that a search finds when nobody names it"
    return Table(title=title, columns=[*_ABOUT, *columns], rows=rows, keys=4)


def _details(fits: Sequence[Fit]) -> list[Table]:
    every: dict[str, list[dict[str, Any]]] = {"fit": [], "weight": [], "subset": [], "gap": []}
    for fit in fits:
        of = fit.decomposition
        own = {"model": fit.model, "seed": fit.seed, "target": fit.target, "of": fit.reading, "fit": fit.method}
        found = {"named": fit.named, "named rank": fit.named_rank, "discovered": fit.discovery and fit.discovery.tasks}
        of_fit = ("r2", "adjusted", "cross_validated", "null", "random_tasks", "intercept", "heads")
        every["fit"].append({**own, **found, **{name: getattr(of, name) for name in of_fit}})
        for task, weight in of.weights.items():
            every["weight"].append({**own, "task": task, "weight": weight, "share": (of.shares or {}).get(task)})
        for rank, subset in enumerate(of.subsets or [], start=1):
            of_subset = ("tasks", "r2", "adjusted", "cross_validated", "null")
            every["subset"].append({**own, "rank": rank, **{name: getattr(subset, name) for name in of_subset}})
        every["gap"] += [{**own, **vars(gap)} for gap in of.gaps or []]
    return [details(f"Every {what}", rows) for what, rows in every.items()]
