"""Claim 1: fine-tuning spreads activation over more heads (Table 1, Figure 1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic.dataclasses import dataclass

from headprint.base.files import write_json
from headprint.study.chapters.chapter import Chapter, Claim, Jobs, Planned, View
from headprint.study.chapters.common import (
    BY_MODEL,
    MODEL,
    distinct,
    examples,
    groups,
    qualified,
    spread_of,
    where,
)
from headprint.study.chapters.mirrors import Mirror, mirror, mirror_table, mirror_warning
from headprint.study.estimates import Estimate, mean_of, number, value_of, values_of, written
from headprint.study.groundwork import Run
from headprint.study.groundwork.training import before_and_after, bootstrap, matrix
from headprint.study.pipeline import Cache, Job, Needs, stage
from headprint.study.records import STRICT, Matrix
from headprint.study.verdicts import Check, Evidence, judged, judged_share, listed, sentence
from headprint.study.views import (
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
class Shape:
    """How unevenly a pattern is spread over the heads: Gini coefficient, coefficient of variation, excess kurtosis."""

    gini: Estimate
    cv: Estimate
    kurtosis: Estimate


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ShapeRow:
    """One fine-tuning: the shape of its pattern before, after, and the change of each statistic."""

    model: str
    task: str
    seed: int
    n: int
    before: Shape
    after: Shape
    change: Shape


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeanShape:
    """Fine-tunings of one model and task, averaged over seeds."""

    model: str
    task: str
    seeds: int
    before: Shape
    after: Shape
    change: Shape


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PublishedShape:
    """The paper's own numbers: before and after."""

    model: str
    gini: tuple[float, float]
    cv: tuple[float, float]


PUBLISHED = [PublishedShape(model="Llama3-8B", gini=(0.50, 0.33), cv=(1.19, 0.71))]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Table1:
    """The shape of every pattern before and after."""

    title: str = "How evenly activation is spread over the heads"
    caption: str = (
        "Gini coefficient, coefficient of variation and excess kurtosis of the pattern of the same held-out "
        "examples before and after fine-tuning. The paper finds that all three fall."
    )
    rows: list[ShapeRow]
    summary: list[MeanShape]
    paper: list[PublishedShape]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Maps:
    """The pattern of one fine-tuning as layers × heads; the change is after minus before."""

    model: str
    task: str
    seed: int
    n: int
    before: Matrix
    after: Matrix
    change: Matrix


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Fig1:
    """The patterns themselves."""

    title: str = "Activation patterns before and after fine-tuning"
    caption: str = "Mean absolute activation level of each head; change is after minus before."
    maps: list[Maps]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    table1: Table1
    fig1: Fig1


@stage(version=1)
def spread(out: Path, needs: Needs, *, seed: int, draws: int) -> None:
    """The patterns before and after one training, and their shapes.

    Writes ``spread.json``.
    """
    from headprint.analysis.comparison import shape_change

    first, last = before_and_after(needs["train"])
    change = shape_change(first, last, bootstrap=bootstrap(seed, draws)).to_dict()
    before, after = first.pattern(), last.pattern()
    found = {
        "n": len(first),
        "shapes": {phase: change[phase] for phase in ("before", "after", "change")},
        "maps": {"before": matrix(before), "after": matrix(after), "change": matrix(after - before)},
    }
    write_json(out / "spread.json", found)


def patterns_of(run: Run, task: str) -> Job:
    """The patterns of one of a run's trainings."""
    return spread.job(run.label(task), {"train": run.tuned[task]}, **run.drawing)


def plan(run: Run) -> Jobs:
    """The patterns of every training."""
    return {(task,): patterns_of(run, task) for task in run.tuned}


