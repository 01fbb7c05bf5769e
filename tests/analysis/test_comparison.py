"""Statistics of patterns with intervals: against loops, against values worked out by hand, and whether they cover."""

from __future__ import annotations

import json

import numpy as np
import pytest

import headprint
from headprint.analysis.bootstrap import Bootstrap
from headprint.analysis.comparison import compare, shape, shape_change, task_correlations, trajectory
from headprint.analysis.intervals import Interval
from headprint.base.errors import InputError
from support.pattern_sets import HEADS, LAYERS, around, of_levels, random_pattern

FEW = Bootstrap(draws=50)


def test_shape_of_a_pattern_and_its_change():
    sharp, even = random_pattern(0) ** 2, random_pattern(0) ** 0.3
    before, after = around(sharp), around(even, seed=1)
    found = shape_change(before, after, bootstrap=FEW)
    for name, function in (("gini", "gini"), ("cv", "cv"), ("kurtosis", "kurtosis")):
        first, last = (getattr(levels.pattern(), function)() for levels in (before, after))
        assert getattr(found.before, name).value == pytest.approx(first, rel=1e-5)
        assert getattr(found.after, name).value == pytest.approx(last, rel=1e-5)
        assert getattr(found.change, name).value == pytest.approx(last - first, abs=1e-5)
    assert found.change.gini.high < 0
    assert found.before.gini == shape(before, bootstrap=FEW).gini
    assert json.loads(json.dumps(found.to_dict()))["examples"] == 40


def test_task_correlations_against_a_loop():
    tasks = ["math", "code", "facts"]
    before = {task: around(random_pattern(i), seed=i) for i, task in enumerate(tasks)}
    after = {task: around(random_pattern(i + 10), seed=i + 10) for i, task in enumerate(tasks)}
    for method in ("pearson", "spearman"):
        found = task_correlations(before, after, method=method, bootstrap=FEW)
        for i, one in enumerate(tasks):
            for j, other in enumerate(tasks):
                pairs = [(before[t].pattern(), after[t].pattern()) for t in (one, other)]
                (b1, a1), (b2, a2) = pairs
                expected = {
                    "before": b1.correlation(b2, method),
                    "after": a1.correlation(a2, method),
                    "change": (a1 - b1).correlation(a2 - b2, method),
                    "relative": ((a1 - b1) / b1).correlation((a2 - b2) / b2, method),
                }
                for name, value in expected.items():
                    assert getattr(found, name).value[i, j] == pytest.approx(value, abs=1e-4)
                    assert getattr(found, name).value[j, i] == getattr(found, name).value[i, j]
    # The order of the tasks changes nothing, since each is resampled by its own name.
    turned = task_correlations(dict(reversed(before.items())), dict(reversed(after.items())), bootstrap=FEW)
    again = task_correlations(before, after, bootstrap=FEW)
    assert turned.change.low[::-1, ::-1] == pytest.approx(again.change.low)
    assert json.loads(json.dumps(again.to_dict()))["tasks"] == tasks


def test_layers_without_attention_are_left_out():
    truth = random_pattern(3)
    truth[1] = np.nan
    before, after = around(truth), around(truth * 1.5, seed=1)
    rest = np.delete(np.arange(LAYERS), 1)
    whole = shape_change(before, after, bootstrap=FEW)
    kept = shape_change(of_levels(before.values[:, rest]), of_levels(after.values[:, rest]), bootstrap=FEW)
    assert whole == kept
    assert np.isfinite(task_correlations({"a": before, "b": after}, bootstrap=FEW).before.low).all()


def test_trajectory_starts_at_no_change():
    truth = random_pattern(5)
    steps = [around(truth * (1 + t * random_pattern(6)), seed=0) for t in (0, 0.2, 1.0)]
    found = trajectory(steps, bootstrap=FEW)
    assert found.correlation[0].value == pytest.approx(1)
    assert found.mse[0] == Interval(0.0, 0.0, 0.0)
    for index, levels in enumerate(steps):
        start = steps[0].pattern()
        assert found.correlation[index].value == pytest.approx(start.correlation(levels.pattern()), abs=1e-5)
        assert found.mse[index].value == pytest.approx(start.mse(levels.pattern()), rel=1e-4)
    assert found.mse[1].high < found.mse[2].low


def test_compare_is_all_of_it():
    before, after = ({task: around(random_pattern(i + k)) for i, task in enumerate("abc")} for k in (0, 9))
    found = compare(before, after, method="spearman", bootstrap=FEW)
    for task in before:
        change = shape_change(before[task], after[task], bootstrap=FEW)
        assert (found.before[task], found.after[task], found.change[task]) == (
            change.before,
            change.after,
            change.change,
        )
    wanted = task_correlations(before, after, method="spearman", bootstrap=FEW)
    assert found.correlations.to_dict() == wanted.to_dict()
    assert found.examples == dict.fromkeys("abc", 40)
    assert headprint.compare(before).after is None
    assert list(compare(before, bootstrap=FEW).to_dict()["shapes"]["a"]) == ["before"]


def test_tasks_of_different_models_are_refused_and_tuned_ones_are_not():
    def levels(weights, **more):
        return around(random_pattern(0), model={"id": f"runs/{weights}", "weights": weights}, **more)

    before = {"math": levels("one"), "code": levels("one")}
    after = {"math": levels("tuned on math"), "code": levels("tuned on code")}
    compare(before, after, bootstrap=FEW)
    with pytest.raises(InputError, match=r"math and code are of different models \(runs/one, .* and runs/two"):
        compare({**before, "code": levels("two")}, after, bootstrap=FEW)


def test_one_example_has_no_interval():
    found = shape(around(random_pattern(0), n=1), bootstrap=FEW).gini
    assert np.isfinite(found.value)
    assert np.isnan([found.low, found.high]).all()


def test_wrong_input():
    a = around(random_pattern(0))
    with pytest.raises(InputError, match="did you mean 'math'"):
        task_correlations({"math": a}, {"maths": a})
    with pytest.raises(InputError, match="after training"):
        task_correlations({"math": a, "code": a}, {"math": a})
    with pytest.raises(InputError, match="shapes differ"):
        task_correlations({"math": a, "code": around(random_pattern(0, (LAYERS, HEADS + 1)))}, bootstrap=FEW)
    with pytest.raises(InputError, match="no examples"):
        shape(a[:0])
    with pytest.raises(InputError, match="every entry is NaN"):
        shape(of_levels(np.full((3, 2, 2), np.nan)), bootstrap=FEW)
    with pytest.raises(InputError, match="at least one"):
        task_correlations({})
    with pytest.raises(InputError, match="before training first"):
        trajectory([])
    with pytest.raises(InputError, match="unknown correlation method"):
        task_correlations({"math": a}, method="kendal")
