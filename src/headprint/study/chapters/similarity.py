"""How alike tasks are: correlations of their patterns before and after fine-tuning, and of the changes (Figure 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from pathlib import Path

import numpy as np
from pydantic.dataclasses import dataclass

from headprint.base.files import write_json
from headprint.study.chapters.chapter import Chapter, Jobs, Planned, View
from headprint.study.chapters.common import BY_MODEL, groups
from headprint.study.chapters.mirrors import Mirror, mirror, mirror_warning
from headprint.study.chapters.spread import patterns_of
from headprint.study.groundwork import Run
from headprint.study.groundwork.training import before_and_after, bootstrap
from headprint.study.pipeline import Cache, Job, Needs, stage
from headprint.study.records import STRICT, Matrix
from headprint.study.views import Chooser, Drawing, Figure, HeatMap, Panel, Scale, Text


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Correlations:
    """Tasks × tasks, with the ends of each entry's interval."""

    value: Matrix
    low: Matrix
    high: Matrix


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TaskMatrices:
    """Correlation over heads of every two tasks' patterns, in one run."""

    model: str
    seed: int
    tasks: list[str]
    method: str
    before: Correlations
    after: Correlations
    change: Correlations
    relative: Correlations


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeanMatrices:
    """The same, averaged over seeds."""

    model: str
    tasks: list[str]
    seeds: int
    before: Matrix
    after: Matrix
    change: Matrix
    relative: Matrix


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Fig2:
    """How alike the tasks' patterns and changes are."""

    title: str = "Correlation of tasks' patterns"
    caption: str = (
        "Pearson correlation over heads of two tasks' patterns before and after fine-tuning, of the "
        "changes, and of the change rates (change / before). Patterns are dense and positive, so high correlations are "
        "no news by themselves."
    )
    matrices: list[TaskMatrices]
    summary: list[MeanMatrices]
    mirrors: list[Mirror] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    fig2: Fig2


@stage(version=1)
def correlations(out: Path, needs: Needs, *, seed: int, draws: int) -> None:
    """Correlate the patterns of all trainings: before, after, of the changes, and of the change rates.

    Writes ``correlations.json``.
    """
    from headprint.analysis.comparison import task_correlations

    pairs = {task: before_and_after(folder) for task, folder in needs.items()}
    found = task_correlations(
        {task: before for task, (before, _) in pairs.items()},
        {task: after for task, (_, after) in pairs.items()},
        bootstrap=bootstrap(seed, draws),
    )
    write_json(out / "correlations.json", found.to_dict())


def plan(run: Run) -> Jobs:
    """The correlations, if there are tasks to correlate, and the patterns that they are of."""
    if len(run.tuned) < 2:
        return {}
    jobs: dict[tuple[str, ...], Job] = {("patterns", task): patterns_of(run, task) for task in run.tuned}
    jobs["correlations",] = correlations.job(run.label("all tasks"), run.tuned, **run.drawing)
    return jobs


def collect(planned: Sequence[Planned], cache: Cache) -> Exhibit:
    """All correlations, and how far the changes only mirror the patterns before."""
    matrices: list[TaskMatrices] = []
    mirrors: list[Mirror] = []
    for each in planned:
        for (what, *of), job in each.jobs.items():
            if what == "correlations":
                matrices.append(TaskMatrices(model=each.run.name, seed=each.run.seed, **cache.json(job)))
            else:
                maps = cache.json(job)["maps"]
                r = mirror(maps["change"], maps["before"])
                mirrors.append(Mirror(model=each.run.name, task=of[0], seed=each.run.seed, r=r))
    return Exhibit(fig2=_fig2(matrices, mirrors))


def _fig2(matrices: list[TaskMatrices], mirrors: list[Mirror]) -> Fig2:
    summary = [
        MeanMatrices(
            model=own[0].model,
            tasks=own[0].tasks,
            seeds=len(own),
            before=_mean_matrix([each.before.value for each in own]),
            after=_mean_matrix([each.after.value for each in own]),
            change=_mean_matrix([each.change.value for each in own]),
            relative=_mean_matrix([each.relative.value for each in own]),
        )
        for own in groups(matrices, "model").values()
    ]
    return Fig2(matrices=matrices, summary=summary, mirrors=mirrors)


def _mean_matrix(matrices: Sequence[Matrix]) -> Matrix:
    mean = np.array(matrices, dtype=np.float64).mean(axis=0)
    return [[x if np.isfinite(x) else None for x in row] for row in mean.tolist()]


_CORRELATION = Scale(label="correlation over heads", diverging=True, limit=1.0)


_MATRICES = {
    "before": "Before fine-tuning",
    "after": "After",
    "change": "Changes, ΔAP",
    "relative": "Change rates, ΔAP / AP",
}


def _views(exhibit: Exhibit, seeds: Sequence[int]) -> list[View]:
    figure = exhibit.fig2
    panels = []
    for mean in figure.summary if len(seeds) > 1 else ():
        plots = [_squares(title, mean.tasks, getattr(mean, part)) for part, title in _MATRICES.items()]
        panels.append(Panel(plots=plots, at=(mean.model, f"mean of {mean.seeds}")))
    for each in figure.matrices:
        plots = []
        for part, title in _MATRICES.items():
            found: Correlations = getattr(each, part)
            plots.append(_squares(title, each.tasks, found.value, found.low, found.high))
        panels.append(Panel(plots=plots, at=(each.model, str(each.seed))))
    of = " (of a single seed)" if len(seeds) > 1 else ""
    drawn = Figure(
        name="fig2",
        title=figure.title,
        caption=figure.caption,
        drawing=Drawing(panels=panels, choosers=[BY_MODEL, Chooser(label="Seed")], compared=True),
        notes=[Text(f"Point at a cell for its 95 % interval over examples{of}.")],
    )
    return [drawn, *mirror_warning(figure.mirrors)]


def _squares(
    title: str, tasks: list[str], values: Matrix, low: Matrix | None = None, high: Matrix | None = None
) -> HeatMap:
    return HeatMap(title=title, values=values, scale=_CORRELATION, labels=tasks, low=low, high=high)


CHAPTER = Chapter(
    name="similarity",
    exhibit=Exhibit,
    plan=plan,
    collect=collect,
    title="How alike are the tasks?",
    question="Which tasks use the same heads before and after fine-tuning, and which are changed alike by it?",
    views=_views,
)
