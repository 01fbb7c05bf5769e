"""From a query and a pool to a matrix of scores, by a selector chosen by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headprint.analysis.selection.inputs import SelectionInputs
from headprint.analysis.selection.registry import SELECTORS
from headprint.base.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.base.shapes import Values


@dataclass(frozen=True)
class ScoreMatrix:
    """How good each example of the pool is for each query.

    Attributes:
        values: (Q, M); NaN where there is no score.
        query_ids: Q names; only the method's, where scores do not depend on the query.
        pool_ids: M names.
        pool_tokens: (M,) supervised tokens of each example.
    """

    values: Values
    query_ids: list[str]
    pool_ids: list[str]
    pool_tokens: NDArray[np.int32]

    def mean(self) -> Values:
        """Return the (M,) mean over the queries that have a score; NaN where none has."""
        there = ~np.isnan(self.values)
        total = np.where(there, self.values, 0).sum(axis=0, dtype=np.float64)
        counts = there.sum(axis=0)
        result: Values = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
        return result


def score(inputs: SelectionInputs, method: str = "correlation") -> ScoreMatrix:
    """Score every example of a pool for every query.

    Levels are read shard by shard; the scores are held, and one shard.

    Args:
        inputs: Query, pool, and what the method needs beside them.
        method: A name in :data:`~.registry.SELECTORS`.

    Raises:
        InputError: The method is unknown, or the inputs do not fit each other or lack what it needs.
    """
    values = np.asarray(SELECTORS.load(method)(inputs))
    if values.ndim != 2 or values.shape[1] != len(inputs.pool):
        raise InputError(
            f"the selection method {method!r} returned scores of shape {values.shape}, not (queries, "
            f"{len(inputs.pool)} examples): report this to its author"
        )
    queries = inputs.query_ids
    if len(values) != len(queries):  # one score for the target as a whole, or one for each of its rows
        queries = [method] if len(values) == 1 else [str(number) for number in range(len(values))]
    return ScoreMatrix(values, queries, inputs.pool.ids, inputs.pool.tokens)
