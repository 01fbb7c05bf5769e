"""Numbers with intervals, and how they are written."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from headprint.study.estimates import (
    Estimate,
    average,
    difference,
    ends_of,
    log_of,
    log_ratio,
    mean_of,
    number,
    value_of,
    written,
)


def test_estimates() -> None:
    assert value_of(Estimate(float("nan"))) is None
    assert value_of(2) == 2.0
    assert value_of(None) is None
    assert ends_of(Estimate(1.0, 0.5, None)) is None
    assert mean_of([]) == Estimate(None)
    assert mean_of([3.0]) == Estimate(3.0)
    found = mean_of([1, 2, 3, 4], 0.9)
    low, high = stats.t.interval(0.9, 3, loc=2.5, scale=stats.sem([1, 2, 3, 4]))
    assert [found.value, found.low, found.high] == pytest.approx([2.5, low, high])
    assert average([Estimate(1.0, 0.5, 1.5)]) == Estimate(1.0, 0.5, 1.5)
    assert average([Estimate(1.0), None]) is None
    assert difference(Estimate(1.0, 0.9, 1.1), None).value is None
    assert difference(Estimate(1.0, 0.9, 1.1), 0.5) == Estimate(0.5)


def test_numbers_for_people() -> None:
    assert number(None) == "–"
    assert number(-0.1234) == "−0.12"
    assert number(0.1234, percent=True, signed=True) == "+12.3 %"
    assert number(0.000123456, None) == "0.000123"
    assert number(12345.0, 0) == "12,345"
    assert written(Estimate(0.5, 0.25, 0.75), percent=True) == "50.0 % [25.0, 75.0]"
    assert written(Estimate(0.5, None, 0.75)) == "0.50"


def test_logarithms() -> None:
    assert log_of(Estimate(1.0, math.exp(-1), math.e)) == Estimate(0.0, -1.0, 1.0)
    assert log_of(Estimate(1.0, -0.5, 2.5)) == Estimate(0.0)  # an interval that reaches below 0 has no logarithm
    assert log_of(Estimate(0.0)) == log_of(None) == Estimate(None)


def test_a_log_ratio_covers_the_true_one_as_often_as_its_interval_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        of_row = rng.gamma(4, size=60)
        a, b = of_row * rng.uniform(0.4, 0.8, 60), of_row * rng.uniform(0.8, 1.2, 60)
        found = log_ratio(a.tolist(), b.tolist())
        assert found.value == pytest.approx(math.log(a.mean() / b.mean()))
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= math.log(0.6) <= found.high
    assert 0.92 <= covered / 400 <= 0.98
    assert log_ratio([0.0, 0.0], [1.0, 2.0]) == Estimate(None)
