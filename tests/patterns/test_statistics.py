"""Statistics against their plain definitions, hand-computed values, and the laws they obey."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from headprint.base.errors import InputError
from headprint.patterns import statistics

METHODS = ("pearson", "spearman", "kendall")


def arrays(low: float, high: float, min_size: int = 2):
    """Arrays without NaN whose entries are 0 or far from underflow."""
    elements = st.floats(low, high, allow_subnormal=False).map(lambda x: x if abs(x) > 1e-6 else 0.0)
    return st.integers(min_size, 40).flatmap(lambda n: hnp.arrays(np.float64, n, elements=elements))


levels = arrays(0.0, 1e3)
numbers = arrays(-1e3, 1e3)
scales = st.floats(1e-3, 1e3)


def gini_by_definition(x):
    """The mean absolute difference of all n^2 pairs over twice the mean."""
    differences = [abs(a - b) for a in x for b in x]
    return sum(differences) / len(x) ** 2 / (2 * sum(x) / len(x))


def varied(x):
    """Far enough from constant for a ratio of moments to mean something in float64."""
    return np.ptp(x) > 1e-3 * max(1.0, np.abs(x).max())


@given(levels.filter(lambda x: x.sum() > 0))
def test_gini_is_the_mean_difference_over_twice_the_mean(x):
    assert statistics.gini(x) == pytest.approx(gini_by_definition(x), abs=1e-12)


@given(levels.filter(lambda x: x.sum() > 0), scales)
def test_gini_is_bounded_and_free_of_scale(x, scale):
    g = statistics.gini(x)
    assert 0 <= g <= 1 - 1 / x.size + 1e-12
    assert statistics.gini(scale * x) == pytest.approx(g, abs=1e-9)


def test_gini_by_hand():
    assert statistics.gini([1, 3]) == pytest.approx(0.25)  # (0+2+2+0) / 4 / (2*2)
    assert statistics.gini([0, 0, 0, 7]) == pytest.approx(3 / 4)
    assert statistics.gini([[2, 2], [2, 2]]) == 0
    assert math.isnan(statistics.gini([0, 0]))


def test_gini_refuses_negative_values():
    with pytest.raises(InputError, match="non-negative"):
        statistics.gini([1.0, -1e-9])


def test_cv_and_kurtosis_by_hand():
    assert statistics.coefficient_of_variation([1, 3]) == pytest.approx(0.5)  # sigma 1, mean 2
    assert statistics.coefficient_of_variation([2, 4, 4, 4, 5, 5, 7, 9]) == pytest.approx(2 / 5)
    # mean 1; m2 = (4 * 1 + 16) / 5 = 4; m4 = (4 * 1 + 256) / 5 = 52; 52 / 16 - 3
    assert statistics.kurtosis([0, 0, 0, 0, 5]) == pytest.approx(0.25)
    assert statistics.kurtosis([-1, 1]) == pytest.approx(-2)


def test_undefined_statistics_are_nan():
    assert math.isnan(statistics.coefficient_of_variation([-1, 1]))
    assert math.isnan(statistics.kurtosis([3, 3, 3]))
    assert all(math.isnan(statistics.correlation([1, 1, 1], [1, 2, 3], m)) for m in METHODS)


@given(levels.filter(lambda x: varied(x) and x.mean() > 1e-3), scales)
def test_cv_is_free_of_scale(x, scale):
    cv = statistics.coefficient_of_variation(x)
    assert cv == pytest.approx(math.sqrt(np.mean((x - x.mean()) ** 2)) / x.mean(), rel=1e-9)
    assert statistics.coefficient_of_variation(scale * x) == pytest.approx(cv, rel=1e-9)


@given(numbers.filter(varied), scales, st.floats(-10, 10))
def test_kurtosis_is_free_of_scale_and_origin(x, scale, origin):
    k = statistics.kurtosis(x)
    assert k >= -2 - 1e-9
    assert statistics.kurtosis(scale * (x + origin)) == pytest.approx(k, rel=1e-4, abs=1e-4)


@given(levels.filter(lambda x: varied(x) and x.mean() > 1e-3), st.randoms(use_true_random=False))
def test_order_does_not_matter(x, random):
    shuffled = list(x)
    random.shuffle(shuffled)
    for statistic in (
        statistics.gini,
        statistics.coefficient_of_variation,
        statistics.kurtosis,
    ):
        assert statistic(shuffled) == pytest.approx(statistic(x), rel=1e-6, abs=1e-9)


@st.composite
def pairs(draw):
    x = draw(arrays(-1e3, 1e3, min_size=3).filter(varied))
    elements = st.integers(-1000, 1000).map(float)
    y = draw(hnp.arrays(np.float64, x.size, elements=elements).filter(varied))
    return x, y


@pytest.mark.parametrize("method", METHODS)
@given(pair=pairs(), order=st.randoms(use_true_random=False), doubling=st.integers(-8, 8))
def test_correlation_laws(method, pair, order, doubling):
    x, y = pair
    r = statistics.correlation(x, y, method)
    assert -1 <= r <= 1
    assert statistics.correlation(y, x, method) == pytest.approx(r, abs=1e-9)
    assert statistics.correlation(x, x, method) == pytest.approx(1)
    assert statistics.correlation(x, -y, method) == pytest.approx(-r, abs=1e-9)
    # A power of two changes no order, not even by rounding.
    assert statistics.correlation(2.0**doubling * x, y, method) == pytest.approx(r, abs=1e-9)
    places = list(range(x.size))
    order.shuffle(places)
    assert statistics.correlation(x[places], y[places], method) == pytest.approx(r, abs=1e-9)


def test_correlation_by_hand():
    a, b = [1, 2, 3, 4], [1, 3, 2, 10]
    # deviations (-1.5, -0.5, 0.5, 1.5) and (-3, -1, -2, 6): 13 / sqrt(5 * 50)
    assert statistics.correlation(a, b) == pytest.approx(13 / math.sqrt(250))
    assert statistics.correlation(a, b, "spearman") == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert statistics.correlation(a, b, "kendall") == pytest.approx((5 - 1) / 6)


def test_mse_by_hand():
    assert statistics.mse([1, 2], [4, 6]) == pytest.approx((9 + 16) / 2)


@given(pairs())
def test_mse_laws(pair):
    x, y = pair
    assert statistics.mse(x, x) == 0
    assert statistics.mse(x, y) == pytest.approx(statistics.mse(y, x))
    assert statistics.mse(3 * x, 3 * y) == pytest.approx(9 * statistics.mse(x, y), rel=1e-9)


@given(levels.filter(lambda x: varied(x) and x.mean() > 1e-3), st.integers(0, 40))
def test_nan_entries_are_left_out_everywhere(x, place):
    with_nan = np.insert(x, min(place, x.size), np.nan)
    other = np.insert(np.sin(np.arange(x.size)), min(place, x.size), 5.0)
    known = ~np.isnan(with_nan)
    assert statistics.gini(with_nan) == statistics.gini(x)
    assert statistics.coefficient_of_variation(with_nan) == statistics.coefficient_of_variation(x)
    assert statistics.kurtosis(with_nan) == statistics.kurtosis(x)
    assert statistics.mse(other, with_nan) == statistics.mse(other[known], x)
    for method in METHODS:
        expected = statistics.correlation(other[known], x, method)
        assert statistics.correlation(other, with_nan, method) == expected


SCIPY = {
    "pearson": lambda a, b: stats.pearsonr(a, b).statistic,
    "spearman": lambda a, b: stats.spearmanr(a, b).statistic,
    "kendall": lambda a, b: stats.kendalltau(a, b).statistic,
}


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.float64, (3, 2, 7), elements=st.floats(0.125, 100, width=32)))
def test_statistics_of_each_pattern_are_scipys_of_one(patterns):
    for i, j in np.ndindex(3, 2):
        one = patterns[i, j]
        if np.ptp(one) < 1e-3:
            continue  # what is 0/0 up to rounding
        assert statistics.gini_of_each(patterns)[i, j] == pytest.approx(gini_by_definition(one), abs=1e-12)
        assert statistics.coefficient_of_variation_of_each(patterns)[i, j] == pytest.approx(stats.variation(one))
        assert statistics.kurtosis_of_each(patterns)[i, j] == pytest.approx(stats.kurtosis(one), rel=1e-6, abs=1e-6)
    a, b = patterns[:, 0], patterns[:, 1]
    for row in range(3):
        assert statistics.mse_of_each(a, b)[row] == pytest.approx(np.mean((a[row] - b[row]) ** 2))
        if min(np.ptp(a[row]), np.ptp(b[row])) < 1e-3:
            continue
        for method in METHODS:
            expected = SCIPY[method](a[row], b[row])
            assert statistics.correlation_of_each(a, b, method)[row] == pytest.approx(expected, abs=1e-6)


def test_each_of_one_against_many_is_broadcast():
    rng = np.random.default_rng(0)
    one, many = rng.random(9), rng.random((4, 2, 9))
    for method in METHODS:
        found = statistics.correlation_of_each(many, one, method)
        assert found.shape == (4, 2)
        assert found[3, 1] == pytest.approx(statistics.correlation(many[3, 1], one, method), abs=1e-12)


@pytest.mark.parametrize("value", [1.0, 0.1, 1e-3])  # the mean of seven times 0.1 is not 0.1
def test_constant_patterns_have_neither_kurtosis_nor_correlation(value):
    constant = np.full((2, 7), value)
    assert np.isnan(statistics.kurtosis_of_each(constant)).all()
    for method in METHODS:
        assert np.isnan(statistics.correlation_of_each(constant, np.arange(7.0), method)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.gini([]), "no values"),
        (lambda: statistics.kurtosis([math.nan, math.nan]), "no values"),
        (lambda: statistics.coefficient_of_variation([1, math.inf]), "infinite"),
        (lambda: statistics.mse([1, 2], [1, 2, 3]), r"\(2,\) and \(3,\)"),
        (lambda: statistics.correlation([1, 2], [[1, 2]]), "shapes differ"),
        (lambda: statistics.correlation([1, 2], [2, 1], "cosine"), "pearson, spearman, kendall"),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