def collect(planned: Sequence[Planned], cache: Cache) -> Exhibit:
    """All patterns and their shapes."""
    rows, maps = [], []
    for each in planned:
        for (task,), job in each.jobs.items():
            found = cache.json(job)
            rows.append(ShapeRow(model=each.run.name, task=task, seed=each.run.seed, n=found["n"], **found["shapes"]))
            maps.append(Maps(model=each.run.name, task=task, seed=each.run.seed, n=found["n"], **found["maps"]))
    summary = [
        MeanShape(
            model=own[0].model,
            task=own[0].task,
            seeds=len(own),
            before=_mean_shape([row.before for row in own]),
            after=_mean_shape([row.after for row in own]),
            change=_mean_shape([row.change for row in own]),
        )
        for own in groups(rows, "model", "task").values()
    ]
    return Exhibit(table1=Table1(rows=rows, summary=summary, paper=PUBLISHED), fig1=Fig1(maps=maps))


def _mean_shape(shapes: Sequence[Shape]) -> Shape:
    """The mean of each statistic over seeds; of a single seed its own."""
    if len(shapes) == 1:
        return shapes[0]
    return Shape(
        gini=mean_of(values_of(shape.gini for shape in shapes)),
        cv=mean_of(values_of(shape.cv for shape in shapes)),
        kurtosis=mean_of(values_of(shape.kurtosis for shape in shapes)),
    )


_LEVELS = Scale(label="level (nats)")

_CHANGES = Scale(label="change (nats)", diverging=True)

_STATISTICS = {"gini": "Gini coefficient", "cv": "Coefficient of variation", "kurtosis": "Excess kurtosis"}

_SHORT = {"gini": "Gini", "cv": "CV", "kurtosis": "Kurtosis"}


def _views(exhibit: Exhibit, seeds: Sequence[int]) -> list[View]:
    return [_shapes(exhibit.table1, seeds), _maps(exhibit.fig1, seeds)]


def _shapes(table: Table1, seeds: Sequence[int]) -> Figure:
    columns = [
        Column(f"{_SHORT[name]} {part}", signed=part == "change")
        for name in _STATISTICS
        for part in ("before", "after", "change")
    ]
    rows = [
        [
            row.model,
            row.task,
            *(getattr(part, name) for name in _STATISTICS for part in (row.before, row.after, row.change)),
        ]
        for row in table.summary
    ]
    here = Table(title="Here", columns=[MODEL, Column("Task"), *columns], rows=rows, keys=2)
    published = Table(
        title="In the paper",
        columns=[Column("Model"), *map(Column, ("Gini before", "Gini after", "CV before", "CV after"))],
        rows=[[row.model, *row.gini, *row.cv] for row in table.paper],
        is_open=True,
    )
    models = distinct(table.summary, "model")
    return Figure(
        name="table1",
        title=table.title,
        caption=table.caption,
        drawing=Drawing(panels=[_panel(model, table) for model in models], choosers=[BY_MODEL]),
        tables=[here, published, details("Every run", table.rows)],
        notes=[examples(row.n for row in table.rows), spread_of(seeds)],
    )


def _panel(model: str, table: Table1) -> Panel:
    """One plot for each statistic, the paper's model in the last row of those that the paper has."""
    rows, plots = where(table.summary, model=model), []
    for name, title in _STATISTICS.items():
        published = {row.model: getattr(row, name, None) for row in table.paper}
        known = {f"{model} (paper)": ends for model, ends in published.items() if ends}
        points = {part: [getattr(getattr(row, part), name) for row in rows] for part in ("before", "after")}
        series = [
            Series(name=part, points=[*points[part], *(ends[place] for ends in known.values())])
            for place, part in enumerate(points)
        ]
        plots.append(Dots(title=title, rows=[*(row.task for row in rows), *known], series=series, joined=True))
    return Panel(plots=plots, at=(model,))


