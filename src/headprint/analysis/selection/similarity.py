"""Vectors of queries against vectors of the pool, a block of the pool at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from headprint.base.shapes import Values


class Vectors(NamedTuple):
    """Examples as arrays of numbers.

    Attributes:
        queries: (Q, …).
        pool: (n, …) blocks, which together are the pool's M examples in order; only one block is held at a time.
    """

    queries: Values
    pool: Iterator[Values]


def compare(vectors: Vectors, by: Callable[[Values, Values], Values]) -> Values:
    """Return the (Q, M) scores that a function of queries and a block of the pool gives, as float32."""
    return np.concatenate([by(vectors.queries, block).astype(np.float32) for block in vectors.pool], axis=1)


def cosine(queries: Values, pool: Values) -> Values:
    """Return the (Q, n) cosines of the angles between vectors, whatever their shape; NaN where one is 0."""
    result: Values = unit(_flat(queries)) @ unit(_flat(pool)).T
    return result


def correlation(queries: Values, pool: Values) -> Values:
    """Return the (Q, n) Pearson correlations of vectors; NaN where one is constant."""
    return cosine(_centered(queries), _centered(pool))


def unit(x: Values) -> Values:
    """Scale (n, P) vectors to length 1; NaN where one is 0."""
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Values = np.where(lengths > 0, x / lengths, np.nan)
    return result


def _flat(x: Values) -> Values:
    return x.reshape(len(x), -1)


def _centered(x: Values) -> Values:
    result: Values = x - x.mean(axis=1, keepdims=True)
    return result
