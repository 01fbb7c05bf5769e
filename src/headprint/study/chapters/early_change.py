"""Claim 3: the pattern moves in the first steps of training (Figure 5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path as FilePath

import numpy as np
from pydantic.dataclasses import dataclass

from headprint.base.files import read_json, write_json
from headprint.study.chapters.chapter import Chapter, Claim, Jobs, Planned, View
from headprint.study.chapters.common import BY_MODEL, MODEL, distinct, examples, groups, over, spread_of, where
from headprint.study.estimates import Estimate, mean_of, number, value_of, values_of
from headprint.study.groundwork import Run
from headprint.study.groundwork.settings import rows_a_step
from headprint.study.groundwork.training import bootstrap, matrix, tracked
from headprint.study.pipeline import Cache, Needs, stage
from headprint.study.records import STRICT, Matrix
from headprint.study.verdicts import Check, Evidence, judged_share, sentence
from headprint.study.views import Chooser, Column, Drawing, Figure, Frames, Lines, Panel, Scale, Series, Table, Text


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StepLoss:
    """A logged step of training and its loss."""

    step: int
    loss: float | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Path:
    """One fine-tuning, followed step by step.

    Attributes:
        model: Name in the config.
        task: What it was fine-tuned on.
        seed: Of the run.
        n: Probes.
        steps: S optimizer steps at which the probes were measured; the first is 0, before training.
        rows_seen: Training rows behind each of them.
        correlation: S correlations with the pattern before training.
        mse: S mean squared distances from it.
        gini: S Gini coefficients.
        half_way: The first measured step at which half of the final distance is passed.
        loss: S mean losses of the probes.
        train_loss: What the trainer logged.
        patterns: S patterns, layers × heads; of the first seed only, for the page's slider.
    """

    model: str
    task: str
    seed: int
    n: int
    steps: list[int]
    rows_seen: list[int]
    correlation: list[Estimate]
    mse: list[Estimate]
    gini: list[Estimate]
    half_way: int
    loss: list[float | None]
    train_loss: list[StepLoss]
    patterns: list[Matrix] | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeanPath:
    """The steps that all seeds of a model and task measured, averaged over seeds."""

    model: str
    task: str
    seeds: int
    steps: list[int]
    correlation: list[Estimate]
    mse: list[Estimate]
    gini: list[Estimate]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Fig5:
    """Every fine-tuning's path."""

    title: str = "Patterns along training"
    caption: str = (
        "Correlation with the pattern before training, and mean squared distance from it, of the same "
        "held-out examples, step by step."
    )
    runs: list[Path]
    summary: list[MeanPath]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    fig5: Fig5


@stage(version=1)
def early_change(out: FilePath, needs: Needs, *, seed: int, draws: int) -> None:
    """The pattern at every tracked step of one training, beside the first.

    Writes ``early_change.json``.
    """
    from headprint.analysis.comparison import shape, trajectory

    steps = tracked(needs["train"])
    sets = list(steps.values())
    resampled = bootstrap(seed, draws)
    followed = trajectory(sets, bootstrap=resampled)
    moved = [each.value for each in followed.mse]
    trained = read_json(needs["train"] / "trained.json")
    found = {
        "n": len(sets[0]),
        "steps": list(steps),
        "correlation": [each.to_dict() for each in followed.correlation],
        "mse": [each.to_dict() for each in followed.mse],
        "gini": [shape(each, bootstrap=resampled).gini.to_dict() for each in sets],
        "half_way": next(step for step, x in zip(steps, moved, strict=True) if x >= moved[-1] / 2),
        "loss": [float(np.mean(each.losses)) for each in sets],
        "train_loss": [{"step": each["step"], "loss": each["loss"]} for each in trained["log"] if "loss" in each],
        "patterns": [matrix(each.pattern()) for each in sets],
    }
    write_json(out / "early_change.json", found)


def plan(run: Run) -> Jobs:
    """The path of every training."""
    return {
        (task,): early_change.job(run.label(task), {"train": tuned}, **run.drawing) for task, tuned in run.tuned.items()
    }


