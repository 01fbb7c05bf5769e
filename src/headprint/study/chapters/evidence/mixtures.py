"""LDS: does a score predict what training on random mixtures of rows does to every task?

The linear data-modeling score (Park et al. 2023, arXiv 2303.14186): Spearman's correlation, over random sets of
training rows, of the mean score of a set's rows with the measured outcome.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic.dataclasses import dataclass

from headprint.study.chapters.chapter import Chapter, Claim, Jobs, Planned, View
from headprint.study.chapters.evidence import predictions
from headprint.study.chapters.evidence.calibration import over_seeds, runs
from headprint.study.chapters.evidence.predictions import Gains, Prediction
from headprint.study.chapters.evidence.scoring import Scores, scores_of
from headprint.study.chapters.evidence.settings import Evidence
from headprint.study.chapters.evidence.trials import Trials, by_skill, read_trial
from headprint.study.estimates import Estimate, mean_of, values_of, written
from headprint.study.groundwork import Run
from headprint.study.pipeline import Cache, Job
from headprint.study.records import STRICT
from headprint.study.verdicts import Check, judged
from headprint.study.verdicts import Evidence as Shown
from headprint.study.views import Figure, Text


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LdsTable:
    """How well each method predicts what mixtures do.

    Attributes:
        title: Heading.
        targets: Every task; none of their rows is trained on by itself.
        complex: Those of several skills.
        mixtures: How many.
        losses: After each mixture, mixtures × targets, of the first seed.
        predictions: By method, over all tasks; of several seeds, correlations are averaged.
        complex_only: The same with the mean over complex tasks.
        seeds: That it was run with.
    """

    title: str = "What random mixtures of the pool do, predicted (LDS)"
    targets: list[str]
    complex: list[str]
    mixtures: int
    losses: list[list[float]]
    predictions: list[Prediction]
    complex_only: list[Prediction]
    seeds: list[int]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    lds: LdsTable


def plan(run: Run) -> Jobs:
    """A training on each mixture, and scores of the pool's rows for every task by every method."""
    given = run.config.block(Evidence)
    if given is None or given.mixtures is None or not runs(run, given.mixtures.seeds):
        return {}
    trials, every = Trials(run, given), list(run.config.tasks)
    scores = Scores(trials)
    pool = scores.pool(given.mixtures.rows)
    jobs: dict[tuple[str, ...], Job] = {("", "pool"): pool}
    for number in range(given.mixtures.count):
        drawn = by_skill.job(
            run.label(f"mixture {number}"),
            {"pool": pool},
            **run.model,
            concentration=given.mixtures.concentration,
            number=number,
            tokens=given.first.tokens,
            seed=run.seed,
        )
        jobs[str(number), "rows"] = drawn
        jobs[str(number), "trial"] = trials.trial(drawn, every, f"mixture {number}", second=False)
    for method in given.mixtures.methods:
        for target in every:
            jobs[method, target, "scores"] = scores.of(method, target, pool)
    return jobs


def collect(planned: Sequence[Planned], cache: Cache) -> Exhibit:
    """Measured and predicted outcomes of all mixtures."""
    config = planned[0].run.config
    given = config.block(Evidence)
    assert given is not None
    assert given.mixtures is not None
    targets = list(config.tasks)
    composed = [name for name in targets if config.tasks[name].kind == "complex"]
    numbers = [str(number) for number in range(given.mixtures.count)]
    found: dict[int, tuple[Gains, dict[str, Gains]]] = {}
    for each in planned:
        place = {row["id"]: i for i, row in enumerate(cache.lines(each.jobs["", "pool"], "rows.jsonl"))}
        rows = [
            [place[row["id"]] for row in cache.lines(each.jobs[number, "rows"], "train.jsonl")] for number in numbers
        ]
        trials = [read_trial(cache.of(each.jobs[number, "trial"])) for number in numbers]
        losses = np.array([[trial["first"]["losses"][target] for target in targets] for trial in trials])
        scores = {}
        for method in given.mixtures.methods:
            values = [scores_of(each.jobs[method, target, "scores"], cache) for target in targets]
            scores[method] = np.array([[np.nanmean(of_target[chosen]) for of_target in values] for chosen in rows])
        found[each.run.seed] = losses, scores

    def over(reported: Sequence[str]) -> list[Prediction]:
        return _averaged(
            [predictions.predictions(scores, -np.log(losses), targets, reported) for losses, scores in found.values()]
        )

    table = LdsTable(
        targets=targets,
        complex=composed,
        mixtures=len(numbers),
        losses=next(iter(found.values()))[0].tolist(),
        predictions=over(targets),
        complex_only=over(composed),
        seeds=list(found),
    )
    return Exhibit(lds=table)


def _averaged(runs: Sequence[Sequence[Prediction]]) -> list[Prediction]:
    """Of one seed its own predictions; of several the means, with Student's interval over seeds."""
    if len(runs) == 1:
        return list(runs[0])
    found = []
    for first in runs[0]:
        same = [next(each for each in one if each.method == first.method) for one in runs]
        targets = {
            name: float(np.mean(known)) if (known := values_of(each.targets[name] for each in same)) else None
            for name in first.targets
        }
        p = max((each.p for each in same if each.p is not None), default=None)
        holm = max((each.holm for each in same if each.holm is not None), default=None)
        mean = mean_of(values_of(each.mean for each in same))
        found.append(Prediction(method=first.method, targets=targets, mean=mean, p=p, holm=holm))
    return sorted(found, key=lambda each: -(each.mean.value if each.mean.value is not None else -2.0))


def best_of(found: Sequence[Prediction], method: str) -> Estimate | None:
    """The mean of one method."""
    return next((each.mean for each in found if each.method == method), None)


def _views(exhibit: Exhibit, seeds: Sequence[int]) -> list[View]:
    table = exhibit.lds
    return [
        Figure(
            name="lds",
            title=table.title,
            caption=f"Spearman's correlation, over {table.mixtures} mixtures, of the mean score of a mixture's rows "
            "with what training on it does to a task's held-out loss; mean over all tasks.",
            drawing=predictions.drawing(table.predictions, "LDS, mean over tasks"),
            tables=[
                predictions.table(table.predictions, "All tasks"),
                predictions.table(table.complex_only, "Mean over complex tasks"),
            ],
            notes=[Text(f"{over_seeds(table.seeds)} Intervals of one seed: bootstrap over mixtures.")],
        )
    ]


def _evidence(exhibit: Exhibit) -> Shown:
    found = exhibit.lds.predictions
    checks = [Check(f"{each.method}: {written(each.mean)}", judged(each.mean)) for each in found]
    return Shown(
        seeds=len(exhibit.lds.seeds),
        checks=checks,
        here=f"Over {exhibit.lds.mixtures} mixtures, {found[0].method} predicts best ({written(found[0].mean)}).",
    )


CHAPTER = Chapter(
    name="lds",
    exhibit=Exhibit,
    plan=plan,
    collect=collect,
    title="LDS: what do random mixtures do?",
    question="Rows of the pool in random shares of its skills are trained on: whose score of the rows predicts what "
    "each mixture does to every task?",
    views=_views,
    claim=Claim(
        text="Scores of rows, taken before any training, predict what training on mixtures of them does.",
        evidence=_evidence,
        is_question=True,
    ),
)
