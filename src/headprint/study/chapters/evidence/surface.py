"""E3: where do mixtures that are computed beforehand lie among random ones?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic.dataclasses import dataclass

from headprint.base.files import read_json, write_json
from headprint.study.chapters.chapter import Chapter, Claim, Jobs, Planned, View
from headprint.study.chapters.common import distinct, where
from headprint.study.chapters.evidence import statistics
from headprint.study.chapters.evidence.calibration import control_of, runs
from headprint.study.chapters.evidence.scoring import Scores
from headprint.study.chapters.evidence.settings import Evidence
from headprint.study.chapters.evidence.trials import Trials, basics, outcome, read_trial
from headprint.study.estimates import Estimate, mean_of, number, written
from headprint.study.groundwork import Run
from headprint.study.pipeline import Cache, Job, Needs, stage
from headprint.study.records import STRICT
from headprint.study.verdicts import Check, judged, listed
from headprint.study.verdicts import Evidence as Shown
from headprint.study.views import Column, Dots, Drawing, Figure, Panel, Series, Table, Text, details

By: TypeAlias = Literal["gradients", "levels"]

ARMS = {
    "uniform": "equal shares",
    "gradients": "the shares that head gradients find before any training",
    "levels": "the paper's shares, from changes of levels",
    "named": "the parts that people name, in equal shares",
}


@stage(version=1)
def weighed(out: Path, needs: Needs, *, target: str, names: list[str], by: By) -> None:
    """Decompose a target into basic tasks, non-negatively.

    Writes ``weighed.json``: the shares; equal ones where no task has a positive weight.
    """
    from headprint.analysis.bootstrap import Bootstrap
    from headprint.analysis.decomposition import decompose
    from headprint.patterns import PatternSet

    def read(name: str) -> Any:
        if by == "gradients":
            return PatternSet.load(needs[name] / "set")
        return tuple(PatternSet.load(needs[name] / when) for when in ("before", "after"))

    basis = {name: read(name) for name in names}
    fit = decompose(read(target), basis, by=by, method="nnls", permutations=0, bootstrap=Bootstrap(draws=0))
    found = {name: max(0.0, weight.value) for name, weight in fit.weights.items()}
    total = sum(found.values())
    shares = {name: weight / total if total > 0 else 1 / len(names) for name, weight in found.items()}
    write_json(out / "weighed.json", shares)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SurfaceRow:
    """One trial.

    Attributes:
        model: Name in the config.
        target: Whose rows came second.
        arm: ``random``, or how the shares were computed.
        seed: Of the study.
        repeat: Of the draw and the order of rows; of a random mixture its number.
        weights: Shares of the basic tasks.
        log_loss: Mean over the checkpoints of step two of the logarithm of the held-out loss.
        accuracy: After the last step, the share of right answers; None if it was not asked.
    """

    model: str
    target: str
    arm: str
    seed: int
    repeat: int
    weights: dict[str, float]
    log_loss: float
    accuracy: float | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SurfaceArm:
    """One computed mixture among the random ones.

    Attributes:
        model: Name in the config.
        target: Whose rows came second.
        arm: How the shares were computed.
        weights: Of the first seed.
        log_loss: Mean over repeats.
        over_uniform: Fall of the log loss below equal shares, paired by repeat.
        percentile: Share of the random mixtures that do worse.
        regret: Rise of the log loss over the lowest of the fitted surface, as the surface predicts both.
        p: Share of all relabelings of the shares that the surface predicts to do as well.
    """

    model: str
    target: str
    arm: str
    weights: dict[str, float]
    log_loss: Estimate
    over_uniform: Estimate | None
    percentile: float
    regret: float
    p: float


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SurfaceTable:
    """Every mixture of every target.

    Attributes:
        title: Heading.
        rows: Trials.
        arms: Computed mixtures.
        basics: Names of the tasks that are mixed.
        seeds: That it was run with.
        control: Whether the positive control of the calibration shows an effect; None without one.
    """

    title: str = "Computed mixtures of the basic tasks among random ones"
    rows: list[SurfaceRow]
    arms: list[SurfaceArm]
    basics: list[str]
    seeds: list[int]
    control: bool | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    e3: SurfaceTable


def plan(run: Run) -> Jobs:
    """A trial for each random mixture, which goes on to all targets; repeated ones of each computed mixture."""
    given = run.config.block(Evidence)
    section = given.surface if given else None
    if given is None or section is None or not runs(run, section.seeds):
        return {}
    trials, names = Trials(run, given), basics(run)
    scores = Scores(trials)
    jobs: dict[tuple[str, ...], Job] = {}
    for place, shares in enumerate(random_mixtures(len(names), section.count, run.seed)):
        label = f"mixture {place}"
        rows = trials.mixture(dict(zip(names, shares, strict=True)), names, label, seed=place)
        jobs["", "random", str(place), "trial"] = trials.trial(rows, section.targets, label, scored=False, seed=place)
    for target in section.targets:
        by_gradients = {name: scores.query(name) for name in (target, *names)}
        by_levels = {name: scores.change(name) for name in (target, *names)}
        parts = run.config.tasks[target].parts or []
        found: dict[str, dict[str, float] | Job] = {
            "uniform": dict.fromkeys(names, 1.0),
            "gradients": weighed.job(
                run.label(target, "gradients"), by_gradients, target=target, names=names, by="gradients"
            ),
            "levels": weighed.job(run.label(target, "levels"), by_levels, target=target, names=names, by="levels"),
            "named": {name: float(name in parts) for name in names},
        }
        for arm, weights in found.items():
            if isinstance(weights, Job):
                jobs[target, arm, "", "weights"] = weights
            for repeat in range(section.repeats):
                rows = trials.mixture(weights, names, target, arm, f"repeat {repeat}", seed=repeat)
                jobs[target, arm, str(repeat), "trial"] = trials.trial(
                    rows, [target], target, arm, f"repeat {repeat}", seed=repeat
                )
    return jobs


def random_mixtures(count: int, mixtures: int, seed: int) -> list[list[float]]:
    """Mixtures of ``count`` sources, uniform over the simplex."""
    drawn: list[list[float]] = np.random.default_rng([seed, 7]).dirichlet(np.ones(count), mixtures).round(4).tolist()
    return drawn


def collect(planned: Sequence[Planned], cache: Cache) -> Exhibit:
    """All mixtures, and where the computed ones lie."""
    given = planned[0].run.config.block(Evidence)
    assert given is not None
    assert given.surface is not None
    names = basics(planned[0].run)
    rows: list[SurfaceRow] = []
    for each in planned:
        drawn = random_mixtures(len(names), given.surface.count, each.run.seed)
        for (only, arm, repeat, kind), job in each.jobs.items():
            if kind != "trial":
                continue
            found = read_trial(cache.of(job))
            for target in [only] if only else given.surface.targets:
                weights = dict(zip(names, drawn[int(repeat)], strict=True)) if arm == "random" else {}
                if (target, arm, "", "weights") in each.jobs:
                    weights = read_json(cache.of(each.jobs[target, arm, "", "weights"]) / "weighed.json")
                elif arm != "random":
                    parts = names if arm == "uniform" else each.run.config.tasks[target].parts or []
                    weights = {name: 1 / len(parts) if name in parts else 0.0 for name in names}
                rows.append(
                    SurfaceRow(
                        model=each.run.name,
                        target=target,
                        arm=arm,
                        seed=each.run.seed,
                        repeat=int(repeat),
                        weights=weights,
                        log_loss=outcome(found, target),
                        accuracy=found["then"][target]["accuracy"],
                    )
                )
    arms = [
        _arm(where(rows, model=model, target=target), arm, names)
        for model in distinct(rows, "model")
        for target in given.surface.targets
        for arm in ARMS
    ]
    table = SurfaceTable(
        rows=rows, arms=arms, basics=names, seeds=distinct(rows, "seed"), control=control_of(planned, cache)
    )
    return Exhibit(e3=table)


def _arm(rows: Sequence[SurfaceRow], arm: str, names: Sequence[str]) -> SurfaceArm:
    random, own, uniform = (where(rows, arm=each) for each in ("random", arm, "uniform"))
    fitted = statistics.Surface([[row.weights[name] for name in names] for row in rows], [row.log_loss for row in rows])
    weights = [own[0].weights.get(name, 0.0) for name in names]
    loss = float(np.mean([row.log_loss for row in own]))
    return SurfaceArm(
        model=own[0].model,
        target=own[0].target,
        arm=arm,
        weights=dict(zip(names, weights, strict=True)),
        log_loss=mean_of(row.log_loss for row in own),
        over_uniform=None
        if arm == "uniform"
        else mean_of(a.log_loss - b.log_loss for a, b in zip(uniform, own, strict=True)),
        percentile=float(np.mean([row.log_loss > loss for row in random])),
        regret=float(fitted.at([weights])[0]) - fitted.lowest(len(names)),
        p=statistics.relabeled(weights, surface=fitted),
    )


def _views(exhibit: Exhibit, seeds: Sequence[int]) -> list[View]:
    table = exhibit.e3
    targets = distinct(table.arms, "target")
    contrast = Dots(
        title="fall of the log loss below equal shares",
        rows=targets,
        series=[
            Series(name=ARMS[arm], points=[where(table.arms, target=name, arm=arm)[0].over_uniform for name in targets])
            for arm in ARMS
            if arm != "uniform"
        ],
        reference=0.0,
    )
    percentile = Dots(
        title="share of random mixtures that do worse",
        rows=targets,
        series=[
            Series(name=ARMS[arm], points=[where(table.arms, target=name, arm=arm)[0].percentile for name in targets])
            for arm in ARMS
            if arm != "uniform"
        ],
        reference=0.5,
        percent=True,
        limits=(0.0, 1.0),
    )
    return [
        Figure(
            name="e3",
            title=table.title,
            caption="As many tokens of each mixture first, then the target's own rows.",
            drawing=Drawing(panels=[Panel(plots=[contrast, percentile])]),
            tables=[
                Table(
                    title="Mixtures",
                    columns=[
                        Column("Target"),
                        Column("Shares by"),
                        Column("Log loss", 3),
                        Column("Below equal shares", 3, signed=True),
                        Column("Percentile", percent=True),
                        Column("Regret", 3),
                        Column("p", None),
                        *(Column(name) for name in table.basics),
                    ],
                    rows=[
                        [
                            each.target,
                            each.arm,
                            each.log_loss,
                            each.over_uniform,
                            each.percentile,
                            each.regret,
                            each.p,
                            *(each.weights[name] for name in table.basics),
                        ]
                        for each in table.arms
                    ],
                    keys=2,
                    is_open=True,
                    note="Percentile: the share of random mixtures that do worse. Regret and p by a quadratic fit of "
                    "all mixtures: to its lowest point, and over all relabelings of the shares.",
                ),
                details("Trials", table.rows),
            ],
            notes=[
                Text("Intervals: Student's t over repeated draws and orders of rows, the target's rows being fixed.")
            ],
        )
    ]


def _evidence(exhibit: Exhibit) -> Shown:
    arms = where(exhibit.e3.arms, arm="gradients")
    if not arms:
        return Shown()
    checks = [
        Check(
            f"{each.target}: {written(each.over_uniform, 3, signed=True)} log units below equal shares, better than "
            f"{number(each.percentile, percent=True)} of random mixtures",
            judged(each.over_uniform),
        )
        for each in arms
    ]
    return Shown(
        seeds=len(exhibit.e3.seeds),
        checks=checks,
        here=f"Shares by head gradients: {listed(check.text for check in checks)}.",
        control=exhibit.e3.control,
    )


CHAPTER = Chapter(
    name="surface",
    exhibit=Exhibit,
    plan=plan,
    collect=collect,
    title="E3: which mixture of basic tasks helps?",
    question="Shares of the basic tasks by head gradients, by the paper's changes of levels, by name and equal ones, "
    "among random shares: how good are they?",
    views=_views,
    claim=Claim(
        text="Basic tasks in shares that head gradients find help a target more than equal shares.",
        evidence=_evidence,
        is_question=True,
    ),
)
