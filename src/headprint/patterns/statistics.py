"""The five numbers by which activation patterns are described and compared.

Plain arrays in, floats out, computed in float64. NaN entries stand for layers without attention and
are left out (of a pair of arrays: left out where either is NaN). A statistic that is 0/0 for its
input, such as the correlation with a constant array, is NaN, never an invented number. Infinite
entries, arrays of different shapes, and arrays without an entry raise
:class:`~headprint.base.errors.InputError`.

The paper (arXiv 2409.15820) reports the first three before and after fine-tuning (its Table 1) and
the other two along training (its Figures 2 and 5). All are population statistics: the heads of a
model are all the heads there are, not a sample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import stats

from headprint.base.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from headprint.base.shapes import Values

CorrelationMethod = Literal["pearson", "spearman", "kendall"]


def gini(values: ArrayLike) -> float:
    r"""Gini coefficient: 0 when all heads are equally active, 1 - 1/n when one does everything.

    .. math:: G = \frac{\sum_i \sum_j |x_i - x_j|}{2 n^2 \bar x}

    computed in O(n log n) from the sorted values, as
    :math:`\sum_i (2i - n - 1) x_{(i)} / (n \sum_i x_i)`.

    Args:
        values: Non-negative numbers of any shape.

    Returns:
        A number in [0, 1 - 1/n]; NaN if all values are 0.

    Raises:
        InputError: If a value is negative or infinite, or there is none.
    """
    x = np.sort(_numbers(values))
    if x[0] < 0:
        raise InputError(
            "the Gini coefficient is defined for non-negative values and there are negative ones: "
            "take it of the patterns before and after, not of their change"
        )
    if x[-1] == 0:
        return float("nan")
    x = x / x[-1]  # keeps the sum finite and normal whatever the unit
    n = x.size
    weights = 2.0 * np.arange(1, n + 1) - n - 1
    return max(0.0, float(weights @ x / (n * x.sum())))


def coefficient_of_variation(values: ArrayLike) -> float:
    """Standard deviation over mean, sigma / mu, with the population's sigma (divided by n).

    Args:
        values: Numbers of any shape. Of a change it says little: its mean may be close to 0.

    Returns:
        A number with the sign of the mean; NaN if the mean is 0.

    Raises:
        InputError: If a value is infinite or there is none.
    """
    x = _numbers(values)
    if x.mean() == 0:
        return float("nan")
    return float(stats.variation(x, ddof=0))


def kurtosis(values: ArrayLike) -> float:
    """Excess kurtosis after Fisher, m4 / m2**2 - 3 of population moments: 0 for a normal.

    Args:
        values: Numbers of any shape.

    Returns:
        A number of at least -2; NaN if all values are equal.

    Raises:
        InputError: If a value is infinite or there is none.
    """
    x = _numbers(values)
    if np.ptp(x) == 0:
        return float("nan")
    return float(stats.kurtosis(x, fisher=True, bias=True))


def correlation(a: ArrayLike, b: ArrayLike, method: CorrelationMethod = "pearson") -> float:
    """Correlation of two arrays over their heads.

    Args:
        a: Numbers of any shape.
        b: Numbers of the same shape.
        method: ``"pearson"`` (linear), ``"spearman"`` (of ranks) or ``"kendall"`` (tau-b).

    Returns:
        A number in [-1, 1]; NaN if either array is constant.

    Raises:
        InputError: If shapes differ, a value is infinite, none is left, or the method is unknown.
    """
    functions: dict[str, Callable[..., Any]] = {
        "pearson": stats.pearsonr,
        "spearman": stats.spearmanr,
        "kendall": stats.kendalltau,
    }
    if method not in functions:
        raise InputError(f"unknown correlation method {method!r}: choose from {', '.join(functions)}")
    x, y = _pairs(a, b)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.clip(functions[method](x, y).statistic, -1.0, 1.0))


def mse(a: ArrayLike, b: ArrayLike) -> float:
    """Mean squared difference of two arrays, in the square of their unit.

    Args:
        a: Numbers of any shape.
        b: Numbers of the same shape.

    Raises:
        InputError: If the shapes differ, a value is infinite, or none is left.
    """
    x, y = _pairs(a, b)
    return float(np.mean((x - y) ** 2))


def _numbers(values: ArrayLike) -> Values:
    """The entries that are not NaN, flat, in float64."""
    x = np.asarray(values, dtype=np.float64).ravel()
    x = x[~np.isnan(x)]
    if x.size == 0:
        raise InputError("there are no values to take a statistic of: every entry is NaN or the array is empty")
    if not np.isfinite(x).all():
        raise InputError("there are infinite values: the run that made them overflowed")
    return x


def _pairs(a: ArrayLike, b: ArrayLike) -> tuple[Values, Values]:
    """The entries that are NaN in neither array."""
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape != y.shape:
        raise InputError(f"shapes differ: {x.shape} and {y.shape}; only patterns of one architecture compare")
    known = ~(np.isnan(x) | np.isnan(y))
    return _numbers(x[known]), _numbers(y[known])
