"""The statistics of :mod:`headprint.patterns.statistics`, of many patterns at once: the last axis is a pattern's heads.

A bootstrap asks for them thousands of times. All heads are numbers here, and what has no answer is NaN, not an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from headprint.base.shapes import Values

    Heads = Values  # (..., P), patterns with their known heads in one row
    Many = Values  # (...,)

CorrelationMethod = Literal["pearson", "spearman"]


def gini(patterns: Heads) -> Many:
    """Gini coefficient over the last axis; :func:`headprint.patterns.statistics.gini` of many patterns."""
    x = np.sort(patterns, axis=-1)
    n = x.shape[-1]
    weights = 2.0 * np.arange(1, n + 1) - n - 1
    return ratio(x @ weights, n * x.sum(axis=-1))


def coefficient_of_variation(patterns: Heads) -> Many:
    """Standard deviation over mean, over the last axis."""
    return ratio(patterns.std(axis=-1), patterns.mean(axis=-1))


def kurtosis(patterns: Heads) -> Many:
    """Excess kurtosis over the last axis."""
    off = patterns - patterns.mean(axis=-1, keepdims=True)
    result: Many = ratio((off**4).mean(axis=-1), (off**2).mean(axis=-1) ** 2) - 3.0
    return result


def correlation(a: Heads, b: Heads, method: CorrelationMethod = "pearson") -> Many:
    """Correlation over the last axis; NaN where one of the two is constant."""
    if method == "spearman":
        a, b = stats.rankdata(a, axis=-1), stats.rankdata(b, axis=-1)
    a = a - a.mean(axis=-1, keepdims=True)
    b = b - b.mean(axis=-1, keepdims=True)
    sizes = np.sqrt((a**2).sum(axis=-1)) * np.sqrt((b**2).sum(axis=-1))
    result: Many = np.clip(ratio((a * b).sum(axis=-1), sizes), -1.0, 1.0)
    return result


def mse(a: Heads, b: Heads) -> Many:
    """Mean squared difference over the last axis."""
    result: Many = ((a - b) ** 2).mean(axis=-1)
    return result


def ratio(top: Any, bottom: Any) -> Values:
    """One through the other; NaN where the bottom is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Values = np.where(bottom == 0, np.nan, top / bottom)
    return result
