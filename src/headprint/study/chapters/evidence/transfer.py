"""E2: does a score predict which source of rows helps which target?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic.dataclasses import dataclass

from headprint.patterns import PatternSet
from headprint.patterns.statistics import correlation
from headprint.study.chapters.chapter import Chapter, Claim, Jobs, Planned, View
from headprint.study.chapters.common import distinct
from headprint.study.chapters.evidence import predictions
from headprint.study.chapters.evidence.calibration import over_seeds, runs
from headprint.study.chapters.evidence.predictions import Gains, Prediction
from headprint.study.chapters.evidence.scoring import PATTERNS_BEFORE, PATTERNS_CHANGE, Scores, scores_of
from headprint.study.chapters.evidence.settings import Evidence
from headprint.study.chapters.evidence.trials import Trials, basics, outcome, read_trial
from headprint.study.estimates import number, written
from headprint.study.groundwork import Run
from headprint.study.pipeline import Cache, Job
from headprint.study.records import STRICT, Matrix
from headprint.study.verdicts import CHANCE, Check
from headprint.study.verdicts import Evidence as Shown
from headprint.study.views import Drawing, Figure, HeatMap, Panel, Scale, Text, details


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TransferRow:
    """What one source did for one target.

    Attributes:
        model: Name in the config.
        source: Whose rows came first.
        target: Whose rows came second.
        seed: Of rows and order.
        gain: Fall of the log loss over the target's own rows only.
    """

    model: str
    source: str
    target: str
    seed: int
    gain: float


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TransferTable:
    """Every source and target, and how well each method predicts the gains.

    Attributes:
        title: Heading.
        rows: Trials.
        sources: Basic tasks first.
        targets: Columns of the matrix.
        reported: Targets that conclusions are drawn from.
        gains: Means over seeds, sources × targets.
        predictions: By method, over all sources.
        basics: The same over the basic tasks alone.
        seeds: That it was run with.
    """

    title: str = "Which source helps which target, and which score knows it beforehand"
    rows: list[TransferRow]
    sources: list[str]
    targets: list[str]
    reported: list[str]
    gains: Matrix
    predictions: list[Prediction]
    basics: list[Prediction]
    seeds: list[int]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    e2: TransferTable


def plan(run: Run) -> Jobs:
    """A trial for each source, which goes on to all targets; scores of each source's rows by every method."""
    given = run.config.block(Evidence)
    if given is None or given.transfer is None or not runs(run, given.transfer.seeds):
        return {}
    trials, every = Trials(run, given), list(given.targets)
    scores, names = Scores(trials), [*basics(run), *given.sources]
    jobs: dict[tuple[str, ...], Job] = {("", "", "own"): trials.trial(None, every, "own rows")}
    for name in names:
        first = trials.mixture({name: 1.0}, [name], name, "first")
        jobs[name, "", "trial"] = trials.trial(first, every, name, "first", scored=False)
    rows = scores.sources(names, given.transfer.rows)
    jobs["", "", "rows"] = rows
    for target in every:
        jobs["", target, "query"] = scores.query(target)
        for method in given.transfer.methods:
            jobs[method, target, "scores"] = scores.of(method, target, rows)
    for name in [*names, *every] if given.transfer.changes else ():
        jobs[name, "", "change"] = scores.change(name)
    return jobs


def collect(planned: Sequence[Planned], cache: Cache) -> Exhibit:
    """Gains and predictions, averaged over seeds."""
    given = planned[0].run.config.block(Evidence)
    assert given is not None
    sources, targets = [*basics(planned[0].run), *given.sources], list(given.targets)
    rows: list[TransferRow] = []
    predicted: dict[str, list[Gains]] = {}
    for each in planned:
        own = read_trial(cache.of(each.jobs["", "", "own"]))
        for source in sources:
            found = read_trial(cache.of(each.jobs[source, "", "trial"]))
            for target in targets:
                gain = outcome(own, target) - outcome(found, target)
                rows.append(
                    TransferRow(model=each.run.name, source=source, target=target, seed=each.run.seed, gain=gain)
                )
        for method, values in _predicted(each, cache, sources, targets).items():
            predicted.setdefault(method, []).append(values)
    gains = np.array(
        [
            [np.mean([row.gain for row in rows if (row.source, row.target) == (source, target)]) for target in targets]
            for source in sources
        ]
    )
    scores = {method: np.mean(values, axis=0) for method, values in predicted.items()}
    reported = [target for target in targets if target not in given.tuned_on]
    basic = len(basics(planned[0].run))
    table = TransferTable(
        rows=rows,
        sources=sources,
        targets=targets,
        reported=reported,
        gains=gains.tolist(),
        predictions=predictions.predictions(scores, gains, targets, reported),
        basics=predictions.predictions(
            {method: values[:basic] for method, values in scores.items()}, gains[:basic], targets, reported
        ),
        seeds=distinct(rows, "seed"),
    )
    return Exhibit(e2=table)


