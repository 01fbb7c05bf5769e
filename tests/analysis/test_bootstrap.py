"""The bootstrap: fair and paired draws, and intervals against SciPy, by hand, and by how often they cover."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap

from headprint.analysis import bootstrap
from headprint.analysis.bootstrap import Bootstrap, resample
from headprint.analysis.comparison import task_correlations
from headprint.analysis.intervals import Interval
from headprint.base.errors import InputError
from support.pattern_sets import around, of_levels, random_pattern

FEW = Bootstrap(draws=50)


def test_a_draw_is_the_pattern_of_some_multiset_of_examples():
    levels = of_levels(np.array([1.0, -10.0, 100.0]).reshape(3, 1, 1))
    values, draws = resample([levels], Bootstrap(draws=200))
    assert values.shape == (1, 1, 1)
    assert values.item() == pytest.approx(111 / 3)
    sums = np.round(draws.ravel() * 3).astype(int)
    possible = {a + 10 * b + 100 * (3 - a - b) for a in range(4) for b in range(4 - a)}
    assert set(sums) == possible  # all ten of them in 200 draws


@pytest.mark.parametrize("block", [1, 50, 1 << 21])
def test_draws_are_fair_whatever_the_block(block, monkeypatch):
    # One head per example, so that a draw's pattern shows how often each example was taken.
    monkeypatch.setattr(bootstrap, "_BLOCK", block)
    n = 5
    draws = resample([of_levels(np.eye(n)[:, None])], Bootstrap(draws=800, seed=3)).draws
    counts = draws.reshape(800, n) * n
    assert np.allclose(counts.sum(axis=1), n)
    assert np.allclose(counts, np.round(counts))
    assert counts.mean(axis=0) == pytest.approx(np.ones(n), abs=0.15)
    assert counts.var(axis=0) == pytest.approx(np.full(n, 1 - 1 / n), abs=0.2)


def test_sets_are_drawn_in_pairs_whatever_their_order():
    first = around(random_pattern(0))
    order = np.random.default_rng(1).permutation(len(first))
    values, draws = resample([first, first[order]], FEW)
    assert values[0] == pytest.approx(values[1])
    assert draws[:, 0] == pytest.approx(draws[:, 1])
    other = around(random_pattern(0), ids=[f"row-{i}" for i in range(20, 60)])
    with pytest.raises(InputError, match="20 in both"):
        resample([first, other], FEW)


@pytest.mark.parametrize("placement", ["example", "none", "token"])
def test_resampling_gives_the_pattern_of_the_placement(placement):
    levels = around(random_pattern(4), placement=placement)
    values = resample([levels], FEW).values
    assert values[0] == pytest.approx(levels.pattern().values, rel=1e-5, abs=1e-6)


def test_percentile_interval_agrees_with_scipy():
    x = np.random.default_rng(0).lognormal(size=80)
    options = Bootstrap(draws=4000, method="percentile")
    values, draws = resample([of_levels(x[:, None, None])], options)
    ours = options.interval(values.item(), draws.ravel())
    theirs = scipy_bootstrap((x,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.03)


def test_interval_methods_by_hand():
    draws = np.arange(101.0)  # quantile q is 100 q
    of = {m: Bootstrap(confidence=0.9, method=m).interval(30.0, draws) for m in ("percentile", "basic", "bc")}
    assert (of["percentile"].low, of["percentile"].high) == pytest.approx((5, 95))
    assert (of["basic"].low, of["basic"].high) == pytest.approx((-35, 55))
    assert 0 < of["bc"].low < 5
    assert of["bc"].high < 95
    assert Bootstrap(confidence=0.9).interval(30.0, draws, (0, 50)) == Interval(30.0, 0.0, 50.0)
    assert np.isnan(Bootstrap().interval(30.0, [np.nan]).low)
    assert Interval(1.0).to_dict() == {"value": 1.0, "low": None, "high": None}


@pytest.mark.parametrize(
    "wrong", [{"draws": -1}, {"confidence": 1.0}, {"method": "bca"}, {"seed": -1}], ids=lambda wrong: next(iter(wrong))
)
def test_bootstrap_refuses(wrong):
    with pytest.raises(InputError):
        Bootstrap(**wrong)


def test_default_interval_of_a_correlation_covers_where_percentiles_fail():
    # Equal patterns, measured with noise: that lowers correlations, and those of resamples twice.
    truth = random_pattern(7, (6, 6))
    covered = {"basic": 0, "percentile": 0}
    for repeat in range(12):
        pair = [around(truth, 30, 0.8, seed=2 * repeat + i) for i in (0, 1)]
        for method in covered:
            options = Bootstrap(draws=200, method=method)
            found = task_correlations(dict(zip("ab", pair, strict=True)), bootstrap=options).before
            covered[method] += bool(found.low[0, 1] <= 1.0 <= found.high[0, 1])
    assert covered["basic"] >= 9
    assert covered["percentile"] <= 3


def test_sets_of_different_quantities_are_refused():
    first = around(random_pattern(0), loss="mean")
    with pytest.raises(InputError, match="loss is 'mean' in one and 'sum' in the other"):
        resample([first, around(random_pattern(0), loss="sum")], FEW)
    with pytest.raises(InputError, match=r"set 1 of math and set 2 of math .*loss"):
        resample([first, around(random_pattern(0), loss="sum")], FEW, name="math")
