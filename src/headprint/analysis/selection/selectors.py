"""The built-in selectors: each is one function of :class:`SelectionInputs`, named in :data:`~.scoring.SELECTORS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from headprint.analysis.selection.inputs import SelectionInputs, Vectors

if TYPE_CHECKING:
    from headprint.base.shapes import Values


def correlation(inputs: SelectionInputs) -> Values:
    """Pearson correlation of levels over the heads (the paper's choice); NaN for constant levels."""
    return _scores(inputs, inputs.level_vectors(), lambda queries, pool: _cosine(_centered(queries), _centered(pool)))


def cosine(inputs: SelectionInputs) -> Values:
    """Cosine of the angle between levels; NaN for levels that are 0 everywhere."""
    return _scores(inputs, inputs.level_vectors(), _cosine)


def head_gradient(inputs: SelectionInputs) -> Values:
    """Cosine of the angle between head gradients: does training on the row lower the target's loss?

    To first order, a step of the heads on x lowers the loss of y by ⟨G(x), G(y)⟩ (:mod:`headprint.measure.sketch`);
    each head is scaled by its root mean square over the pool, and long rows count no more than short ones.
    """
    return _scores(inputs, inputs.sketch_vectors(), _cosine)


def random(inputs: SelectionInputs) -> Values:
    """The baseline: a random order, whatever the query."""
    order = np.random.default_rng(inputs.seed).permutation(len(inputs.pool))
    scores = np.empty((1, len(order)))
    scores[0, order] = 1.0 - np.arange(len(order)) / len(order)
    return scores


def _scores(inputs: SelectionInputs, vectors: Vectors, compare: Callable[[Values, Values], Values]) -> Values:
    queries, pool = vectors
    scores = np.empty((len(queries), len(inputs.pool)), dtype=np.float32)
    start = 0
    for block in pool:
        scores[:, start : start + len(block)] = compare(queries, block)
        start += len(block)
    return scores


def _cosine(queries: Values, pool: Values) -> Values:
    result: Values = _unit(queries) @ _unit(pool).T
    return result


def _centered(x: Values) -> Values:
    result: Values = x - x.mean(axis=1, keepdims=True)
    return result


def _unit(x: Values) -> Values:
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Values = np.where(lengths > 0, x / lengths, np.nan)
    return result
