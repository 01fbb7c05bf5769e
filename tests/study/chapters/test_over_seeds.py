"""What exhibits say of several seeds: means with Student's interval, and gains that are paired."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from headprint.study.chapters import composition, early_change
from headprint.study.chapters.arms import ArmRow, _over, summary
from headprint.study.chapters.common import groups
from headprint.study.chapters.spread import Shape, ShapeRow, collect
from headprint.study.estimates import Estimate, average, mean_of
from headprint.study.pipeline import Cache
from headprint.study.plan import Plan, plan
from headprint.study.records import plain
from support.tiny_study import tiny


def estimate(x: float) -> Estimate:
    return Estimate(float(x), float(x) - 1, float(x) + 1)


class Made(Cache):
    """A cache whose results are made up: by the label of the job."""

    def __init__(self, found: Any) -> None:
        super().__init__(Path())
        self.found = found

    def json(self, job: Any) -> Any:
        return self.found(job)


def test_the_average_is_the_mean_with_students_interval() -> None:
    values = list(np.random.default_rng(0).normal(size=5))
    found = average([estimate(x) for x in values])
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert found is not None
    assert vars(found) == pytest.approx({"value": np.mean(values), "low": low, "high": high})
    assert average([estimate(2.0)]) == estimate(2.0)  # of one seed its own interval
    assert average([estimate(2.0), None]) is None


def test_shapes_are_averaged_statistic_by_statistic(planned: Plan) -> None:
    rng = np.random.default_rng(1)
    made: dict[str, Any] = {}

    def found(job: Any) -> Any:
        shape = {name: plain(estimate(rng.normal())) for name in ("gini", "cv", "kurtosis")}
        maps = {name: [[0.5, None]] for name in ("before", "after", "change")}
        return made.setdefault(
            job.id, {"n": 8, "shapes": dict.fromkeys(("before", "after", "change"), shape), "maps": maps}
        )

    table = collect(planned.chapters["spread"], Made(found)).table1
    assert [(row.task, row.seed) for row in table.rows] == [
        (task, seed) for seed in (0, 1) for task in ("math", "code", "arith", "math_code")
    ]
    for mean in table.summary:
        own: list[ShapeRow] = [row for row in table.rows if row.task == mean.task]
        assert mean.seeds == 2
        for name in ("gini", "cv", "kurtosis"):
            values = [getattr(row.change, name).value for row in own]
            assert getattr(mean.change, name) == mean_of(values)
    assert isinstance(table.summary[0].before, Shape)


def test_paths_are_averaged_at_the_steps_of_all_seeds(planned: Plan) -> None:
    def found(job: Any) -> Any:
        steps = [0, 1, 2, 4] if job.settings["seed"] == 0 else [0, 2, 3, 4]
        values = [plain(estimate(step * (1 + job.settings["seed"]))) for step in steps]
        return {
            "n": 8, "steps": steps, "correlation": values, "mse": values, "gini": values, "half_way": 2,
            "loss": [1.0] * 4, "train_loss": [], "patterns": [[[0.5]]] * 4,
        }  # fmt: skip

    figure = early_change.collect(planned.chapters["early_change"], Made(found)).fig5
    assert [run.patterns is None for run in figure.runs] == [run.seed == 1 for run in figure.runs]
    assert figure.runs[0].rows_seen == [0, 8, 16, 32]
    for mean in figure.summary:
        assert mean.steps == [0, 2, 4]
        assert mean.mse == [mean_of([step, 2.0 * step]) for step in (0, 2, 4)]


@pytest.mark.parametrize("seeds", [1, 4])
def test_gains_are_paired(seeds: int) -> None:
    """Of one seed row by row, of several seed by seed; against plain loops."""
    rng = np.random.default_rng(seeds)
    arms, n = ("base", "target", "random", "mixture"), 12
    answers = {
        ("m", "t", arm, seed): [{"right": bool(rng.random() < 0.5), "loss": float(x)} for x in rng.gamma(2, size=n)]
        for arm in arms
        for seed in range(seeds)
    }
    rows = []
    for (model, target, arm, seed), outcomes in answers.items():
        row = {
            "model": model, "target": target, "arm": arm, "seed": seed, "n": n,
            "accuracy": estimate(np.mean([each["right"] for each in outcomes])),
            "loss": estimate(np.mean([each["loss"] for each in outcomes])),
        }  # fmt: skip
        rows.append(ArmRow(**row, over=_over(row, outcomes, answers)))
    found = {cell.arm: plain(cell) for cell in summary(rows)}
    assert list(found) == list(arms)
    for arm, cell in found.items():
        assert cell["seeds"] == seeds
        for prefix, other in (("gain", "target"), ("over_random", "random")):
            if arm == other:
                assert cell[f"{prefix}_accuracy"] is cell[f"{prefix}_log_loss"] is None
                continue
            pairs = [(answers["m", "t", arm, seed], answers["m", "t", other, seed]) for seed in range(seeds)]
            for name, column in (("accuracy", "right"), ("log_loss", "loss")):
                means = [[float(np.mean([each[column] for each in of])) for of in pair] for pair in pairs]
                if name == "accuracy":
                    rises = [a - b for a, b in means]
                    (of_one,) = pairs[:1]
                    by_row = [float(a["right"]) - float(b["right"]) for a, b in zip(*of_one, strict=True)]
                else:
                    rises = [math.log(a / b) for a, b in means]
                    by_row = [a["loss"] / means[0][0] - b["loss"] / means[0][1] for a, b in zip(*pairs[0], strict=True)]
                values = by_row if seeds == 1 else rises
                half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
                middle = np.mean(rises)
                assert cell[f"{prefix}_{name}"] == pytest.approx(
                    {"value": middle, "low": middle - half, "high": middle + half}
                )


def test_a_gain_needs_a_number() -> None:
    outcomes = [{"right": True, "loss": 1.0}] * 3
    row = {"model": "m", "target": "t", "arm": "mixture", "seed": 0, "accuracy": None, "loss": estimate(2), "n": 3}
    made = ArmRow(**row, over=_over(row, outcomes, {("m", "t", "target", 0): outcomes}))
    alone = replace(made, arm="target", over={})
    cell = summary([made, alone])[0]
    assert cell.gain_accuracy is cell.over_random_log_loss is None
    assert cell.gain_log_loss == Estimate(0.0, 0.0, 0.0)


def made_decomposition(subsets: list[dict[str, Any]]) -> dict[str, Any]:
    blank = {"weights": {}, "adjusted": None, "cross_validated": None, "null": None}
    interval = {"value": 0.5, "low": None, "high": None}
    return {
        "target": "math_code", "weights": {}, "intercept": interval, "r2": interval, "adjusted": None,
        "cross_validated": None, "null": None, "subsets": [blank | subset for subset in subsets], "gaps": None,
        "heads": 48, "examples": {}, "intervals": False, "options": {},
    }  # fmt: skip


def test_named_rank_of_made_fits() -> None:
    """The named pair's place among all pairs by R², a fit that failed being last."""
    parts = plan(tiny()).chapters["composition"]
    run = parts[0].run
    rng = np.random.default_rng(3)
    for trial in range(6):
        r2 = [*rng.random(2), None if trial % 2 else rng.random()]
        order = rng.permutation(3)
        pairs = [["math", "code"], ["math", "arith"], ["code", "arith"]]
        subsets = [{"tasks": ["math"], "r2": 0.99}] + [{"tasks": pairs[i], "r2": r2[i]} for i in order]
        content = {"decomposition": made_decomposition(subsets), "discovery": None}
        fits = [
            composition._fit(run, {"target": "math_code", "method": method, "reading": "change"}, content)
            for method in ("nnls", "lstsq")
        ]
        by_rank = sorted(range(3), key=lambda i, r2=r2: -(r2[i] if r2[i] is not None else -1))
        assert {fit.named_rank for fit in fits} == {1 + by_rank.index(0)}
        best = max((x, i) for i, x in enumerate(r2) if x is not None)[1]
        means = [composition._mean_fit(own) for own in groups(fits, "method").values()]
        assert {tuple(mean.best or ()) for mean in means} == {tuple(sorted(pairs[best]))}
