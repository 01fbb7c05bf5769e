"""Arms of two-step training: what became of each, how they compare, and what a reader sees of that (Tables 2, 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from pydantic.dataclasses import dataclass

from headprint.base.files import read_json
from headprint.study.chapters.chapter import Planned
from headprint.study.chapters.common import BY_MODEL, MODEL, distinct, examples, groups, qualified, spread_of, where
from headprint.study.chapters.two_steps import BASE, RANDOM, TARGET, UNIFORM
from headprint.study.estimates import (
    Estimate,
    difference,
    log_of,
    log_ratio,
    mean_of,
    number,
    value_of,
    values_of,
    written,
)
from headprint.study.pipeline import Cache
from headprint.study.records import STRICT, parsed
from headprint.study.verdicts import Check, Evidence, judged
from headprint.study.views import Cell, Column, Dots, Drawing, Figure, Panel, Series, Table, Text, details

Answers: TypeAlias = Mapping[tuple[str, str, str, int], Sequence[Mapping[str, Any]]]
"""Outcomes of the test rows, by model, target, arm and seed."""

Measure: TypeAlias = Literal["log_loss", "accuracy"]
"""What arms are compared by. The log loss comes first: an accuracy of scarce rows jumps, and says little by itself."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Gain:
    """How much more one run has than another of the same seed, paired by test rows; log losses fall where it helps."""

    log_loss: Estimate | None
    accuracy: Estimate | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ArmRow:
    """One run of one arm.

    Attributes:
        model: Name in the config.
        target: The complex task.
        arm: How the rows of step 1 were chosen; ``base`` is the untrained model, ``target`` has no step 1.
        seed: Of the run.
        draw: Of an arm that is drawn several times a seed, which draw.
        steps: Optimizer steps of step 1.
        rows: Rows that it trained on.
        tokens: Their supervised tokens.
        weights: By which a mixture was drawn, by task: shares of the tokens.
        counts: Rows of a mixture by task.
        note: What is odd about the choice.
        share: Of a selection, the share of rows that have each skill.
        loss: Mean completion loss on the target, in nats.
        accuracy: Share of right answers on the target; None without a scorer.
        n: Test rows.
        over: Gains over other arms.
    """

    model: str
    target: str
    arm: str
    seed: int
    draw: int = 0
    steps: int = 0
    rows: int = 0
    tokens: int = 0
    weights: dict[str, float] | None = None
    counts: dict[str, int] | None = None
    note: str | None = None
    share: dict[str, float] | None = None
    loss: Estimate | None
    accuracy: Estimate | None
    n: int
    over: dict[str, Gain]

    def measured(self, measure: Measure) -> Estimate | None:
        """The outcome by a measure."""
        return self.accuracy if measure == "accuracy" else log_of(self.loss)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeanArm:
    """Runs of one arm, averaged over seeds; gains over the target's own rows alone, and over random rows in step 1.

    Gains are paired: of several seeds seed by seed, of a single one row by row of the test.
    """

    model: str
    target: str
    arm: str
    seeds: int
    loss: Estimate | None
    gain_log_loss: Estimate | None
    over_random_log_loss: Estimate | None
    accuracy: Estimate | None
    gain_accuracy: Estimate | None
    over_random_accuracy: Estimate | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Arms:
    """Every arm of every target; ``arms`` says in words what each one does."""

    arms: dict[str, str]
    rows: list[ArmRow]
    summary: list[MeanArm]


def collect_arms(planned: Sequence[Planned], cache: Cache, words: Mapping[str, str]) -> dict[str, Any]:
    """All runs of all arms, and their means: the fields of :class:`Arms`.

    Args:
        planned: Jobs of :func:`~headprint.study.chapters.two_steps.two_step_jobs`.
        cache: Where their results are.
        words: What each arm does, in the order of the table.
    """
    answers: dict[tuple[str, str, str, int], list[dict[str, Any]]] = {}
    found: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    for each in planned:
        for (target, arm, draw, what), job in each.jobs.items():
            if what != "evaluation":
                continue
            outcomes = cache.lines(job, "answers.jsonl")
            answers[each.run.name, target, arm, each.run.seed] = outcomes
            row = {"model": each.run.name, "target": target, "arm": arm, "seed": each.run.seed, "draw": int(draw)}
            row |= {name: cache.json(job)[name] for name in ("loss", "accuracy", "n")}
            if choice := each.jobs.get((target, arm, draw, "choice")):
                row |= cache.json(choice)
                step_1 = read_json(cache.of(job.needs["start"].needs["start"]) / "trained.json")
                row |= {name: step_1[name] for name in ("steps", "rows", "tokens")}
            found.append((row, outcomes))
    rows = [parsed(ArmRow, {**row, "over": _over(row, own, answers)}, f"{row['arm']}") for row, own in found]
    models, targets, arms = (distinct(rows, name) for name in ("model", "target", "arm"))
    order = [arm for arm in words if arm in arms]
    rows.sort(key=lambda row: (models.index(row.model), targets.index(row.target), order.index(row.arm)))
    return {"arms": {arm: words[arm] for arm in order}, "rows": rows, "summary": summary(rows)}


