"""The five numbers by which activation patterns are described and compared.

Each comes twice. ``gini(values)`` is one number of one pattern: NaN entries, which stand for layers without attention,
are left out (of a pair of arrays: where either is NaN), and input without an answer is refused.
``gini_of_each(patterns)`` is the same of many patterns at once, one along the last axis, as a bootstrap wants it: all
entries are numbers, and nothing is checked. A statistic that is 0/0 for its input, such as the correlation with a
constant array, is NaN in both, never an invented number. Everything is computed in float64.

The paper (arXiv 2409.15820) reports the first three before and after fine-tuning (its Table 1) and the other two along
training (its Figures 2 and 5). All are population statistics: the heads of a model are all the heads there are, not a
sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from scipy import stats

from headprint.base.errors import InputError
from headprint.base.options import CorrelationMethod

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from headprint.base.shapes import HeadValues, Values


def gini(values: ArrayLike) -> float:
    r"""Compute the Gini coefficient: 0 when all heads are equally active, 1 - 1/n when one does everything.

    .. math:: G = \frac{\sum_i \sum_j |x_i - x_j|}{2 n^2 \bar x}

    Args:
        values: Non-negative numbers of any shape.

    Returns:
        A number in [0, 1 - 1/n]; NaN if all values are 0.

    Raises:
        InputError: A value is negative or infinite, or there is none.
    """
    x = _numbers(values)
    if x.min() < 0:
        raise InputError(
            "the Gini coefficient is defined for non-negative values and there are negative ones: "
            "take it of the patterns before and after, not of their change"
        )
    if x.max() > 0:
        x = x / x.max()  # keeps the sum finite and normal whatever the unit
    return max(0.0, float(gini_of_each(x))) if x.max() > 0 else float("nan")


def gini_of_each(patterns: HeadValues) -> Values:
    r"""Compute :func:`gini` along the last axis.

    In O(n log n) from the sorted values, as :math:`\sum_i (2i - n - 1) x_{(i)} / (n \sum_i x_i)`.
    """
    x = np.sort(patterns, axis=-1)
    n = x.shape[-1]
    weights = 2.0 * np.arange(1, n + 1) - n - 1
    return ratio(x @ weights, n * x.sum(axis=-1))


def coefficient_of_variation(values: ArrayLike) -> float:
    """Compute standard deviation over mean, sigma / mu, with the population's sigma (divided by n).

    Args:
        values: Numbers of any shape. Of a change it says little: its mean may be close to 0.

    Returns:
        A number with the sign of the mean; NaN if the mean is 0.

    Raises:
        InputError: A value is infinite, or there is none.
    """
    return float(coefficient_of_variation_of_each(_numbers(values)))


def coefficient_of_variation_of_each(patterns: HeadValues) -> Values:
    """Compute :func:`coefficient_of_variation` along the last axis."""
    return ratio(patterns.std(axis=-1), patterns.mean(axis=-1))


def kurtosis(values: ArrayLike) -> float:
    """Compute the excess kurtosis after Fisher, m4 / m2**2 - 3 of population moments: 0 for a normal.

    Args:
        values: Numbers of any shape.

    Returns:
        A number of at least -2; NaN if all values are equal.

    Raises:
        InputError: A value is infinite, or there is none.
    """
    return float(kurtosis_of_each(_numbers(values)))


def kurtosis_of_each(patterns: HeadValues) -> Values:
    """Compute :func:`kurtosis` along the last axis."""
    off = _deviations(patterns)
    result: Values = ratio((off**4).mean(axis=-1), (off**2).mean(axis=-1) ** 2) - 3.0
    return result


def correlation(a: ArrayLike, b: ArrayLike, method: CorrelationMethod = "pearson") -> float:
    """Correlate two arrays over their heads.

    Args:
        a: Numbers of any shape.
        b: Numbers of the same shape.
        method: ``"pearson"`` (linear), ``"spearman"`` (of ranks) or ``"kendall"`` (tau-b).

    Returns:
        A number in [-1, 1]; NaN if either array is constant.

    Raises:
        InputError: Shapes differ, a value is infinite, none is left, or the method is unknown.
    """
    if method not in get_args(CorrelationMethod):
        raise InputError(f"unknown correlation method {method!r}: choose from {', '.join(get_args(CorrelationMethod))}")
    return float(correlation_of_each(*_pairs(a, b), method))


def correlation_of_each(a: HeadValues, b: HeadValues, method: CorrelationMethod = "pearson") -> Values:
    """Compute :func:`correlation` along the last axis.

    Kendall's takes a loop over the patterns and O(P log P) of each; the other two are vectorised.
    """
    if method == "kendall":
        paired = np.stack(np.broadcast_arrays(a, b), axis=-2)  # (..., 2, P)
        each = [stats.kendalltau(x, y).statistic for x, y in paired.reshape(-1, *paired.shape[-2:])]
        return np.reshape(each, paired.shape[:-2])
    if method == "spearman":
        a, b = stats.rankdata(a, axis=-1), stats.rankdata(b, axis=-1)
    a, b = _deviations(a), _deviations(b)
    sizes = np.sqrt((a**2).sum(axis=-1)) * np.sqrt((b**2).sum(axis=-1))
    result: Values = np.clip(ratio((a * b).sum(axis=-1), sizes), -1.0, 1.0)
    return result


def mse(a: ArrayLike, b: ArrayLike) -> float:
    """Compute the mean squared difference of two arrays, in the square of their unit.

    Args:
        a: Numbers of any shape.
        b: Numbers of the same shape.

    Raises:
        InputError: The shapes differ, a value is infinite, or none is left.
    """
    return float(mse_of_each(*_pairs(a, b)))


def mse_of_each(a: HeadValues, b: HeadValues) -> Values:
    """Compute :func:`mse` along the last axis."""
    result: Values = ((a - b) ** 2).mean(axis=-1)
    return result


def ratio(top: Any, bottom: Any) -> Values:
    """Divide; NaN where the divisor is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Values = np.where(bottom == 0, np.nan, top / bottom)
    return result


def _deviations(patterns: HeadValues) -> HeadValues:
    """Differences from the mean; exactly 0 of a constant pattern, whose mean is rounded."""
    off: HeadValues = patterns - patterns.mean(axis=-1, keepdims=True)
    return np.where(np.ptp(patterns, axis=-1, keepdims=True) == 0, 0.0, off)


def _numbers(values: ArrayLike) -> HeadValues:
    """The entries that are not NaN, flat, in float64."""
    x = np.asarray(values, dtype=np.float64).ravel()
    x = x[~np.isnan(x)]
    if x.size == 0:
        raise InputError("there are no values to take a statistic of: every entry is NaN or the array is empty")
    if not np.isfinite(x).all():
        raise InputError("there are infinite values: the run that made them overflowed")
    return x


def _pairs(a: ArrayLike, b: ArrayLike) -> tuple[HeadValues, HeadValues]:
    """The entries that are NaN in neither array."""
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape != y.shape:
        raise InputError(f"shapes differ: {x.shape} and {y.shape}; only patterns of one architecture compare")
    known = ~(np.isnan(x) | np.isnan(y))
    return _numbers(x[known]), _numbers(y[known])
