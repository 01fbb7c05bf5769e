"""Bootstrap confidence intervals over examples: how much a number depends on which rows were probed.

A pattern is a mean over examples, so a resampled pattern is a weighted mean of the same levels, and
all resamples are one matrix product of (draws, examples) counts with (examples, heads) levels. Levels
are read block by block, and whatever is computed from a pattern is then computed from every draw.

Heads are not resampled: a model has no others.

B. Efron and R. J. Tibshirani, *An Introduction to the Bootstrap*, 1993, chapters 13 and 14.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from headprint.analysis.comparability import check_comparable
from headprint.analysis.intervals import Interval
from headprint.base.options import BootstrapOptions

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from headprint.base.shapes import Values
    from headprint.patterns.pattern_set import PatternSet


_BLOCK = 1 << 21  # counts in memory at once: 16 MB
_EVERYTHING = (-np.inf, np.inf)


class Bootstrap(BootstrapOptions):
    """How intervals are made.

    A pattern of few examples is noisy, and noise alone moves some statistics (it lowers
    correlations and raises the Gini coefficient). A resampled pattern has that noise twice, so its
    statistic is off twice as far, and the plain ``"percentile"`` interval lies on the wrong side of
    the value. ``"basic"`` reflects it at the value, and ``"bc"`` shifts its percentiles (bias
    corrected, Efron 1981); docs/compare.md has the coverage of all three.

    Attributes:
        draws: Resamples; 0 for no intervals.
        seed: Of the resampling.
        confidence: Of the interval, between 0 and 1.
        method: How draws become an interval.
    """

    def interval(self, value: ArrayLike, draws: ArrayLike, within: tuple[float, float] = _EVERYTHING) -> Interval:
        """Return the interval of one number.

        Args:
            value: Of all examples.
            draws: (B,) the same of each draw; NaN ones (a statistic that is 0/0) are left out.
            within: The range that the statistic has, to which the ends are cut.
        """
        value = float(np.asarray(value))
        known = np.asarray(draws, dtype=np.float64)
        known = known[np.isfinite(known)]
        if known.size == 0 or not np.isfinite(value):
            return Interval(value)
        tails = np.array([(1 - self.confidence) / 2, (1 + self.confidence) / 2])
        if self.method == "bc":
            below = np.mean(known < value) + np.mean(known == value) / 2
            shift = ndtri(np.clip(below, 0.5 / known.size, 1 - 0.5 / known.size))
            tails = ndtr(2 * shift + ndtri(tails))
        low, high = np.quantile(known, tails)
        if self.method == "basic":
            low, high = 2 * value - high, 2 * value - low
        low, high = np.clip([low, high], *within)
        return Interval(value, float(low), float(high))


class Resampled(NamedTuple):
    """Patterns of some sets of the same examples, and of their resamples.

    Attributes:
        values: (S, L, H) float64, the patterns.
        draws: (B, S, L, H) float64; in each draw all S sets have the same examples.
    """

    values: Values
    draws: Values


def resample(sets: Sequence[PatternSet], options: Bootstrap, *, name: str = "") -> Resampled:
    """Compute patterns of resampled examples, the same examples in every set (paired).

    Args:
        sets: Levels of the same examples, in any order, such as before and after training.
        options: Number of draws, and the seed.
        name: Of the data. It goes into the seed: other data are resampled independently, and the
            order in which tasks are named changes nothing.

    Returns:
        What :meth:`PatternSet.pattern` gives, in float64, and B draws of it (NaN if there is only one
        example). B x S x L x H x 8 bytes are held, and one block of levels at a time.

    Raises:
        InputError: A set is empty, shapes or settings differ, or the sets are not of the same examples.
    """
    of = f" of {name}" if name else ""
    check_comparable({f"set {n}{of}": each.provenance for n, each in enumerate(sets, start=1)}, one_model=False)
    orders = [each.aligned_with(sets[0], name=name) for each in sets]
    n, *shape = sets[0].shape
    rng = np.random.default_rng([options.seed, zlib.crc32(name.encode())])
    size = max(1, _BLOCK // max(1, options.draws))
    values = np.zeros((len(sets), np.prod(shape)))
    draws = np.zeros((options.draws, *values.shape))
    left = np.full(options.draws, n)  # examples that each draw has still to take
    for start in range(0, n, size):
        rows = slice(start, min(start + size, n))
        here = rng.binomial(left, (rows.stop - start) / (n - start))
        left -= here
        counts = _counts(here, rows.stop - start, rng)
        for index, (levels, order) in enumerate(zip(sets, orders, strict=True)):
            block = levels[rows if order is None else order[rows]].readings().reshape(rows.stop - start, -1)
            values[index] += block.sum(axis=0)
            draws[:, index] += counts @ block
    if n < 2:
        draws[:] = np.nan  # one example resampled is always itself, which is no certainty
    return Resampled((values / n).reshape(-1, *shape), (draws / n).reshape(options.draws, len(sets), *shape))


def _counts(totals: NDArray[np.int64], rows: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(B, rows): how often each draw takes each row, ``totals`` (B,) times in all."""
    draw = np.repeat(np.arange(len(totals)), totals)
    cell = draw * rows + rng.integers(rows, size=len(draw))
    return np.bincount(cell, minlength=len(totals) * rows).reshape(-1, rows).astype(np.float64)