def _maps(figure: Fig1, seeds: Sequence[int]) -> Figure:
    panels = [
        Panel(
            plots=[
                HeatMap(title="Before", values=each.before, scale=_LEVELS),
                HeatMap(title="After", values=each.after, scale=_LEVELS),
                HeatMap(title="Change", values=each.change, scale=_CHANGES, rate_of="Before"),
            ],
            at=(each.model, each.task, str(each.seed)),
        )
        for each in figure.maps
    ]
    choosers = [BY_MODEL, Chooser(label="Task", on_paper="all"), Chooser(label="Seed")]
    mirrors = [Mirror(model=x.model, task=x.task, seed=x.seed, r=mirror(x.change, x.before)) for x in figure.maps]
    runs = "Each seed is a training run of its own." if len(seeds) > 1 else f"Seed {seeds[0]}."
    return Figure(
        name="fig1",
        title=figure.title,
        caption=f"{figure.caption} Point at a head to read it, or focus a map and use the arrow keys.",
        drawing=Drawing(panels=panels, choosers=choosers, compared=True),
        tables=[mirror_table(mirrors)],
        notes=[examples(each.n for each in figure.maps), Text(runs), *mirror_warning(mirrors)],
    )


def _evidence(exhibit: Exhibit) -> Evidence:
    """Gini and CV fall: in at least 3/4 of the tasks, and on average over the tasks."""
    cells, published = exhibit.table1.summary, exhibit.table1.paper[0]
    checks: list[Check] = []
    sentences, numbers, fell_in_most = [], [], []
    for name, label in (("gini", "the Gini coefficient"), ("cv", "the coefficient of variation")):
        known = [cell for cell in cells if value_of(getattr(cell.change, name)) is not None]
        if not known:
            continue
        changes = [getattr(cell.change, name) for cell in known]
        # The change of a single task is judged by its own interval.
        mean = changes[0] if len(known) == 1 else mean_of(values_of(changes))
        rising = [cell for cell in known if getattr(cell.change, name).value >= 0]
        fell = f"{label} fell in {len(known) - len(rising)} of {len(known)} tasks"
        size = f"mean change {written(mean, signed=True)}"
        fell_in_most.append(judged_share(len(known) - len(rising), len(known)))
        checks += [Check(fell, fell_in_most[-1]), Check(f"{label}: {size}", judged(mean, -1))]
        is_rule = 0 < len(rising) <= len(known) / 2
        exceptions = f"; not in {listed(qualified(cell, cells) for cell in rising)}" if is_rule else ""
        sentences.append(f"{fell} ({size}){exceptions}")
        ends = (number(mean_of(values_of(getattr(part, name) for part in parts)).value) for parts in _parts(known))
        numbers.append(f"{_SHORT[name]} {' → '.join(ends)}")
    peaks = values_of(cell.change.kurtosis for cell in cells)
    end = " Means and intervals are over tasks." if len(cells) > 1 else ""
    end += f" Kurtosis fell in {sum(x < 0 for x in peaks)} of {len(peaks)}." if peaks else ""
    uneven = "Activation spread in most tasks here, but by amounts too uneven to tell a change on average."
    return Evidence(
        checks=checks,
        here=" ".join(map(sentence, sentences)) + end if checks else None,
        number=", ".join(numbers) or None,
        paper=f"{published.model}: Gini {published.gini[0]:.2f} → {published.gini[1]:.2f}, "
        f"CV {published.cv[0]:.2f} → {published.cv[1]:.2f}",
        meanings={"mixed": uneven} if all(fell_in_most) else {},
    )


def _parts(cells: Sequence[MeanShape]) -> Iterator[list[Shape]]:
    yield [cell.before for cell in cells]
    yield [cell.after for cell in cells]


CHAPTER = Chapter(
    name="spread",
    exhibit=Exhibit,
    plan=plan,
    collect=collect,
    title="Finding 1: activation spreads",
    question="Does a task use a few heads, and do more of them share the work after fine-tuning? Lower Gini, "
    "coefficient of variation and kurtosis mean a more even pattern.",
    views=_views,
    claim=Claim(
        text="Fine-tuning spreads activation over more heads: the pattern becomes more even.",
        evidence=_evidence,
        meanings={
            "replicates": "Here too, fine-tuning does not sharpen a few heads: more of them come to share the work.",
            "mixed": "By some measures or in some tasks the pattern becomes more even here, and in others it does not.",
            "does not": "Here fine-tuning concentrates activation or leaves it as it was, unlike in the paper.",
        },
    ),
)
