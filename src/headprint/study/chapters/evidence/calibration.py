"""E1: which targets can show an effect of other tasks' rows, and do the named parts show one?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic.dataclasses import dataclass

from headprint.study.chapters.chapter import Chapter, Claim, Jobs, Planned, View
from headprint.study.chapters.common import distinct, where
from headprint.study.chapters.evidence.settings import Evidence
from headprint.study.chapters.evidence.statistics import sign_flips
from headprint.study.chapters.evidence.trials import Trials, basics, outcome, read_trial
from headprint.study.estimates import Estimate, mean_of, number, value_of, written
from headprint.study.groundwork import Run
from headprint.study.pipeline import Cache, Job
from headprint.study.records import STRICT
from headprint.study.verdicts import CHANCE, Check, listed
from headprint.study.verdicts import Evidence as Shown
from headprint.study.views import Column, Dots, Drawing, Figure, Panel, Series, Table, Text, details

ARMS = {
    "target": "the target's own rows only",
    "uniform": "all basic tasks in equal shares first",
    "named": "the parts that people name first",
}
BASE = "base"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CalibrationRow:
    """One trial.

    Attributes:
        model: Name in the config.
        target: The complex task.
        arm: What came first.
        seed: Of rows and order.
        log_loss: Mean over the checkpoints of step two of the logarithm of the held-out loss; of ``base``, which is not
            trained, of its loss.
        loss: After the last step, in nats.
        accuracy: Likewise, the share of right answers.
    """

    model: str
    target: str
    arm: str
    seed: int
    log_loss: float
    loss: float
    accuracy: float | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CalibratedTarget:
    """What a target can show, over seeds.

    Attributes:
        model: Name in the config.
        target: The complex task.
        seeds: How many.
        base: Loss of the untrained model, in nats.
        loss: After the target's own rows only, in nats.
        accuracy: Likewise.
        named: Fall of the log loss that the named parts bring over the target's own rows only.
        uniform: The same of all basic tasks in equal shares.
        contrast: Fall that the named parts bring over equal shares: the positive control.
        passes: Whether the accuracy lies in the bounds and the named parts bring enough.
    """

    model: str
    target: str
    seeds: int
    base: float
    loss: Estimate
    accuracy: Estimate | None
    named: Estimate
    uniform: Estimate
    contrast: Estimate
    passes: bool


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CalibrationTable:
    """Every trial, every target, and the positive control over targets.

    Attributes:
        title: Heading.
        rows: Trials.
        targets: Their means.
        control: Mean over targets of the fall that the named parts bring over equal shares.
        p: Of that mean, by all sign flips of the targets' contrasts.
        bounds: Lowest and highest accuracy that pass.
        gain: Fall of the log loss that passes.
        seeds: That it was run with.
    """

    title: str = "Which targets can show an effect"
    rows: list[CalibrationRow]
    targets: list[CalibratedTarget]
    control: Estimate
    p: float | None
    bounds: tuple[float, float]
    gain: float
    seeds: list[int]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    e1: CalibrationTable


def plan(run: Run) -> Jobs:
    """One job for each arm, which goes on to all targets; the named parts differ by target."""
    given = run.config.block(Evidence)
    if given is None or given.calibration is None or not runs(run, given.calibration.seeds):
        return {}
    trials, every = Trials(run, given), list(given.targets)
    uniform = trials.mixture(dict.fromkeys(basics(run), 1.0), basics(run), "uniform")
    jobs: dict[tuple[str, ...], Job] = {
        ("", BASE): trials.trial(None, every, BASE, second=False),
        ("", "target"): trials.trial(None, every, "own rows"),
        ("", "uniform"): trials.trial(uniform, every, "uniform first"),
    }
    for target in every:
        parts = run.config.tasks[target].parts or []
        named = trials.mixture(dict.fromkeys(parts, 1.0), parts, target, "named")
        jobs[target, "named"] = trials.trial(named, [target], target, "named first")
    return jobs


def runs(run: Run, seeds: Sequence[int] | None) -> bool:
    """Whether an experiment is run with this seed."""
    return seeds is None or run.seed in seeds


def collect(planned: Sequence[Planned], cache: Cache) -> Exhibit:
    """All trials, and what they say of each target."""
    rows = []
    for each in planned:
        for (only, arm), job in each.jobs.items():
            found = read_trial(cache.of(job))
            for target in [only] if only else found["first"]["losses"]:
                of: dict[str, Any] = {"model": each.run.name, "target": target, "arm": arm, "seed": each.run.seed}
                if arm == BASE:
                    loss = found["first"]["losses"][target]
                    rows.append(CalibrationRow(**of, log_loss=float(np.log(loss)), loss=loss, accuracy=None))
                else:
                    then = found["then"][target]
                    last = list(then["curve"].values())[-1]
                    log_loss = outcome(found, target)
                    rows.append(CalibrationRow(**of, log_loss=log_loss, loss=last, accuracy=then["accuracy"]))
    config = planned[0].run.config
    given = config.block(Evidence)
    assert given is not None
    assert given.calibration is not None
    bounds, gain = given.calibration.accuracy, given.calibration.gain
    targets = [
        _calibrated(where(rows, model=model, target=target), bounds, gain)
        for model in distinct(rows, "model")
        for target in given.targets
    ]
    contrasts = [value for each in targets if (value := value_of(each.contrast)) is not None]
    table = CalibrationTable(
        rows=rows,
        targets=targets,
        control=mean_of(contrasts),
        p=sign_flips(contrasts),
        bounds=bounds,
        gain=gain,
        seeds=distinct(rows, "seed"),
    )
    return Exhibit(e1=table)


def _calibrated(rows: Sequence[CalibrationRow], bounds: tuple[float, float], least: float) -> CalibratedTarget:
    own, uniform, named = (where(rows, arm=arm) for arm in ARMS)
    gained = mean_of(a.log_loss - b.log_loss for a, b in zip(own, named, strict=True))
    accuracies = [row.accuracy for row in own if row.accuracy is not None]
    right = float(np.mean(accuracies)) if accuracies else None
    return CalibratedTarget(
        model=own[0].model,
        target=own[0].target,
        seeds=len(own),
        base=float(np.mean([row.loss for row in where(rows, arm=BASE)])),
        loss=mean_of(row.loss for row in own),
        accuracy=mean_of(accuracies) if accuracies else None,
        named=gained,
        uniform=mean_of(a.log_loss - b.log_loss for a, b in zip(own, uniform, strict=True)),
        contrast=mean_of(a.log_loss - b.log_loss for a, b in zip(uniform, named, strict=True)),
        passes=(value_of(gained) or 0.0) >= least and (right is None or bounds[0] <= right <= bounds[1]),
    )


def _views(exhibit: Exhibit, seeds: Sequence[int]) -> list[View]:
    table = exhibit.e1
    names = [each.target for each in table.targets]
    series = [
        Series(name="named parts first", points=[each.named for each in table.targets]),
        Series(name="equal shares first", points=[each.uniform for each in table.targets]),
    ]
    dots = Dots(title="fall of the log loss over own rows only", rows=names, series=series, reference=0.0)
    summary = Table(
        title="Targets",
        columns=[
            Column("Target"),
            Column("Loss before"),
            Column("Loss after own rows"),
            Column("Accuracy after own rows", percent=True),
            Column("Named parts first", signed=True),
            Column("Equal shares first", signed=True),
            Column("Named over equal", signed=True),
            Column("Passes"),
        ],
        rows=[
            [each.target, each.base, each.loss, each.accuracy, each.named, each.uniform, each.contrast, each.passes]
            for each in table.targets
        ],
        keys=1,
        is_open=True,
        note=f"A target passes with {number(table.bounds[0], percent=True)} to {number(table.bounds[1], percent=True)} "
        f"right answers from its own rows, and a fall of at least {table.gain} from its named parts.",
    )
    return [
        Figure(
            name="e1",
            title=table.title,
            caption="Gains in the mean log loss over the checkpoints of step two, in log units; above 0 is better.",
            drawing=Drawing(panels=[Panel(plots=[dots])]),
            tables=[summary, details("Trials", table.rows)],
            notes=[
                Text(
                    f"The positive control, named parts over equal shares: {written(table.control, 3, signed=True)} "
                    f"log units over {len(table.targets)} targets, p = {number(table.p, 3)} (all sign flips). "
                    + over_seeds(table.seeds)
                )
            ],
        )
    ]


def over_seeds(seeds: Sequence[int]) -> str:
    """How many seeds stand behind the numbers."""
    return "One seed." if len(seeds) == 1 else f"{len(seeds)} seeds, paired; intervals: Student's t, 95 %."


def control_works(table: CalibrationTable) -> bool | None:
    """Whether the positive control shows an effect."""
    return None if table.p is None else table.p <= CHANCE and (value_of(table.control) or 0.0) > 0


def control_of(planned: Sequence[Planned], cache: Cache) -> bool | None:
    """Whether the positive control of the same runs shows an effect; None if it was not made."""
    own = [Planned(each.run, jobs) for each in planned if (jobs := plan(each.run))]
    if not own or not all(cache.has(job) for each in own for job in each.jobs.values()):
        return None
    return control_works(collect(own, cache).e1)


def _evidence(exhibit: Exhibit) -> Shown:
    table = exhibit.e1
    passing = [each.target for each in table.targets if each.passes]
    text = (
        f"the named parts first lower the log loss by {written(table.control, 3)} more than equal shares "
        f"(p = {number(table.p, 3)})"
    )
    return Shown(
        seeds=len(table.seeds),
        checks=[Check(text, control_works(table))],
        here=f"{len(passing)} of {len(table.targets)} targets pass{': ' + listed(passing) if passing else ''}; {text}.",
    )


CHAPTER = Chapter(
    name="calibration",
    exhibit=Exhibit,
    plan=plan,
    collect=collect,
    title="E1: can this laboratory show an effect?",
    question="Before anything is claimed: do the tasks that a target is made of help it more than all tasks alike?",
    views=_views,
    claim=Claim(
        text="Training first on the tasks that a complex task is made of helps it more than training on all alike.",
        evidence=_evidence,
        is_question=True,
    ),
)