def _predicted(planned: Planned, cache: Cache, sources: Sequence[str], targets: Sequence[str]) -> dict[str, Gains]:
    """By method, the mean score of each source's rows for each target."""
    jobs = planned.jobs
    folder = cache.of(jobs["", "", "rows"])
    of = np.array([row["source"] for row in cache.lines(jobs["", "", "rows"], "rows.jsonl")])
    found: dict[str, Gains] = {}
    for method in dict.fromkeys(first for first, _, kind in jobs if kind == "scores"):
        each = [scores_of(jobs[method, target, "scores"], cache) for target in targets]
        found[method] = np.array([[np.nanmean(scores[of == source]) for scores in each] for source in sources])
    levels = PatternSet.load(folder / "set")
    before = {name: np.abs(levels.values[of == name]).mean(axis=0) for name in sources}
    before |= {name: PatternSet.load(cache.of(jobs["", name, "query"]) / "set").pattern().values for name in targets}
    found[PATTERNS_BEFORE] = _correlations(before, sources, targets)
    if (sources[0], "", "change") in jobs:
        changes = {}
        for name in (*sources, *targets):
            there = cache.of(jobs[name, "", "change"])
            changes[name] = (
                PatternSet.load(there / "after").pattern().values - PatternSet.load(there / "before").pattern().values
            )
        found[PATTERNS_CHANGE] = _correlations(changes, sources, targets)
    return found


def _correlations(patterns: dict[str, Gains], sources: Sequence[str], targets: Sequence[str]) -> Gains:
    return np.array([[correlation(patterns[source], patterns[target]) for target in targets] for source in sources])


def _views(exhibit: Exhibit, seeds: Sequence[int]) -> list[View]:
    table = exhibit.e2
    heat = HeatMap(
        title="source (row) first, for target (column)",
        values=table.gains,
        scale=Scale(label="fall of the log loss", diverging=True),
        labels=table.sources,
        columns=table.targets,
    )
    note = over_seeds(table.seeds)
    left_out = [target for target in table.targets if target not in table.reported]
    if left_out:
        note += f" Means leave out {', '.join(left_out)}, on which settings were chosen."
    return [
        Figure(
            name="e2",
            title=table.title,
            caption="Measured: how much lower the target's mean log loss is with the source's rows first.",
            drawing=Drawing(panels=[Panel(plots=[heat])]),
            tables=[details("Trials", table.rows)],
        ),
        Figure(
            name="e2_predictions",
            title="Predicted before any training",
            caption="Spearman's correlation over sources of predicted and measured gain, mean over targets.",
            drawing=predictions.drawing(table.predictions, "Spearman's correlation over sources"),
            tables=[
                predictions.table(table.predictions, "All sources"),
                predictions.table(table.basics, "The basic tasks alone"),
            ],
            notes=[Text(f"{note} Intervals: bootstrap over sources; p: sources permuted within targets.")],
        ),
    ]


def _evidence(exhibit: Exhibit) -> Shown:
    table = exhibit.e2
    checks = []
    for each in table.predictions:
        holds = None if each.holm is None else True if each.holm <= CHANCE else None
        text = f"{each.method}: {written(each.mean)}, p = {number(each.holm, 3)} after Holm"
        checks.append(Check(text, holds))
    best = table.predictions[0]
    return Shown(
        seeds=len(table.seeds), checks=checks, here=f"The best predictor is {best.method} ({written(best.mean)})."
    )


CHAPTER = Chapter(
    name="transfer",
    exhibit=Exhibit,
    plan=plan,
    collect=collect,
    title="E2: which source helps which target?",
    question="Rows of every basic task, and of sources that should help nobody, come first: whose score of the rows "
    "predicts what they do for each target?",
    views=_views,
    claim=Claim(
        text="Scores of rows, taken before any training, predict which source helps which target.",
        evidence=_evidence,
        is_question=True,
    ),
)
