"""Where the models start: accuracy and loss on held-out rows before and after fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from pydantic import Field
from pydantic.dataclasses import dataclass

from headprint.study.chapters.chapter import Chapter, Jobs, Planned, View
from headprint.study.chapters.common import BY_MODEL, MODEL, distinct, examples, groups, qualified, spread_of, where
from headprint.study.estimates import Estimate, average, number, value_of
from headprint.study.groundwork import Run
from headprint.study.pipeline import Cache, Job
from headprint.study.records import STRICT
from headprint.study.verdicts import listed
from headprint.study.views import Column, Dots, Drawing, Figure, Panel, Series, Table, Text, details

Phase: TypeAlias = Literal["before", "after"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BaseRate:
    """One evaluation.

    Attributes:
        model: Name in the config.
        task: Whose test rows were answered.
        seed: Of the run.
        phase: Before or after fine-tuning on the task.
        accuracy: Share of right answers; None without a scorer.
        loss: Mean completion loss in nats.
        n: Test rows.
        train_rows: Rows that the task is fine-tuned on.
    """

    model: str
    task: str
    seed: int
    phase: Phase = Field(validation_alias="stage", serialization_alias="stage")
    accuracy: Estimate | None
    loss: Estimate | None
    n: int
    train_rows: int


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeanBaseRate:
    """Evaluations of one model and task, averaged over seeds."""

    model: str
    task: str
    phase: Phase = Field(validation_alias="stage", serialization_alias="stage")
    seeds: int
    accuracy: Estimate | None
    loss: Estimate | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BaseRates:
    """Accuracy and loss of every model and task, before and after."""

    title: str = "Before and after fine-tuning"
    caption: str = "Right answers and mean completion loss (nats) on held-out rows."
    rows: list[BaseRate]
    summary: list[MeanBaseRate]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    base_rates: BaseRates


def plan(run: Run) -> Jobs:
    """An evaluation of every task, by the untrained and by the tuned model."""
    jobs: dict[tuple[str, ...], Job] = {}
    for task, tuned in run.tuned.items():
        jobs[task, "before"] = run.evaluate(task, None, f"{task} before")
        jobs[task, "after"] = run.evaluate(task, tuned, f"{task} after")
    return jobs


def collect(planned: Sequence[Planned], cache: Cache) -> Exhibit:
    """All evaluations, those before fine-tuning first."""
    phases: tuple[Phase, ...] = ("before", "after")
    rows = []
    for phase in phases:
        for each in planned:
            for (task, when), job in each.jobs.items():
                if when == phase:
                    found = cache.json(job)
                    rows.append(
                        BaseRate(
                            model=each.run.name,
                            task=task,
                            seed=each.run.seed,
                            phase=phase,
                            accuracy=found["accuracy"],
                            loss=found["loss"],
                            n=found["n"],
                            train_rows=each.run.config.train_rows(task),
                        )
                    )
    summary = [
        MeanBaseRate(
            model=own[0].model,
            task=own[0].task,
            phase=own[0].phase,
            seeds=len(own),
            accuracy=average([row.accuracy for row in own]),
            loss=average([row.loss for row in own]),
        )
        for own in groups(rows, "model", "task", "phase").values()
    ]
    return Exhibit(base_rates=BaseRates(rows=rows, summary=summary))


_HALF = 0.5

_PHASES: tuple[Phase, ...] = ("before", "after")


def _views(exhibit: Exhibit, seeds: Sequence[int]) -> list[View]:
    rates = exhibit.base_rates
    models = distinct(rates.summary, "model")
    figure = Figure(
        name="base_rates",
        title=rates.title,
        caption=rates.caption,
        drawing=Drawing(panels=[_panel(model, rates.summary) for model in models], choosers=[BY_MODEL]),
        tables=[_table(rates.summary), details("Every run", rates.rows)],
        notes=[examples(row.n for row in rates.rows), spread_of(seeds)],
    )
    return [*_learned(rates.summary), figure]


def _panel(model: str, summary: Sequence[MeanBaseRate]) -> Panel:
    rows = where(summary, model=model)
    tasks = distinct(rows, "task")
    of = {phase: {row.task: row for row in where(rows, phase=phase)} for phase in _PHASES}
    loss = [Series(name=phase, points=[of[phase][task].loss for task in tasks]) for phase in _PHASES]
    plots = [Dots(title="Held-out loss (nats)", rows=tasks, series=loss, joined=True)]
    if any(row.accuracy for row in rows):
        right = [Series(name=phase, points=[of[phase][task].accuracy for task in tasks]) for phase in _PHASES]
        plots.insert(0, Dots(title="Accuracy", rows=tasks, series=right, joined=True, percent=True))
    return Panel(plots=plots, at=(model,))


def _table(summary: Sequence[MeanBaseRate]) -> Table:
    rows = []
    for (model, task), members in groups(summary, "model", "task").items():
        of = {row.phase: row for row in members}
        accuracies = [of[phase].accuracy for phase in _PHASES]
        rows.append([model, task, *accuracies, *(of[phase].loss for phase in _PHASES)])
    rights = [Column(f"Accuracy {phase}", percent=True) for phase in _PHASES]
    losses = [Column(f"Loss {phase}") for phase in _PHASES]
    columns = [MODEL, Column("Task"), *rights, *losses]
    return Table(title="Base rates", columns=columns, rows=rows, keys=2)


def _learned(summary: Sequence[MeanBaseRate]) -> list[Text]:
    """In how many tasks there is something to see, and what the others are."""
    known: dict[str, tuple[float, float]] = {}
    for members in groups(summary, "model", "task").values():
        before, after = (next(value_of(row.accuracy) for row in members if row.phase == phase) for phase in _PHASES)
        if before is not None and after is not None:
            known[qualified(members[0], summary)] = (before, after)
    if not known:
        return []
    others = [
        f"{task} ({number(before, percent=True)} → {number(after, percent=True)})"
        for task, (before, after) in known.items()
        if not before < _HALF < after
    ]
    end = f"; not in {listed(others)}" if others else ""
    count = f"{len(known) - len(others)} of {len(known)} tasks"
    return [Text(f"Here that holds for {count}: below 50 % before, above it after{end}.")]


CHAPTER = Chapter(
    name="base_rates",
    exhibit=Exhibit,
    plan=plan,
    collect=collect,
    title="Where the models start",
    question="A study of fine-tuning can only show something on tasks that are mostly failed before and learned after.",
    views=_views,
)
