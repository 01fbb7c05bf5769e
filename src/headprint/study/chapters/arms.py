"""Arms of two-step training: a target's rows after rows that a mixture or a selection chose (Tables 2 and 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from pydantic.dataclasses import dataclass

from headprint.study.chapters.chapter import Planned
from headprint.study.chapters.common import BY_MODEL, MODEL, distinct, examples, groups, qualified, spread_of, where
from headprint.study.estimates import Estimate, difference, mean_of, number, value_of, values_of, written
from headprint.study.groundwork import Run
from headprint.study.pipeline import Cache, Job
from headprint.study.records import STRICT, parsed
from headprint.study.verdicts import Check, judged
from headprint.study.views import Cell, Column, Dots, Drawing, Figure, Panel, Series, Table, Text, details

BASE, TARGET, RANDOM, PERMUTED = "base", "target", "random", "permuted"

WITHOUT_STEP_1 = {BASE: "no training", TARGET: "the target's own rows only"}
"""The arms that every table has beside its own."""

Answers: TypeAlias = Mapping[tuple[str, str, str, int], Sequence[Mapping[str, Any]]]
"""Outcomes of the test rows, by model, target, arm and seed."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Gain:
    """How much more one run has than another of the same seed, paired by test rows."""

    accuracy: Estimate | None
    loss: Estimate | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ArmRow:
    """One run of one arm.

    Attributes:
        model: Name in the config.
        target: The complex task.
        arm: How the rows of step 1 were chosen; ``base`` is the untrained model, ``target`` has no step 1.
        seed: Of the run.
        rows: Rows of step 1.
        tokens: Their supervised tokens.
        weights: By which a mixture was drawn, by task.
        counts: Rows of a mixture by task.
        note: What is odd about the choice.
        share: Of a selection, the share of rows that have each skill.
        accuracy: Share of right answers on the target; None without a scorer.
        loss: Mean completion loss on the target, in nats.
        n: Test rows.
        over: Gains over other arms.
    """

    model: str
    target: str
    arm: str
    seed: int
    rows: int = 0
    tokens: int = 0
    weights: dict[str, float] | None = None
    counts: dict[str, int] | None = None
    note: str | None = None
    share: dict[str, float] | None = None
    accuracy: Estimate | None
    loss: Estimate | None
    n: int
    over: dict[str, Gain]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeanArm:
    """Runs of one arm, averaged over seeds; gains over the target's own rows alone, and over random rows in step 1.

    Gains are paired: of several seeds seed by seed, of a single one row by row of the test.
    """

    model: str
    target: str
    arm: str
    seeds: int
    accuracy: Estimate | None
    gain_accuracy: Estimate | None
    over_random_accuracy: Estimate | None
    loss: Estimate | None
    gain_loss: Estimate | None
    over_random_loss: Estimate | None


def without_step_1(run: Run, target: str) -> dict[tuple[str, ...], Job]:
    """The evaluations of the untrained model, and of the one that is trained on the target's own rows alone."""
    return {
        (target, BASE, "evaluation"): run.evaluate(target, None, f"{target} before"),
        (target, TARGET, "evaluation"): run.evaluate(target, run.tuned[target], f"{target} after"),
    }


def collect_arms(planned: Sequence[Planned], cache: Cache, order: Sequence[str]) -> tuple[list[ArmRow], list[MeanArm]]:
    """All runs of all arms, and their means.

    Args:
        planned: Jobs under target, arm, and ``evaluation`` or ``choice``.
        cache: Where their results are.
        order: Of the arms.
    """
    answers: dict[tuple[str, str, str, int], list[dict[str, Any]]] = {}
    found: list[tuple[dict[str, Any], Job]] = []
    for each in planned:
        for (target, arm, what), job in each.jobs.items():
            if what == "evaluation":
                of = {"model": each.run.name, "target": target, "arm": arm, "seed": each.run.seed}
                choice = each.jobs.get((target, arm, "choice"))
                measured = {name: cache.json(job)[name] for name in ("accuracy", "loss", "n")}
                found.append((of | measured | (_choice(cache.json(choice)) if choice else {}), job))
                answers[each.run.name, target, arm, each.run.seed] = cache.lines(job, "answers.jsonl")
    models, targets = [list(dict.fromkeys(row[name] for row, _ in found)) for name in ("model", "target")]
    found.sort(
        key=lambda pair: (models.index(pair[0]["model"]), targets.index(pair[0]["target"]), order.index(pair[0]["arm"]))
    )
    rows = [parsed(ArmRow, {**row, "over": _over(row, answers)}, str(job)) for row, job in found]
    return rows, summary(rows, answers)


