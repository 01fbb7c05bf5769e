"""Numbers with confidence intervals that follow from a formula; :mod:`headprint.analysis.bootstrap` has the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri, stdtrit

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Interval:
    """A number and its confidence interval; where there is no interval, both ends are NaN.

    Attributes:
        value: The estimate.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float = math.nan
    high: float = math.nan

    def to_dict(self) -> dict[str, float | None]:
        """Return plain types for JSON, with None for NaN and infinity."""
        return {name: x if math.isfinite(x) else None for name, x in vars(self).items()}

    def __str__(self) -> str:
        """Such as ``0.812 [0.790, 0.834]``."""
        ends = f" [{self.low:.3f}, {self.high:.3f}]" if math.isfinite(self.low) else ""
        return f"{self.value:.3f}{ends}"


def mean_interval(values: Sequence[float] | NDArray[np.float64], confidence: float = 0.95) -> Interval:
    """Return a mean with Student's t interval; a single value has no interval.

    Args:
        values: Independent observations, at least one.
        confidence: Of the interval, between 0 and 1.
    """
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Interval(mean)
    half = float(stdtrit(n - 1, (1 + confidence) / 2) * np.std(values, ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half)


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Return a share with Wilson's score interval, which stays within 0 and 1.

    E. B. Wilson, *Probable inference, the law of succession, and statistical inference*, 1927.

    Args:
        successes: How many of the n.
        n: Trials, at least one.
        confidence: Of the interval, between 0 and 1.
    """
    z = float(ndtri((1 + confidence) / 2))
    share, scale = successes / n, 2 * (n + z**2)
    center = (2 * successes + z**2) / scale
    half = z * math.sqrt(4 * successes * (1 - share) + z**2) / scale
    # At 0 and n one end is exact, whatever the rounding.
    return Interval(share, center - half if successes else 0.0, center + half if successes < n else 1.0)


def difference(a: Interval, b: Interval) -> Interval:
    """Return a - b of two independent estimates (the square-and-add method).

    G. Y. Zou and A. Donner, *Construction of confidence limits about effect measures*, 2008. For estimates
    from the same rows the interval is too wide rather than too narrow. Without both intervals there is none.
    """
    value = a.value - b.value
    return Interval(
        value,
        value - math.hypot(a.value - a.low, b.high - b.value),
        value + math.hypot(a.high - a.value, b.value - b.low),
    )
