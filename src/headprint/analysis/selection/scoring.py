"""From a query and a pool to a matrix of scores, by a selector chosen by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from headprint.analysis.selection.inputs import SelectionInputs
from headprint.base.errors import InputError
from headprint.base.registry import Registry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.base.shapes import Values


class Selector(Protocol):
    """Scores every example of a pool for every query; a higher score is a better example."""

    def __call__(self, inputs: SelectionInputs) -> Values:
        """Return (Q, M) scores, or (1, M) if they do not depend on the query; NaN where there is no score."""


SELECTORS: Registry[Selector] = Registry(
    "headprint.selectors",
    "selection method",
    {
        "correlation": "headprint.analysis.selection.selectors:correlation",
        "cosine": "headprint.analysis.selection.selectors:cosine",
        "head-gradient": "headprint.analysis.selection.selectors:head_gradient",
        "random": "headprint.analysis.selection.selectors:random",
    },
)
"""The selectors by name; an installed package adds its own under the entry point group ``headprint.selectors``."""


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
        method: A name in :data:`SELECTORS`.

    Raises:
        InputError: The method is unknown, or the inputs do not fit each other or lack what it needs.
    """
    values = np.asarray(SELECTORS.load(method)(inputs))
    queries = inputs.query_ids if len(values) == len(inputs.query_ids) else [method]
    if values.shape != (len(queries), len(inputs.pool)):
        raise InputError(
            f"the selection method {method!r} returned scores of shape {values.shape}, not (queries, examples) = "
            f"{(len(inputs.query_ids), len(inputs.pool))}: report this to its author"
        )
    return ScoreMatrix(values, queries, inputs.pool.ids, inputs.pool.tokens)
