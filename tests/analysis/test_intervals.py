"""Intervals that follow from a formula: against SciPy, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from headprint.analysis.intervals import Interval, mean_interval, wilson


@given(st.integers(1, 300), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilson_agrees_with_scipy(n, share, confidence):
    successes = round(share * n)
    theirs = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    ours = wilson(successes, n, confidence)
    assert (ours.value, ours.low, ours.high) == pytest.approx((successes / n, *theirs), abs=1e-12)


def test_wilson_is_exact_at_the_ends():
    assert wilson(0, 20).low == 0.0 < wilson(0, 20).high
    assert wilson(20, 20).high == 1.0 > wilson(20, 20).low


def test_mean_interval_agrees_with_scipy():
    x = np.random.default_rng(0).normal(size=9)
    theirs = stats.ttest_1samp(x, 0).confidence_interval(0.9)
    found = mean_interval(x, 0.9)
    assert (found.value, found.low, found.high) == pytest.approx((x.mean(), *theirs))
    assert np.isnan(mean_interval([3.0]).low)


def test_a_missing_interval_is_null():
    assert Interval(1.0).to_dict() == {"value": 1.0, "low": None, "high": None}
    assert str(Interval(0.5)) == "0.500"
    assert str(Interval(0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"
