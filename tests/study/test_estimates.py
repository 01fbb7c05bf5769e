"""Numbers with intervals, and how they are written."""

from __future__ import annotations

import pytest
from scipy import stats

from headprint.study.estimates import Estimate, average, difference, ends_of, mean_of, number, value_of, written


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