def _over(row: Mapping[str, Any], own: Sequence[Mapping[str, Any]], answers: Answers) -> dict[str, Gain]:
    """Gains of one run over other arms of the same seed, paired by the rows of the test."""
    found = {}
    for other in (TARGET, RANDOM, UNIFORM):
        theirs = answers.get((row["model"], row["target"], other, row["seed"]))
        if other != row["arm"] and theirs is not None:
            losses = [[float(each["loss"]) for each in outcomes] for outcomes in (own, theirs)] if row["loss"] else None
            right = [a["right"] - b["right"] for a, b in zip(own, theirs, strict=True)] if row["accuracy"] else None
            found[other] = Gain(
                log_loss=log_ratio(*losses) if losses else None, accuracy=mean_of(right) if right else None
            )
    return found


def summary(rows: Sequence[ArmRow]) -> list[MeanArm]:
    """Means over seeds, and gains over two arms: the target's rows alone, and random rows in step 1."""
    found = []
    for (model, target), of in groups(rows, "model", "target").items():
        for (arm,), own in groups(of, "arm").items():

            def gain(other: str, measure: Measure, of: Sequence[ArmRow] = of, arm: str = arm) -> Estimate | None:
                known = gap(of, arm, other, measure)
                return None if arm == other or known.value is None else known

            found.append(
                MeanArm(
                    model=model,
                    target=target,
                    arm=arm,
                    seeds=len(distinct(own, "seed")),
                    loss=_mean([row.loss for row in own]),
                    gain_log_loss=gain(TARGET, "log_loss"),
                    over_random_log_loss=gain(RANDOM, "log_loss"),
                    accuracy=_mean([row.accuracy for row in own]),
                    gain_accuracy=gain(TARGET, "accuracy"),
                    over_random_accuracy=gain(RANDOM, "accuracy"),
                )
            )
    return found


def _mean(estimates: Sequence[Estimate | None]) -> Estimate | None:
    """Over runs; of a single one its own."""
    known = [each for each in estimates if each is not None]
    if not known:
        return None
    return known[0] if len(known) == 1 else mean_of(values_of(known))


def gap(rows: Sequence[ArmRow], arm: str, other: str, measure: Measure) -> Estimate:
    """How much more of a measure one arm has than another, over the seeds that have both.

    Args:
        rows: Of one model and target.
        arm: The one.
        other: The other.
        measure: Log loss or accuracy.

    Returns:
        Mean and Student's interval of the differences between seeds' means over draws; of a single run of each, that of
        the same test rows where it is known, or else the difference of two estimates over examples.
    """
    mine, theirs = (groups(where(rows, arm=name), "seed") for name in (arm, other))
    pairs = [(mine[seed], theirs[seed]) for seed in mine if seed in theirs]
    if len(pairs) == 1 and len(pairs[0][0]) == len(pairs[0][1]) == 1:
        (((a,), (b,)),) = pairs
        paired = getattr(a.over[other], measure) if other in a.over else None
        return paired or difference(a.measured(measure), b.measured(measure))
    means = [[mean_of(values_of(row.measured(measure) for row in of)).value for of in pair] for pair in pairs]
    return mean_of(a - b for a, b in means if a is not None and b is not None)


_TITLES = {"loss": "Held-out loss (nats)", "accuracy": "Accuracy"}


def arms_figure(
    name: str, title: str, caption: str, table: Arms, seeds: Sequence[int], published: Sequence[Table] = ()
) -> Figure:
    """Every arm of every target: how well it does, and what it gains over random rows and over no step 1.

    Args:
        name: Of the exhibit.
        title: Heading.
        caption: What is shown.
        table: All arms.
        seeds: Of the study.
        published: The paper's own numbers.
    """
    count = len(distinct(table.rows, "arm"))
    panels = [_panel(model, table.summary) for model in distinct(table.summary, "model")]
    return Figure(
        name=name,
        title=title,
        caption=caption,
        drawing=Drawing(panels=panels, choosers=[BY_MODEL]),
        tables=[_table(table), *published, details("Every run", table.rows)],
        notes=[
            examples(row.n for row in table.rows),
            spread_of(seeds),
            Text("Log loss is the natural logarithm of the held-out loss: −0.10 is about 10 % less loss."),
            Text(f"{count} arms, no correction for many comparisons; the dashed line is training on the target only."),
        ],
    )


def _panel(model: str, summary: Sequence[MeanArm]) -> Panel:
    """A plot for each target and measure, a row for each arm, and a line where the target's rows alone lead."""
    plots: list[Dots] = []
    shown = [measure for measure in _TITLES if any(getattr(row, measure) for row in summary)]
    for target in distinct(where(summary, model=model), "target"):
        rows = {row.arm: row for row in where(summary, model=model, target=target)}
        for measure in shown:
            plots.append(
                Dots(
                    title=f"{target}: {_TITLES[measure]}",
                    rows=list(rows),
                    series=[Series(name=target, points=[getattr(row, measure) for row in rows.values()])],
                    reference=value_of(getattr(rows[TARGET], measure)) if TARGET in rows else None,
                    percent=measure == "accuracy",
                )
            )
    return Panel(plots=plots, at=(model,), columns=len(shown))