def collect(planned: Sequence[Planned], cache: Cache) -> Exhibit:
    """All paths; patterns of the first seed only."""
    runs = []
    for each in planned:
        for (task,), job in each.jobs.items():
            found = cache.json(job)
            size = rows_a_step(each.run.tuned[task].settings["sft"])
            if each.run.seed != each.run.config.seeds[0]:
                found["patterns"] = None
            runs.append(
                Path(
                    model=each.run.name,
                    task=task,
                    seed=each.run.seed,
                    rows_seen=[step * size for step in found["steps"]],
                    **found,
                )
            )
    return Exhibit(fig5=Fig5(runs=runs, summary=[_mean_path(own) for own in groups(runs, "model", "task").values()]))


def _mean_path(own: Sequence[Path]) -> MeanPath:
    steps = [step for step in own[0].steps if all(step in path.steps for path in own)]

    def mean(followed: Sequence[tuple[Path, list[Estimate]]]) -> list[Estimate]:
        columns = ([estimates[path.steps.index(step)] for path, estimates in followed] for step in steps)
        return [column[0] if len(column) == 1 else mean_of(values_of(column)) for column in columns]

    return MeanPath(
        model=own[0].model,
        task=own[0].task,
        seeds=len(own),
        steps=steps,
        correlation=mean([(path, path.correlation) for path in own]),
        mse=mean([(path, path.mse) for path in own]),
        gini=mean([(path, path.gini) for path in own]),
    )


_EARLY = 1 / 3

_SEEN = 3
"""Measured steps that the first third must hold to tell early from late."""

_MEASURES = {
    "correlation": "Correlation with the pattern before training",
    "mse": "Mean squared difference from it (MSE)",
}


def _views(exhibit: Exhibit, seeds: Sequence[int]) -> list[View]:
    figure = exhibit.fig5
    counts = examples(run.n for run in figure.runs)
    along = Figure(
        name="fig5",
        title=figure.title,
        caption=figure.caption,
        drawing=Drawing(
            panels=[_panel(model, figure) for model in distinct(figure.runs, "model")], choosers=[BY_MODEL]
        ),
        tables=[_ends(figure.runs), *_details(figure.runs)],
        notes=[counts, spread_of(seeds)],
    )
    followed = [run for run in figure.runs if run.patterns]
    if not followed:
        return [along]
    patterns = Figure(
        name="patterns",
        title="The pattern, step by step",
        caption="Move the slider through training: the pattern at that step, and its change since before training.",
        drawing=Drawing(
            panels=[Panel(plots=[_frames(run, run.patterns or [])], at=(run.model, run.task)) for run in followed],
            choosers=[BY_MODEL, Chooser(label="Task")],
        ),
        notes=[counts, Text(f"Seed {followed[0].seed}.")],
    )
    return [along, patterns]


def _panel(model: str, figure: Fig5) -> Panel:
    rows, runs = where(figure.summary, model=model), where(figure.runs, model=model)
    plots = [
        Lines(
            title=title,
            series=[Series(name=row.task, points=getattr(row, name), x=row.steps) for row in rows],
            xlabel="step",
        )
        for name, title in _MEASURES.items()
    ]
    logged = [run for run in where(runs, seed=runs[0].seed) if run.train_loss]
    if logged:
        losses = [
            Series(
                name=run.task, points=[each.loss for each in run.train_loss], x=[each.step for each in run.train_loss]
            )
            for run in logged
        ]
        plots.append(Lines(title=f"Training loss (nats, seed {runs[0].seed})", series=losses, xlabel="step"))
    return Panel(plots=plots, at=(model,))


def _frames(run: Path, patterns: Sequence[Matrix]) -> Frames:
    readings = {"correlation": run.correlation, "MSE": run.mse, "Gini": run.gini}
    return Frames(
        title="Pattern", steps=run.steps, values=patterns, scale=Scale(label="level (nats)"), readings=readings
    )


def _ends(runs: Sequence[Path]) -> Table:
    """Where training leaves each task's pattern, and when half of the way is done."""
    rows = [
        [
            model,
            task,
            over(float(run.half_way) for run in of),
            max(run.steps[-1] for run in of),
            over(run.correlation[-1] for run in of),
            over(run.mse[-1] for run in of),
        ]
        for (model, task), of in groups(runs, "model", "task").items()
    ]
    half, steps = Column("Half of the MSE by step", 0), Column("Steps")
    ends = Column("Correlation at the end", 3), Column("MSE at the end", None)
    columns = [MODEL, Column("Task"), half, steps, *ends]
    return Table(title="Along training", columns=columns, rows=rows, keys=2)