def _choice(found: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of the rows of step 1."""
    names = ("rows", "tokens", "weights", "counts", "note", "share")
    return {name: found[name] for name in names if name in found}


def _over(row: Mapping[str, Any], answers: Answers) -> dict[str, Gain]:
    """Gains of one run over other arms of the same seed, paired by the rows of the test."""
    model, target, arm, seed = (row[name] for name in ("model", "target", "arm", "seed"))
    found = {}
    for other in (TARGET, RANDOM, PERMUTED):
        if other != arm and (model, target, other, seed) in answers:
            pairs = [(answers[model, target, arm, seed], answers[model, target, other, seed])]
            found[other] = Gain(
                accuracy=_gain(pairs, "right") if row["accuracy"] else None,
                loss=_gain(pairs, "loss") if row["loss"] else None,
            )
    return found


def summary(rows: Sequence[ArmRow], answers: Answers) -> list[MeanArm]:
    """Means over seeds, and gains over two arms: the target's rows alone, and random rows in step 1.

    Args:
        rows: One run each.
        answers: Outcomes of their test rows.
    """
    found = []
    for own in groups(rows, "model", "target", "arm").values():
        model, target, arm = own[0].model, own[0].target, own[0].arm

        def gain(other: str, column: str, known: Sequence[Estimate]) -> Estimate | None:
            pairs = [
                (answers[row.model, row.target, row.arm, row.seed], answers[row.model, row.target, other, row.seed])
                for row in own  # noqa: B023
                if (row.model, row.target, other, row.seed) in answers
            ]
            return _gain(pairs, column) if known and pairs else None

        accuracies = [row.accuracy for row in own if row.accuracy is not None]
        losses = [row.loss for row in own if row.loss is not None]
        found.append(
            MeanArm(
                model=model,
                target=target,
                arm=arm,
                seeds=len(own),
                accuracy=_mean(accuracies, len(own)),
                gain_accuracy=gain(TARGET, "right", accuracies),
                over_random_accuracy=gain(RANDOM, "right", accuracies),
                loss=_mean(losses, len(own)),
                gain_loss=gain(TARGET, "loss", losses),
                over_random_loss=gain(RANDOM, "loss", losses),
            )
        )
    return found


def _mean(known: Sequence[Estimate], seeds: int) -> Estimate | None:
    if not known:
        return None
    return known[0] if seeds == 1 else mean_of(values_of(known))


def _gain(pairs: Sequence[tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]], column: str) -> Estimate:
    """How much more of a column the first of each pair has, on the same test rows."""
    rises = [
        [float(a[column]) - float(b[column]) for a, b in zip(first, second, strict=True)] for first, second in pairs
    ]
    return mean_of(rises[0] if len(rises) == 1 else (sum(each) / len(each) for each in rises))


Measure: TypeAlias = Literal["accuracy", "loss"]

_TITLES: dict[Measure, str] = {"accuracy": "Accuracy", "loss": "Held-out loss (nats)"}


def arms_figure(
    name: str,
    title: str,
    caption: str,
    arms: Mapping[str, str],
    rows: Sequence[ArmRow],
    summary: Sequence[MeanArm],
    seeds: Sequence[int],
    published: Sequence[Table] = (),
) -> Figure:
    """Every arm of every target: how well it does, and what it gains over the target's own rows alone.

    Args:
        name: Of the exhibit.
        title: Heading.
        caption: What is shown.
        arms: What each arm does, in words.
        rows: Every run.
        summary: Their means over seeds.
        seeds: Of the study.
        published: The paper's own numbers.
    """
    count = len(distinct(rows, "arm"))
    return Figure(
        name=name,
        title=title,
        caption=caption,
        drawing=Drawing(panels=[_panel(model, summary) for model in distinct(summary, "model")], choosers=[BY_MODEL]),
        tables=[_table(arms, rows, summary), *published, details("Every run", rows)],
        notes=[
            examples(row.n for row in rows),
            spread_of(seeds),
            Text(f"{count} arms, no correction for many comparisons; the dashed line is training on the target only."),
        ],
    )


def _panel(model: str, summary: Sequence[MeanArm]) -> Panel:
    """A plot for each target and measure, a row for each arm, and a line where the target's rows alone lead."""
    plots: list[Dots] = []
    shown: list[Measure] = [measure for measure in _TITLES if any(getattr(row, measure) for row in summary)]
    for target in distinct(where(summary, model=model), "target"):
        rows = {row.arm: row for row in where(summary, model=model, target=target)}
        for measure in shown:
            alone = value_of(getattr(rows["target"], measure)) if "target" in rows else None
            points = [getattr(row, measure) for row in rows.values()]
            plots.append(
                Dots(
                    title=f"{target}: {_TITLES[measure]}",
                    rows=list(rows),
                    series=[Series(name=target, points=points)],
                    reference=alone,
                    percent=measure == "accuracy",
                )
            )
    return Panel(plots=plots, at=(model,), columns=len(shown))


def _table(arms: Mapping[str, str], rows: Sequence[ArmRow], summary: Sequence[MeanArm]) -> Table:
    lines: list[list[Cell]] = []
    for row in summary:
        of = where(rows, model=row.model, target=row.target, arm=row.arm)
        gains = (None, None) if row.arm == "target" else (row.gain_accuracy, row.gain_loss)
        shares = next((each.weights or each.share for each in of if each.weights or each.share), None) or {}
        line = [row.model, row.target, row.arm, arms.get(row.arm), row.accuracy, gains[0], row.loss, gains[1]]
        sizes = [mean_of(float(getattr(each, name)) for each in of).value for name in ("rows", "tokens")]
        lines.append([*line, *sizes, ", ".join(f"{name} {number(share)}" for name, share in shares.items())])
    columns = [
        MODEL,
        Column("Target"),
        Column("Arm"),
        Column("What it trains on first"),
        Column("Accuracy", percent=True),
        Column("Accuracy over target only", percent=True, signed=True),
        Column("Loss"),
        Column("Loss over target only", signed=True),
        Column("Rows", 0),
        Column("Tokens", 0),
        Column("Weights or shares, first seed"),
    ]
    return Table(title="Here", columns=columns, rows=lines, keys=3)


def by_target(rows: Sequence[ArmRow]) -> dict[str, list[ArmRow]]:
    """Rows by target, and by model where there are several."""
    found: dict[str, list[ArmRow]] = {}
    for row in rows:
        found.setdefault(qualified(row, rows, "target"), []).append(row)
    return found


def gap(rows: Sequence[ArmRow], arm: str, other: str, measure: Measure) -> Estimate:
    """How much more of a measure one arm has than another, over the seeds that have both.

    Args:
        rows: Of one model and target.
        arm: The one.
        other: The other.
        measure: Accuracy or loss.

    Returns:
        Mean and Student's interval of the differences; of one seed, that of the same test rows where it is known, or
        else the difference of two estimates over examples.
    """
    of = {row.seed: row for row in rows if row.arm == arm}
    others = {row.seed: row for row in rows if row.arm == other}
    pairs = [(of[seed], others[seed]) for seed in of if seed in others]
    known = [(a, b) for a, b in pairs if None not in (value_of(getattr(a, measure)), value_of(getattr(b, measure)))]
    if len(known) == 1:
        a, b = known[0]
        paired = getattr(a.over[other], measure) if other in a.over else None
        return paired or difference(getattr(a, measure), getattr(b, measure))
    return mean_of(getattr(a, measure).value - getattr(b, measure).value for a, b in known)


def compared(
    rows: Sequence[ArmRow], target: str, arm: str, other: str, *, names: tuple[str, str] | None = None
) -> tuple[Check, str] | None:
    """The check of one arm against another, and the measure that decides in words; None where neither is known.

    Accuracy decides. Where there is none, or it is the same in all runs of both arms (a task that nothing solves), the
    held-out loss does.

    Args:
        rows: Of one target.
        target: Its name.
        arm: The arm that should be better.
        other: What it is compared with.
        names: Both arms in words.
    """
    name, label = names or (arm, other)
    right, loss = gap(rows, arm, other, "accuracy"), gap(rows, arm, other, "loss")
    found = []
    if right.value is not None:
        points = written(right, percent=True, signed=True).replace(" %", " points")
        found.append((f"accuracy by {points}", judged(right)))
    if loss.value is not None:
        found.append((f"loss by {written(loss, signed=True)} nats", judged(loss, -1)))
    if not found:
        return None
    text, holds = found[-1] if right.value == 0 and _is_the_same(rows, arm, other) else found[0]
    every = ", ".join(text for text, _ in found)
    return Check(f"{target}: {name} against {label} changes {every}", holds), f"{text} against {label}"


def _is_the_same(rows: Sequence[ArmRow], arm: str, other: str) -> bool:
    """Whether both arms have one and the same accuracy in all seeds."""
    return len(set(values_of(row.accuracy for row in rows if row.arm in (arm, other)))) == 1


def means(rows: Sequence[ArmRow], arms: Sequence[str]) -> str:
    """Mean accuracies of some arms over seeds in words; losses if accuracies do not tell the arms apart."""
    for measure, percent in (("accuracy", True), ("loss", False)):
        found = {arm: mean_of(values_of(getattr(row, measure) for row in where(rows, arm=arm))).value for arm in arms}
        known = {arm: mean for arm, mean in found.items() if mean is not None}
        if len(set(known.values())) > 1:
            return f"{measure} {', '.join(f'{arm} {number(mean, percent=percent)}' for arm, mean in known.items())}"
    return "no difference"


def counted(checks: Sequence[Check]) -> str:
    """How many comparisons are clear, and which way."""
    better, worse = (sum(check.holds is state for check in checks) for state in (True, False))
    return f" Of {len(checks)} comparisons {better} are clearly better and {worse} clearly worse."
