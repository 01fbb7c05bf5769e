"""Arms of two-step training: a target's rows after rows that a mixture or a selection chose (Tables 2 and 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from pydantic.dataclasses import dataclass

from headprint.study.chapters.common import BY_MODEL, MODEL, distinct, examples, qualified, spread_of, where
from headprint.study.estimates import Estimate, difference, mean_of, number, value_of, values_of, written
from headprint.study.records import STRICT
from headprint.study.verdicts import Check, judged
from headprint.study.views import Cell, Column, Dots, Drawing, Figure, Panel, Series, Table, Text, details


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
