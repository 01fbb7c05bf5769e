"""Decomposition: planted truths, plain loops beside the turned least squares, nulls, and wrong input."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from scipy.stats import kstest

from headprint.analysis.bootstrap import Bootstrap
from headprint.analysis.decomposition.changes import read_task
from headprint.analysis.decomposition.fit import decompose, discover
from headprint.analysis.decomposition.regression import (
    Reduced,
    adjusted,
    cross_validated,
    folds,
    forward,
    held_out,
    reduce,
    shuffled,
    solve,
    solve_all,
)
from headprint.base.errors import InputError
from headprint.base.options import DecompositionOptions as Options
from headprint.cli.app import run
from headprint.patterns.pattern_set import Pattern
from support.pattern_sets import HEADS, LAYERS, around, planted, random_pattern

QUICK = Options(permutations=60)
FEW = Bootstrap(draws=60)
NONE = Bootstrap(draws=0)


def plain_fit(x, y, method, intercept):
    """Weights, constant, R²: least squares on all heads, on columns of one size.

    On columns of sizes 1e-4 to 1e4 NumPy's own solution is wrong by up to 3e-5; ours by 2e-12 (against 60 digits).
    """
    one, size = np.ones((len(y), 1)), x.std(axis=0)
    x = x / size
    if method == "lstsq":
        weights = np.linalg.lstsq(np.hstack([x, one]) if intercept else x, y, rcond=None)[0]
    elif intercept:  # a constant of any sign is the difference of two non-negative ones
        both = nnls(np.hstack([x, one, -one]), y)[0]
        weights = np.append(both[:-2], both[-2] - both[-1])
    else:
        weights = nnls(x, y)[0]
    constant = weights[-1] if intercept else 0.0
    weights = weights[: x.shape[1]]
    return weights / size, constant, 1 - ((y - x @ weights - constant) ** 2).sum() / ((y - y.mean()) ** 2).sum()


def change(values) -> Pattern:
    return Pattern(values, {}, "change")


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("method", ["nnls", "lstsq"])
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_turned_least_squares_are_plain_ones(method, intercept, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(0.3, 1, (3, 20, 4)) * [1, 1e-4, 1e4, 1]
    y = rng.normal(0.2, 1, (3, 20))
    problem = reduce(x, y, intercept=intercept)
    for subset in ([0, 1, 2, 3], [2], [3, 1]):
        weights, r2 = solve_all(problem, subset, method)
        for row in range(3):
            expected = plain_fit(x[row][:, subset], y[row], method, intercept)
            assert weights[row, subset] == pytest.approx(expected[0], rel=1e-5, abs=1e-12)
            assert r2[row] == pytest.approx(expected[2], abs=1e-8)
            fit = solve(Reduced(*(part[row] for part in problem)), subset, method)
            assert fit.intercept == pytest.approx(expected[1], abs=1e-8)


def test_by_hand():
    # y = 2 x exactly; and against x = (1, 1, 1, 1) the best weight is the mean, worth nothing.
    x, y = np.array([[1.0], [2], [3], [4]]), np.array([2.0, 4, 6, 8])
    fit = solve(reduce(x, y, intercept=False), [0], "nnls")
    assert fit.weights == pytest.approx([2])
    assert fit.r2 == pytest.approx(1)
    assert solve(reduce(np.ones((4, 1)), y, intercept=False), [0], "nnls").r2 == pytest.approx(0)
    assert solve(reduce(-x, y, intercept=False), [0], "nnls").weights == pytest.approx([0])
    assert solve(reduce(-x, y, intercept=False), [0], "lstsq").weights == pytest.approx([-2])
    assert np.isnan(solve(reduce(x, np.full(4, 3.1), intercept=False), [0], "lstsq").r2)
    assert np.isnan(solve(reduce(x, np.full(4, 3.1), intercept=True), [0], "lstsq").r2)
    assert adjusted(0.9, 11, 2, intercept=False) == pytest.approx(1 - 0.1 * 10 / 9)
    assert adjusted(0.9, 11, 2, intercept=True) == pytest.approx(1 - 0.1 * 10 / 8)
    assert np.isnan(adjusted(0.9, 2, 2, intercept=False))


def test_fewer_heads_than_columns_can_be_turned():
    rng = np.random.default_rng(0)
    x, y = rng.random((3, 5)), rng.random(3)
    assert solve(reduce(x, y, intercept=False), range(5), "lstsq").r2 == pytest.approx(1)


@pytest.mark.parametrize("intercept", [False, True])
def test_cross_validation_against_a_loop(intercept):
    rng = np.random.default_rng(1)
    x, y = rng.random((24, 3)), rng.random(24)
    parts = folds(np.repeat(np.arange(4), 6), "heads", 5, seed=2)
    assert np.sum(parts, axis=0).tolist() == [1] * 24
    errors = held_out(x, y, parts, lambda p: [solve(p, range(3), "lstsq")], intercept=intercept)
    top = bottom = 0.0
    for part in parts:
        weights, constant, _ = plain_fit(x[~part], y[~part], "lstsq", intercept)
        for head in np.nonzero(part)[0]:
            top += (y[head] - x[head] @ weights - constant) ** 2
            bottom += (y[head] - y[~part].mean()) ** 2
    assert cross_validated(errors, parts)[0] == pytest.approx(1 - top / bottom)


def test_folds_by_layer_and_permutations_within_layers():
    layers = np.repeat([0, 2, 3], [4, 4, 2])
    parts = folds(layers, "layers", 5, seed=0)
    assert [np.unique(layers[part]).tolist() for part in parts] == [[0], [2], [3]]
    y = np.arange(10.0)
    within, free = (shuffled(y, layers, 200, how, seed=0) for how in ("layer", "all"))
    for copies in (within, free):
        assert (np.sort(copies, axis=1) == y).all()
        assert len(np.unique(copies, axis=0)) > 150
    for layer in (0, 2, 3):
        assert set(within[:, layers == layer].ravel()) == set(y[layers == layer])
    assert set(free[:, 0]) == set(y)


def test_a_planted_target_is_taken_apart():
    target, basics = planted()
    found = decompose(target, basics, name="math_code", subsets=True, options=QUICK, bootstrap=FEW)
    assert found.weights["math"].low <= 0.7 <= found.weights["math"].high
    assert found.weights["code"].low <= 0.4 <= found.weights["code"].high
    assert abs(found.weights["facts"].value) < 0.15
    assert found.r2.value > 0.85
    assert found.r2.high <= 1
    assert found.cross_validated > 0.8
    assert found.null.p_value == pytest.approx(1 / 61)
    assert found.null.high < found.r2.value
    assert len(found.subsets) == 15
    assert found.subsets[0].r2 == pytest.approx(found.r2.value)
    assert {"math", "code"} <= set(found.subsets[0].tasks)
    pairs = [subset for subset in found.subsets if len(subset.tasks) == 2]
    assert pairs[0].tasks == ("math", "code")
    gap = found.gaps[1]
    assert (gap.size, gap.best) == (2, ("math", "code"))
    assert gap.value.value == pytest.approx(pairs[0].r2 - np.median([pair.r2 for pair in pairs]))
    assert gap.value.low > 0
    assert gap.best_in > 0.9
    assert [gap.size for gap in found.gaps] == [1, 2, 3]
    assert found.intervals
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["weights"]["math"]["value"] == found.weights["math"].value
    assert plain["examples"] == dict.fromkeys(["math_code", *basics], 40)


def test_values_are_those_of_the_patterns():
    target, basics = planted()
    names = list(basics)
    for relative in (False, True):
        patterns = [
            (a.pattern() - b.pattern()) / (b.pattern() if relative else 1.0) for b, a in (target, *basics.values())
        ]
        y, *x = (pattern.values.ravel().astype(float) for pattern in patterns)
        expected = plain_fit(np.stack(x, -1), y, "lstsq", False)
        options = Options(method="lstsq", relative=relative, permutations=5)
        found = decompose(target, basics, options=options, bootstrap=FEW)
        assert [found.weights[name].value for name in names] == pytest.approx(expected[0], abs=1e-4)
        assert found.r2.value == pytest.approx(expected[2], abs=1e-4)
        # The same from files of changes, but without intervals.
        files = dict(zip(names, patterns[1:], strict=True))
        kept = decompose(patterns[0], files, options=options, bootstrap=FEW)
        assert kept.r2.value == pytest.approx(expected[2], abs=1e-4)
        assert not kept.intervals
        assert np.isnan(kept.r2.low)
        assert kept.to_dict()["r2"]["low"] is None


def test_a_weight_at_its_bound_has_an_interval_above_it():
    target, basics = planted(shares=(0.7, 0.4, -0.05), noise=0.5)
    weight = decompose(target, basics, options=QUICK, bootstrap=FEW).weights["facts"]
    assert weight.value == weight.low == 0
    assert weight.high > 0


def test_sets_without_draws_have_no_intervals():
    target, basics = planted()
    for few in (NONE, FEW):
        n = 40 if few is NONE else 1  # one example resampled is always itself
        cut = {name: (before[:n], after[:n]) for name, (before, after) in {"t": target, **basics}.items()}
        found = decompose(cut.pop("t"), cut, subsets=True, options=QUICK, bootstrap=few)
        assert not found.intervals
        assert np.isnan(found.r2.low)
        assert found.to_dict()["gaps"][0]["best_in"] is None


def test_p_values_of_independent_targets_are_uniform():
    basics = {task: change(random_pattern(i)) for i, task in enumerate("abc")}
    p = []
    for seed in range(60):
        target = change(random_pattern(1000 + seed))
        p.append(decompose(target, basics, options=Options(permutations=40, folds=2), bootstrap=NONE).null.p_value)
    assert kstest(p, "uniform").pvalue > 0.01


def test_permute_within_layers_asks_for_more_than_a_profile_over_depth():
    depth = np.array([1.0, 5, 20, 60])[:, None]  # shared by all tasks; the heads themselves are independent
    target = change(depth * random_pattern(1) ** 0.3)
    basics = {task: change(depth * random_pattern(i) ** 0.3) for i, task in enumerate("ab", start=2)}
    p = {
        within: decompose(
            target, basics, options=Options(permutations=200, permute_within=within), bootstrap=NONE
        ).null.p_value
        for within in ("layer", "all")
    }
    assert p["all"] < 0.01
    assert p["layer"] > 0.05


def test_intercept_takes_what_all_heads_share():
    basics = {task: change(random_pattern(i)) for i, task in enumerate("ab")}
    target = change(0.5 * random_pattern(0) + 3.0)
    found = decompose(target, basics, options=Options(intercept=True, permutations=5), bootstrap=NONE)
    assert found.intercept.value == pytest.approx(3.0, abs=1e-4)
    assert found.weights["a"].value == pytest.approx(0.5, abs=1e-4)
    assert decompose(target, basics, options=QUICK, bootstrap=NONE).intercept.value == 0


def test_layers_without_attention_are_left_out():
    target, basics = planted(tasks=("math", "code"))
    gap = np.array([1.0, np.nan, 1.0, 1.0])[:, None]
    holed = [tuple(around(p.pattern().values * gap) for p in pair) for pair in (target, *basics.values())]
    found = decompose(holed[0], dict(zip(basics, holed[1:], strict=True)), options=QUICK, bootstrap=FEW)
    assert found.heads == (LAYERS - 1) * HEADS
    assert np.isfinite(found.weights["math"].low)


def test_discovery_finds_a_planted_pair_among_many():
    names = ("math", "code", *(f"other-{i}" for i in range(10)))
    target, catalogue = planted(tasks=names, noise=0.1)
    found = discover(target, catalogue, most=4, options=Options(permutations=20), bootstrap=Bootstrap(draws=20))
    assert set(found.tasks) == {"math", "code"}
    assert set(found.fit.weights) == {"math", "code"}
    assert found.null.p_value == pytest.approx(1 / 21)
    assert found.selection_frequency["math"] > 0.9
    assert max(share for task, share in found.selection_frequency.items() if task.startswith("other")) < 0.5
    assert [len(step.tasks) for step in found.path] == [1, 2, 3, 4]
    r2 = [step.r2 for step in found.path]
    assert r2 == sorted(r2)
    json.dumps(found.to_dict(), allow_nan=False)


def test_discovery_finds_nothing_in_a_target_of_its_own():
    catalogue = {f"task-{i}": change(random_pattern(i)) for i in range(10)}
    empty = 0
    for seed in range(10):
        found = discover(change(random_pattern(500 + seed)), catalogue, options=QUICK, bootstrap=NONE)
        empty += not found.tasks
        assert bool(found.tasks) == (found.fit is not None)
    assert empty >= 8


def test_forward_takes_the_best_next_column():
    rng = np.random.default_rng(3)
    x, y = rng.random((30, 5)), rng.random(30)
    path = forward(reduce(x, y, intercept=True), 3, "lstsq")
    chosen: list[int] = []
    for basis, fit in path:
        trials = {k: plain_fit(x[:, [*chosen, k]], y, "lstsq", True)[2] for k in range(5) if k not in chosen}
        chosen.append(max(trials, key=trials.get))
        assert basis == chosen
        assert fit.r2 == pytest.approx(max(trials.values()))


def test_read_task(tmp_path):
    (before, after), _ = planted()
    before.save(tmp_path / "before")
    after.save(tmp_path / "after")
    difference = after.pattern() - before.pattern()
    difference.save(tmp_path / "change.safetensors")
    after.pattern().save(tmp_path / "after.safetensors")
    name, pair = read_task(f"math={tmp_path}/before,{tmp_path}/after")
    assert (name, [len(each) for each in pair]) == ("math", [40, 40])
    _, mixed = read_task(f"math={tmp_path}/before,{tmp_path}/after.safetensors")
    assert (mixed[1] - mixed[0]).values == pytest.approx(difference.values)
    _, kept = read_task(f"math={tmp_path}/change.safetensors")
    assert (kept.values == difference.values).all()
    for wrong in ("math", "=a,b", "math=", "math=a,b,c", "math=a,"):
        with pytest.raises(InputError, match="NAME=BEFORE,AFTER"):
            read_task(wrong)
    assert len(read_task(f"math={tmp_path}/before")[1]) == 40
    with pytest.raises(InputError, match=r"t: this is one pattern set, not a change.*--by gradients"):
        decompose(before, {"math": (before, after)}, name="t")
    with pytest.raises(InputError, match="no file or directory"):
        read_task(f"math={tmp_path}/nothing")


def test_wrong_input():
    target, basics = planted()
    one = change(random_pattern(0))
    with pytest.raises(InputError, match="at least one"):
        decompose(target, {})
    with pytest.raises(InputError, match="'math' is among the basic tasks"):
        decompose(target, basics, name="math")
    with pytest.raises(InputError, match="shapes differ"):
        decompose(one, {"math": change(random_pattern(0, (LAYERS, HEADS + 1)))})
    with pytest.raises(InputError, match="24 basic tasks for 24 heads"):
        decompose(one, {str(i): change(random_pattern(i)) for i in range(24)})
    with pytest.raises(InputError, match="use discover"):
        decompose(one, {str(i): change(random_pattern(i)) for i in range(11)}, subsets=True)
    with pytest.raises(InputError, match="a pattern, not a change"):
        decompose(Pattern(random_pattern(0)), {"math": one})
    with pytest.raises(InputError, match="with --relative"):
        decompose(one, {"math": one}, options=Options(relative=True))
    with pytest.raises(InputError, match="two pattern sets or two patterns"):
        decompose((target[0], target[1].pattern()), {"math": one})
    with pytest.raises(InputError, match="every entry is NaN"):
        decompose(change(np.full((2, 2), np.nan)), {"math": change(np.ones((2, 2)))})
    with pytest.raises(InputError, match="infinite"):
        decompose(change(np.full((2, 2), np.inf)), {"math": change(np.ones((2, 2)))})
    with pytest.raises(InputError, match="choose 1 or more"):
        discover(one, {"math": one}, most=0)
    for wrong in ({"method": "ridge"}, {"folds": 1}, {"permutations": -1}, {"permute_within": "heads"}):
        with pytest.raises(InputError):
            Options(**wrong)
    flat = {"math": change(random_pattern(1, (1, 9)))}
    with pytest.raises(InputError, match="two layers"):
        decompose(change(random_pattern(0, (1, 9))), flat, hold_out="layers")


def test_a_change_that_only_mirrors_the_pattern_before_is_said_so(capsys, tmp_path):
    before, twin, other = (around(random_pattern(seed), 30, seed=seed) for seed in (0, 1, 2))
    collapsed = around(random_pattern(0) * 0.05, 30, seed=3)  # the loss is gone, and so are the levels
    raised = around(random_pattern(1) * random_pattern(7), 30, seed=4)
    found = decompose((before, collapsed), {"other": (twin, raised)}, name="math", options=Options(permutations=0))
    change = collapsed.pattern().values.astype(float) - before.pattern().values
    expected = -np.corrcoef(change.ravel(), before.pattern().values.ravel())[0, 1]
    assert found.mirrors_before["math"] == pytest.approx(expected, abs=1e-6)
    assert found.mirrors_before["math"] > 0.9 > found.mirrors_before["other"]
    (line,) = found.warnings
    assert "math (r = " in line
    assert "other" not in line
    assert found.to_dict()["warnings"] == [line]
    assert decompose((twin, raised), {"o": (other, twin)}, options=Options(permutations=0)).warnings == []
    rates = decompose((before, collapsed), {"o": (twin, raised)}, options=Options(permutations=0, relative=True))
    assert rates.warnings == []
    for name, levels in (("before", before), ("after", collapsed), ("b2", twin), ("a2", raised)):
        levels.save(tmp_path / name)
    target, basic = (
        f"{t}={tmp_path}/{b},{tmp_path}/{a}" for t, b, a in (("math", "before", "after"), ("o", "b2", "a2"))
    )
    assert run(["decompose", "--target", target, "--basic", basic, "--permutations=0", "--bootstrap=0", "--json"]) == 0
    stdout, stderr = capsys.readouterr()
    assert json.loads(stdout)["warnings"][0] in stderr
    change = collapsed.pattern() - before.pattern()
    assert decompose(change, {"o": (twin, raised)}, options=Options(permutations=0)).mirrors_before["target"] is None


def test_tasks_of_different_models_are_refused():
    def levels(seed, weights):
        return around(random_pattern(seed), model={"id": "m", "weights": weights})

    target = levels(0, "w"), levels(1, "tuned")
    decompose(target, {"math": (levels(2, "w"), levels(3, "tuned on math"))}, bootstrap=NONE)
    with pytest.raises(InputError, match="target and math are of different models"):
        decompose(target, {"math": (levels(2, "v"), levels(3, "tuned"))}, bootstrap=NONE)
    change = levels(3, "tuned").pattern() - levels(2, "v").pattern()
    with pytest.raises(InputError, match="target and math are of different models"):
        decompose(target, {"math": change}, bootstrap=NONE)
