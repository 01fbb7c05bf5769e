"""Tests of the experiments: exact where the number of cases allows, and corrected where there are many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations, product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

EXACT = 16
"""Up to so many differences, all sign flips are counted; beyond, so many times 1,000 are drawn."""


def spearman(x: ArrayLike, y: ArrayLike) -> float | None:
    """Spearman's rank correlation, ties at their mean rank; None if either is constant."""
    a, b = (_unit_ranks(np.asarray(values, dtype=np.float64)) for values in (x, y))
    return float(a @ b) if a.any() and b.any() else None


def sign_flips(differences: ArrayLike, seed: int = 0) -> float | None:
    """The p of a mean above 0 if each difference were as likely of the other sign (one-sided, exact).

    Args:
        differences: (n,), paired. More than :data:`EXACT` are flipped at random.
        seed: Of the random flips.

    Returns:
        The share of sign patterns with at least this mean, the measured one included; None without differences.
    """
    values = np.asarray(differences, dtype=np.float64)
    if not values.size:
        return None
    if values.size <= EXACT:
        signs = np.array(list(product((1.0, -1.0), repeat=values.size)))
    else:
        drawn = np.random.default_rng(seed).choice((1.0, -1.0), size=(EXACT * 1000, values.size))
        signs = np.concatenate([np.ones((1, values.size)), drawn])
    return float(np.mean(signs @ values >= values.sum() - 1e-12 * np.abs(values).sum()))


def holm(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """P values corrected for their number (Holm 1979); None stays None."""
    known = sorted(((p, name) for name, p in values.items() if p is not None))
    found: dict[str, float | None] = dict.fromkeys(values)
    highest = 0.0
    for place, (p, name) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - place)))
        found[name] = highest
    return found


def mean_rank_correlation(scores: ArrayLike, gains: ArrayLike) -> float | None:
    """The mean over targets of Spearman's correlation over sources.

    Args:
        scores: (sources, targets).
        gains: (sources, targets).
    """
    known = [
        r for s, g in zip(np.transpose(scores), np.transpose(gains), strict=True) if (r := spearman(s, g)) is not None
    ]
    return float(np.mean(known)) if known else None


def permuted_sources(scores: ArrayLike, gains: ArrayLike, *, draws: int = 10_000, seed: int = 0) -> float | None:
    """The p of :func:`mean_rank_correlation` if sources were exchangeable within every target (one-sided).

    Args:
        scores: (sources, targets).
        gains: (sources, targets).
        draws: Random permutations, of every target's sources by themselves.
        seed: Of the permutations.
    """
    measured = mean_rank_correlation(scores, gains)
    if measured is None:
        return None
    a, b = (_unit_ranks(np.asarray(values, dtype=np.float64)) for values in (scores, gains))
    used = (a.any(axis=0)) & (b.any(axis=0))
    a, b = a[:, used], b[:, used]
    rng = np.random.default_rng(seed)
    drawn = np.array([(rng.permuted(a, axis=0) * b).sum(axis=0).mean() for _ in range(draws)])
    return float((1 + np.sum(drawn >= measured - 1e-12)) / (draws + 1))


def _unit_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks within each column, centered and of length 1; 0 for a constant column."""
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=0)
    ranks = ranks - ranks.mean(axis=0)
    length = np.linalg.norm(ranks, axis=0)
    result: NDArray[np.float64] = np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)
    return result


def bootstrapped(
    scores: ArrayLike, gains: ArrayLike, *, draws: int = 1000, seed: int = 0, confidence: float = 0.95
) -> tuple[float, float] | None:
    """The interval of :func:`mean_rank_correlation`, over resampled rows (mixtures); percentiles.

    Args:
        scores: (mixtures, targets).
        gains: (mixtures, targets).
        draws: Resamples.
        seed: Of the draws.
        confidence: Of the interval.
    """
    a, b = np.asarray(scores, dtype=np.float64), np.asarray(gains, dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(draws):
        rows = rng.integers(len(a), size=len(a))
        means.append((_unit_ranks(a[rows]) * _unit_ranks(b[rows])).sum(axis=0).mean())
    if not means:
        return None
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def relabeled(weights: Sequence[float], value: Sequence[float] | None = None, *, surface: Surface) -> float:
    """The share of all relabelings of a mixture's weights that are predicted to do at least as well (exact p).

    Args:
        weights: Of the K sources; K! relabelings are tried.
        value: None for the weights' own predicted outcome.
        surface: Predicts the outcome of weights; lower is better.
    """
    every = np.array(list(permutations(weights)))
    predicted = surface.at(every)
    own = surface.at(np.array([weights if value is None else value]))[0]
    return float(np.mean(predicted <= own + 1e-12))


class Surface:
    """A quadratic fit of outcomes over mixtures (Scheffé's polynomial), with a small ridge.

    Args:
        mixtures: (n, K) shares.
        outcomes: (n,), such as log losses.
        ridge: Of the centered features, relative to their mean square.
    """

    def __init__(self, mixtures: ArrayLike, outcomes: ArrayLike, *, ridge: float = 1e-2) -> None:
        features = _scheffe(np.asarray(mixtures, dtype=np.float64))
        values = np.asarray(outcomes, dtype=np.float64)
        self._center, self._level = features.mean(axis=0), float(values.mean())
        x = features - self._center
        penalty = ridge * float((x**2).mean()) * len(x)
        self._weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (values - self._level))

    def at(self, mixtures: ArrayLike) -> NDArray[np.float64]:
        """Predicted outcomes of (n, K) mixtures."""
        features = _scheffe(np.asarray(mixtures, dtype=np.float64))
        found: NDArray[np.float64] = (features - self._center) @ self._weights + self._level
        return found

    def lowest(self, count: int, *, draws: int = 20_000, seed: int = 0) -> float:
        """The lowest predicted outcome over mixtures of ``count`` sources, by random search over the simplex."""
        rng = np.random.default_rng(seed)
        tried = np.concatenate([np.eye(count), rng.dirichlet(np.full(count, 0.5), draws)])
        return float(self.at(tried).min())


def _scheffe(mixtures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares and their pairwise products, (n, K (K + 1) / 2)."""
    first, second = np.triu_indices(mixtures.shape[1], 1)
    return np.concatenate([mixtures, mixtures[:, first] * mixtures[:, second]], axis=1)


def decile_sign(deciles: ArrayLike, losses: ArrayLike) -> float | None:
    """Spearman's correlation of the decile's number, 0 the best, with the held-out loss; above 0 is right."""
    return spearman(deciles, losses)