def _details(runs: Sequence[Path]) -> list[Table]:
    about = [Column(name) for name in ("Model", "Task", "Seed")]
    steps = [
        [run.model, run.task, run.seed, run.n, *values]
        for run in runs
        for values in zip(run.steps, run.rows_seen, run.correlation, run.mse, run.gini, run.loss, strict=True)
    ]
    names = ("n", "Step", "Rows seen", "Correlation", "MSE", "Gini", "Loss")
    losses = [[run.model, run.task, run.seed, each.step, each.loss] for run in runs for each in run.train_loss]
    return [
        Table(title="Every step", columns=[*about, *map(Column, names)], rows=steps, is_detail=True),
        Table(title="Training loss", columns=[*about, Column("Step"), Column("Loss")], rows=losses, is_detail=True),
    ]


def _evidence(exhibit: Exhibit) -> Evidence:
    """Half-way to where training leaves it before a third of the steps are over, in at least 3/4 of the tasks.

    At a steady speed under a linearly decaying learning rate it would be near the middle. Runs with fewer than three
    measured steps in that third are not counted.
    """
    paper = "MSE and correlation move sharply within the first ~200 steps"
    of_task = groups(exhibit.fig5.runs, "model", "task")
    last = sorted({run.steps[-1] for run in exhibit.fig5.runs})
    length = " to ".join(map(str, dict.fromkeys((last[0], last[-1])))) if last else "no"
    checks: list[Check] = []
    sentences, middle = [], None
    for name, label in (("mse", "the MSE"), ("correlation", "the loss of correlation")):
        medians = (_median(_half_way(run, getattr(run, name)) for run in runs) for runs in of_task.values())
        shares = [share for share in medians if share is not None]
        if not shares:
            continue
        early = sum(share <= _EARLY for share in shares)
        cases = f"{early} of {len(shares)} tasks"
        text = f"{label} passed half of its final size in the first third of the steps in {cases}"
        checks.append(Check(text, judged_share(early, len(shares))))
        share = number(_median(shares), percent=True)
        sentences.append(f"{text} (median task: after {share} of them)")
        middle = middle or f"half of the final MSE after {share} of the steps"
    if not checks:
        return Evidence(here=f"Training of {length} steps is too short to tell early from late.", paper=paper)
    end = f" Training took {length} steps. The step is the first measured one, so it can only be late."
    return Evidence(checks=checks, here=sentence("; ".join(sentences)) + end, number=middle, paper=paper)


def _half_way(run: Path, measured: Sequence[Estimate]) -> float | None:
    """The share of the steps after which a measure is first seen at half of its final distance from the start."""
    values = [value for value in map(value_of, measured) if value is not None]
    if len(values) != len(run.steps) or sum(0 < step <= _EARLY * run.steps[-1] for step in run.steps) < _SEEN:
        return None
    moved = [abs(x - values[0]) for x in values]
    if moved[-1] == 0:
        return None
    return next(step for step, x in zip(run.steps, moved, strict=True) if x >= moved[-1] / 2) / run.steps[-1]


def _median(values: Iterable[float | None]) -> float | None:
    known = sorted(value for value in values if value is not None)
    return known[(len(known) - 1) // 2] if known else None


CHAPTER = Chapter(
    name="early_change",
    exhibit=Exhibit,
    plan=plan,
    collect=collect,
    title="Finding 3: few samples suffice",
    question="How soon does the pattern leave the place where it was before training?",
    views=_views,
    claim=Claim(
        text="Few samples suffice: the pattern moves sharply in the first steps of training.",
        evidence=_evidence,
        meanings={
            "replicates": "Most of the movement is early: a short run shows where a long one takes the pattern.",
            "mixed": "The early steps move the pattern, and later ones still do: a short run shows part of the way.",
            "does not": "Here the pattern keeps moving through training; the first steps do not tell where it ends.",
        },
    ),
)