def _table(table: Arms) -> Table:
    lines: list[list[Cell]] = []
    for row in table.summary:
        of = where(table.rows, model=row.model, target=row.target, arm=row.arm)
        shares = next((each.weights or each.share for each in of if each.weights or each.share), None) or {}
        losses = [row.loss, row.over_random_log_loss, row.gain_log_loss]
        rights = [row.accuracy, row.over_random_accuracy, row.gain_accuracy]
        sizes = [mean_of(float(getattr(each, name)) for each in of).value for name in ("steps", "rows", "tokens")]
        told = ", ".join(f"{name} {number(share)}" for name, share in shares.items())
        lines.append([row.model, row.target, row.arm, table.arms.get(row.arm), *losses, *rights, *sizes, told])
    columns = [
        MODEL,
        Column("Target"),
        Column("Arm"),
        Column("What it trains on first"),
        Column("Loss"),
        Column("Log loss over random", signed=True),
        Column("Log loss over target only", signed=True),
        Column("Accuracy", percent=True),
        Column("Accuracy over random", percent=True, signed=True),
        Column("Accuracy over target only", percent=True, signed=True),
        Column("Steps", 0),
        Column("Rows", 0),
        Column("Tokens", 0),
        Column("Weights or shares, first run"),
    ]
    return Table(title="Here", columns=columns, rows=lines, keys=3)


def evidence_of(
    rows: Sequence[ArmRow],
    comparisons: Sequence[tuple[str, str]],
    control: str,
    *,
    names: Mapping[str, str],
    aside: Sequence[tuple[str, str]] = (),
    paper: str | None = None,
) -> Evidence:
    """Whether arms beat others on each target, by the log loss.

    The positive control is an arm that is known to help, which should beat random rows. Where it does not, the target
    cannot tell whether others help, and its comparisons decide nothing.

    Args:
        rows: Every run.
        comparisons: An arm that is claimed to be better, and the other; those that the rows do not have are left out.
        control: The arm of the positive control.
        names: Arms in words; others are called as in the table.
        aside: Comparisons that are reported and not judged.
        paper: The paper's own numbers.
    """
    checks: list[Check] = []
    seen: list[Check] = []
    sentences, numbers, controls = [], [], []
    by_target: dict[str, list[ArmRow]] = {}
    for row in rows:
        by_target.setdefault(qualified(row, rows, "target"), []).append(row)
    for target, of in by_target.items():
        known = [each for pair in comparisons if (each := _compared(of, target, *pair, names))]
        if not known:
            continue
        works, end = True, ""
        others = [each for pair in aside if (each := _compared(of, target, *pair, names))]
        text = f"on {target}: {', '.join(text for _, text in known)}"
        text += f" (and {', '.join(text for _, text in others)})" if others else ""
        if controlled := _compared(of, target, control, RANDOM, names):
            check, told = controlled
            works = check.holds is True
            controls.append(works)
            text += f"; the positive control: {told}"
            end = "" if works else " (undecided: the positive control shows no effect either)"
        seen += [check for check, _ in known]
        checks += [Check(check.text + end, check.holds if works else None) for check, _ in known]
        sentences.append(text)
        arms = dict.fromkeys((BASE, TARGET, RANDOM, *(arm for arm, _ in comparisons)))
        numbers.append(f"{target}: loss {_means(of, list(arms))}")
    if not checks:
        return Evidence(paper=paper)
    better, worse = (sum(check.holds is state for check in seen) for state in (True, False))
    here = f"Change of the log loss {'; '.join(sentences)}. "
    return Evidence(
        checks=checks,
        here=f"{here}Of {len(seen)} comparisons {better} are clearly better and {worse} clearly worse.",
        number="; ".join(numbers),
        paper=paper,
        control=any(controls) if controls else None,
    )


def _compared(
    rows: Sequence[ArmRow], target: str, arm: str, other: str, names: Mapping[str, str]
) -> tuple[Check, str] | None:
    """The check of one arm against another, and its first measure in words; None where the losses are not known."""
    loss, right = gap(rows, arm, other, "log_loss"), gap(rows, arm, other, "accuracy")
    if loss.value is None:
        return None
    name, label = names.get(arm, arm), names.get(other, other)
    text = f"log loss by {written(loss, signed=True)}"
    every = text
    if right.value is not None:
        points = written(right, percent=True, signed=True).replace(" %", " points")
        every += f", accuracy by {points}"
    check = Check(f"{target}: {name} against {label} changes {every}", judged(loss, -1))
    return check, f"{name} {written(loss, signed=True)} against {label}"


def _means(rows: Sequence[ArmRow], arms: Sequence[str]) -> str:
    """Mean losses of some arms over runs in words."""
    found = {arm: mean_of(values_of(row.loss for row in where(rows, arm=arm))).value for arm in arms}
    return ", ".join(f"{arm} {number(mean)}" for arm, mean in found.items() if mean is not None)
