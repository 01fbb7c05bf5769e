"""E4: are the rows that a method selects from a pool better to train on first than random ones?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic.dataclasses import dataclass

from headprint.base.files import read_json, read_json_lines, write_json, write_json_lines
from headprint.study.chapters.chapter import Chapter, Claim, Jobs, Planned, View
from headprint.study.chapters.common import distinct, where
from headprint.study.chapters.evidence import statistics
from headprint.study.chapters.evidence.calibration import control_of, over_seeds, runs
from headprint.study.chapters.evidence.costs import Cost, costs_of
from headprint.study.chapters.evidence.scoring import SCORES, Scores
from headprint.study.chapters.evidence.settings import Evidence
from headprint.study.chapters.evidence.trials import Trials, outcome, read_trial, skills_of
from headprint.study.estimates import Estimate, mean_of, number, written
from headprint.study.groundwork import Run
from headprint.study.groundwork.models import Model
from headprint.study.pipeline import Cache, Job, Needs, stage
from headprint.study.records import STRICT
from headprint.study.verdicts import CHANCE, Check
from headprint.study.verdicts import Evidence as Shown
from headprint.study.views import Column, Dots, Drawing, Figure, Lines, Panel, Series, Table, Text, details

RANDOM = "random"
WITH_OWN, WITHOUT_OWN = "whole pool", "without own type"
DECILES = 10


@stage(version=1)
def chosen(
    out: Path,
    needs: Needs,
    *,
    model: Model,
    left_out: str | None,
    keep: float,
    tokens: int,
    decile: int | None,
    seed: int,
) -> None:
    """Take the best rows of a pool by their scores; or random rows of one decile of the ranking, 0 the best.

    Rows whose skills are ``left_out`` are not taken. Writes ``train.jsonl`` and ``chosen.json``.
    """
    from headprint.analysis.mixture import token_size, within_budget
    from headprint.data import read_rows

    rows = list(read_json_lines(needs["pool"] / "rows.jsonl"))
    scores = np.array([np.nan if x is None else x for x in read_json(needs["scores"] / SCORES)["scores"]])
    allowed = np.array([skills_of(row) != left_out for row in rows])
    size = token_size(model["model"])
    sizes = np.array([size(row) for row in read_rows(rows)])
    ranked = np.argsort(-np.where(allowed, scores, np.nan), kind="stable")[: int(allowed.sum())]  # NaN last
    if decile is None:
        ranked = ranked[: within_budget(sizes[ranked], round(keep * int(sizes.sum())))]
    else:
        ranked = np.array_split(ranked, DECILES)[decile]
        ranked = np.random.default_rng([seed, decile]).permutation(ranked)
        ranked = ranked[: within_budget(sizes[ranked], tokens)]
    taken = [rows[i] for i in ranked]
    skills = [skills_of(row) for row in taken]
    write_json_lines(out / "train.jsonl", taken)
    shares = {name: skills.count(name) / len(skills) for name in sorted(set(skills))}
    write_json(out / "chosen.json", {"rows": len(taken), "tokens": int(sizes[ranked].sum()), "skills": shares})


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SelectedRow:
    """One trial.

    Attributes:
        model: Name in the config.
        target: Whose rows came second.
        pool: Whether rows of the target's own type could be selected.
        method: A selector.
        seed: Of rows and order.
        log_loss: Mean over the checkpoints of step two of the logarithm of the held-out loss.
        accuracy: After the last step, the share of right answers; None without a scorer.
        gain: Fall of the log loss below that of random rows, same target, pool and seed; None for random rows.
        more_right: Rise of the accuracy over random rows.
        rows: Selected.
        useful: Share of them that take a skill of the target.
    """

    model: str
    target: str
    pool: str
    method: str
    seed: int
    log_loss: float
    accuracy: float | None
    gain: float | None
    more_right: float | None
    rows: int
    useful: float


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MethodRow:
    """One method over all cells (targets × pools × seeds).

    Attributes:
        method: A selector.
        pool: Which cells; None: all.
        cells: How many.
        gain: Mean fall of the log loss below random rows; interval: Student's t over targets.
        wins: Share of cells with a lower loss than random rows.
        accuracy_wins: Share of cells with more right answers, ties counted half.
        p: Of the mean gain, by all sign flips of the targets' means.
        holm: The same, corrected for the number of methods.
        useful: Mean share of selected rows that take a skill of the target.
        not_worse: By rival, the share of cells in which this method is better, or worse by no more than one standard
            deviation of the difference over seeds.
    """

    method: str
    pool: str | None
    cells: int
    gain: Estimate
    wins: float
    accuracy_wins: float | None
    p: float | None
    holm: float | None
    useful: float
    not_worse: dict[str, float]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DecileRow:
    """A training on random rows of one decile, 0 the best."""

    model: str
    target: str
    method: str
    seed: int
    decile: int
    log_loss: float


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DecileSign:
    """Whether a method's deciles are in order.

    Attributes:
        method: A selector.
        cells: Targets × seeds.
        right: Share of them in which worse deciles have higher losses (Spearman's correlation above 0).
        correlation: Mean of that correlation over cells.
    """

    method: str
    cells: int
    right: float
    correlation: Estimate


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SelectionTable:
    """Every selection, every method, deciles, and costs.

    Attributes:
        title: Heading.
        rows: Trials.
        methods: Over both pools, then of each.
        deciles: Trials of deciles.
        signs: Whether deciles are in order.
        costs: Of scoring the pool for one target, means over targets and seeds.
        targets: On which methods were compared.
        seeds: That it was run with.
        control: Whether the positive control of the calibration shows an effect; None without one.
    """

    title: str = "Rows selected from a pool first, at equal tokens and steps"
    rows: list[SelectedRow]
    methods: list[MethodRow]
    deciles: list[DecileRow]
    signs: list[DecileSign]
    costs: list[Cost]
    targets: list[str]
    seeds: list[int]
    control: bool | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    e4: SelectionTable


def plan(run: Run) -> Jobs:
    """For every method, target and pool the choice of rows and the trial; the same for deciles."""
    given = run.config.block(Evidence)
    section = given.selecting if given else None
    if given is None or section is None:
        return {}
    trials = Trials(run, given)
    scores = Scores(trials)
    jobs: dict[tuple[str, ...], Job] = {}

    def chosen_by(method: str, target: str, pool: str, decile: int | None = None) -> Job:
        found = scores.of(method, target, scores.pool())
        jobs[method, target, "", "scores"] = found
        jobs["", target, "", "query"] = scores.query(target)
        own = "+".join(run.config.tasks[target].parts or [])
        label = [target, method, pool if decile is None else f"decile {decile}"]
        return chosen.job(
            run.label(*label),
            {"pool": scores.pool(), "scores": found},
            **run.model,
            left_out=own if pool == WITHOUT_OWN else None,
            keep=given.keep,
            tokens=given.first.tokens,
            decile=decile,
            seed=run.seed,
        )

    if runs(run, section.seeds):
        for target in section.targets or given.targets:
            for pool in (WITH_OWN, WITHOUT_OWN) if section.without_own else (WITH_OWN,):
                for method in section.methods:
                    rows = chosen_by(method, target, pool)
                    jobs[method, target, pool, "choice"] = rows
                    jobs[method, target, pool, "trial"] = trials.trial(rows, [target], target, method, pool)
    if runs(run, section.decile_seeds or section.seeds):
        for target in section.decile_targets or section.targets or given.targets:
            for method in section.deciles:
                for decile in range(DECILES):
                    rows = chosen_by(method, target, WITH_OWN, decile)
                    label = (target, method, f"decile {decile}")
                    jobs[method, target, str(decile), "decile"] = trials.trial(rows, [target], *label, scored=False)
    if jobs:
        jobs["", "", "", "pool"] = scores.pool()
    return jobs


def collect(planned: Sequence[Planned], cache: Cache) -> Exhibit:
    """All selections and deciles."""
    rows, deciles, costs = [], [], []
    for each in planned:
        of: dict[str, Any] = {"model": each.run.name, "seed": each.run.seed}
        if not each.jobs:
            continue
        for (method, target, what, kind), job in each.jobs.items():
            if kind == "trial":
                found = read_trial(cache.of(job))
                picked = cache.json(each.jobs[method, target, what, "choice"])
                other = each.jobs.get((RANDOM, target, what, "trial")) if method != RANDOM else None
                random = read_trial(cache.of(other)) if other else None
                right = found["then"][target]["accuracy"]
                base = random["then"][target]["accuracy"] if random else None
                parts = set(each.run.config.tasks[target].parts or [])
                rows.append(
                    SelectedRow(
                        **of,
                        target=target,
                        pool=what,
                        method=method,
                        log_loss=outcome(found, target),
                        accuracy=right,
                        gain=outcome(random, target) - outcome(found, target) if random else None,
                        more_right=None if right is None or base is None else right - base,
                        rows=picked["rows"],
                        useful=sum(share for name, share in picked["skills"].items() if parts & set(name.split("+"))),
                    )
                )
            elif kind == "decile":
                loss = outcome(read_trial(cache.of(job)), target)
                deciles.append(DecileRow(**of, target=target, method=method, decile=int(what), log_loss=loss))
        costs += costs_of(each, cache)
    methods = [name for name in distinct(rows, "method") if name != RANDOM]
    summary = []
    for pool in (None, *distinct(rows, "pool")):
        some = rows if pool is None else where(rows, pool=pool)
        methods_there = [_method(method, pool, some) for method in methods]
        corrected = statistics.holm({each.method: each.p for each in methods_there})
        summary += [replace(each, holm=corrected[each.method]) for each in methods_there]
    table = SelectionTable(
        rows=rows,
        methods=summary,
        deciles=deciles,
        signs=[_sign(method, where(deciles, method=method)) for method in distinct(deciles, "method")],
        costs=_mean_costs(costs),
        targets=distinct(rows, "target"),
        seeds=distinct(rows, "seed"),
        control=control_of(planned, cache),
    )
    return Exhibit(e4=table)


def _method(method: str, pool: str | None, rows: Sequence[SelectedRow]) -> MethodRow:
    own = where(rows, method=method)
    known = [row for row in own if row.gain is not None]
    gains = [float(np.mean([row.gain for row in where(known, target=name)])) for name in distinct(known, "target")]
    right = [row.more_right for row in own if row.more_right is not None]
    rivals = [name for name in distinct(rows, "method") if name not in (method, RANDOM)]
    return MethodRow(
        method=method,
        pool=pool,
        cells=len(known),
        gain=mean_of(gains),
        wins=float(np.mean([row.gain > 0 for row in known if row.gain is not None])) if known else 0.0,
        accuracy_wins=float(np.mean([0.5 * ((x > 0) + (x >= 0)) for x in right])) if right else None,
        p=statistics.sign_flips(gains),
        holm=None,
        useful=float(np.mean([row.useful for row in own])),
        not_worse={rival: not_worse(rows, method, rival) for rival in rivals},
    )


def not_worse(rows: Sequence[SelectedRow], method: str, rival: str) -> float:
    """The share of cells in which a method is better than a rival, or worse by no more than the noise of seeds.

    The noise is one standard deviation of the paired difference over the seeds of a target and pool, pooled over them;
    0 with a single seed.
    """
    groups: dict[tuple[str, str, str], list[float]] = {}
    other = {(row.model, row.target, row.pool, row.seed): row.log_loss for row in where(rows, method=rival)}
    for row in where(rows, method=method):
        if (key := (row.model, row.target, row.pool, row.seed)) in other:
            groups.setdefault(key[:3], []).append(other[key] - row.log_loss)
    spread = [value for each in groups.values() for value in (np.array(each) - np.mean(each)).tolist()]
    free = len(spread) - len(groups)
    noise = float(np.sqrt(np.sum(np.square(spread)) / free)) if free > 0 else 0.0
    every = [value for each in groups.values() for value in each]
    return float(np.mean([value >= -noise for value in every])) if every else float("nan")


def _sign(method: str, rows: Sequence[DecileRow]) -> DecileSign:
    found = []
    for target in distinct(rows, "target"):
        for seed in distinct(rows, "seed"):
            cell = where(rows, target=target, seed=seed)
            value = statistics.decile_sign([row.decile for row in cell], [row.log_loss for row in cell])
            found += [] if value is None else [value]
    right = float(np.mean([value > 0 for value in found])) if found else 0.0
    return DecileSign(method=method, cells=len(found), right=right, correlation=mean_of(found))


def _mean_costs(costs: Sequence[Cost]) -> list[Cost]:
    """The mean over seeds of what each method cost."""
    found = []
    for method in distinct(costs, "method"):
        own = where(costs, method=method)
        found.append(replace(own[0], seconds=float(np.mean([each.seconds for each in own]))))
    return found


def _views(exhibit: Exhibit, seeds: Sequence[int]) -> list[View]:
    table = exhibit.e4
    overall = sorted(where(table.methods, pool=None), key=lambda each: -(each.gain.value or 0.0))
    names = [each.method for each in overall]
    pools = distinct(table.rows, "pool")

    def of(pool: str | None, value: Callable[[MethodRow], Estimate | float | None]) -> list[Estimate | float | None]:
        rows = {each.method: each for each in where(table.methods, pool=pool)}
        return [value(rows[name]) if name in rows else None for name in names]

    plots = [
        Dots(
            title="fall of the log loss below random rows",
            rows=names,
            series=[Series(name=pool, points=of(pool, lambda each: each.gain)) for pool in pools],
            reference=0.0,
        ),
        Dots(
            title="cells with a lower loss than random rows",
            rows=names,
            series=[Series(name=pool, points=of(pool, lambda each: each.wins)) for pool in pools],
            reference=0.5,
            percent=True,
            limits=(0.0, 1.0),
        ),
    ]
    list(names)
    views: list[View] = [
        Figure(
            name="e4",
            title=table.title,
            caption="Each method selects from the pool; random rows are the reference, paired by target and seed.",
            drawing=Drawing(panels=[Panel(plots=plots)]),
            tables=[
                Table(
                    title="Methods",
                    columns=[
                        Column("Method"),
                        Column("Pool"),
                        Column("Cells", 0),
                        Column("Gain", 3, signed=True),
                        Column("Loss wins", percent=True),
                        Column("Accuracy wins", percent=True),
                        Column("p", None),
                        Column("p (Holm)", None),
                        Column("Rows with a skill of the target", percent=True),
                    ],
                    rows=[
                        [
                            each.method,
                            each.pool or "both",
                            each.cells,
                            each.gain,
                            each.wins,
                            each.accuracy_wins,
                            each.p,
                            each.holm,
                            each.useful,
                        ]
                        for each in table.methods
                    ],
                    keys=2,
                    is_open=True,
                ),
                Table(
                    title="Share of cells in which the method of the row is not worse than that of the column",
                    columns=[Column("Method"), *(Column(name, percent=True) for name in names)],
                    rows=[[each.method, *(each.not_worse.get(name) for name in names)] for each in overall],
                    keys=1,
                    note="Better, or worse by at most one standard deviation of the difference over seeds.",
                ),
                Table(
                    title="Costs of scoring the pool",
                    columns=[
                        Column("Method"),
                        Column("FLOPs", None),
                        Column("Share of a training pass over the pool", percent=True),
                        Column("Seconds here"),
                    ],
                    rows=[[each.method, each.flops, each.share, each.seconds] for each in table.costs],
                    keys=1,
                ),
                details("Trials", table.rows),
            ],
            notes=[
                Text(
                    over_seeds(table.seeds)
                    + " Intervals of gains: over targets. p: all sign flips of the targets' means, corrected by Holm."
                )
            ],
        )
    ]
    if table.deciles:
        views.append(_deciles(table))
    return views


def _deciles(table: SelectionTable) -> Figure:
    methods = distinct(table.deciles, "method")
    plots = []
    for target in distinct(table.deciles, "target"):
        series = []
        for method in methods:
            rows = where(table.deciles, method=method, target=target)
            points = [mean_of(row.log_loss for row in where(rows, decile=decile)) for decile in range(DECILES)]
            series.append(Series(name=method, points=points, x=[decile + 1 for decile in range(DECILES)]))
        plots.append(Lines(title=target, series=series, xlabel="decile of the ranking, 1 the best", ylabel="log loss"))
    return Figure(
        name="e4_deciles",
        title="Deciles of each ranking",
        caption="Random rows of each decile first: a score that is right orders the losses.",
        drawing=Drawing(panels=[Panel(plots=plots)]),
        tables=[
            Table(
                title="Signs",
                columns=[
                    Column("Method"),
                    Column("Cells", 0),
                    Column("Right sign", percent=True),
                    Column("Correlation of decile and loss", signed=True),
                ],
                rows=[[each.method, each.cells, each.right, each.correlation] for each in table.signs],
                keys=1,
                is_open=True,
            ),
            details("Deciles", table.deciles),
        ],
    )


def _evidence(exhibit: Exhibit) -> Shown:
    rows = where(exhibit.e4.methods, pool=None)
    checks = [
        Check(
            f"{each.method}: {written(each.gain, 3, signed=True)} log units below random rows, "
            f"{number(each.wins, percent=True)} of {each.cells} cells, p = {number(each.holm, 3)} after Holm",
            None if each.holm is None else True if each.holm <= CHANCE else (False if each.wins < 0.5 else None),
        )
        for each in rows
    ]
    if not rows:
        return Shown()
    best = max(rows, key=lambda each: each.gain.value or 0.0)
    return Shown(
        seeds=len(exhibit.e4.seeds),
        checks=checks,
        control=exhibit.e4.control,
        here=f"{best.method} helps most: {written(best.gain, 3, signed=True)} log units below random rows, lower in "
        f"{number(best.wins, percent=True)} of {best.cells} cells.",
    )


CHAPTER = Chapter(
    name="selecting",
    exhibit=Exhibit,
    plan=plan,
    collect=collect,
    title="E4: which selected rows help?",
    question="Every method selects as many tokens of one pool, which are trained on before the target's few rows: "
    "which selections are better than random rows, by how much, and at what cost?",
    views=_views,
    claim=Claim(
        text="Rows that a method selects from a pool are better to train on first than random ones.",
        evidence=_evidence,
        is_question=True,
    ),
)
