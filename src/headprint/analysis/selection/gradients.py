"""Selectors that compare head gradients, and controls that take away what they know of single heads.

To first order, a step of the heads on x lowers the loss of y by ⟨G(x), G(y)⟩ (:mod:`headprint.measure.sketch`). Each
head is scaled by its root mean square over the pool (:meth:`.SelectionInputs.gradients`), and a cosine counts long
rows no more than short ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from headprint.analysis.selection.inputs import SelectionInputs
from headprint.analysis.selection.registry import Cost, selector
from headprint.analysis.selection.similarity import Vectors, compare, cosine
from headprint.base.options import Block

if TYPE_CHECKING:
    from headprint.base.shapes import Values

_COST = Cost(pool=2, query=2)
_BLOCKS: tuple[Block, Block] = ("heads", "mlp")


@selector(needs="gradients", cost=_COST)
def head_gradient(inputs: SelectionInputs) -> Values:
    """Cosine of the angle between head gradients: does training on the row lower the target's loss?"""
    return compare(inputs.gradients().vectors, cosine)


@selector(needs="mlp-gradients", cost=_COST)
def head_gradient_mlp(inputs: SelectionInputs) -> Values:
    """Cosine of the angle between gradients of heads and of the MLPs' down projections, side by side."""
    heads, mlps = (inputs.gradients(block).vectors for block in _BLOCKS)

    def beside(one: Values, other: Values) -> Values:
        return np.concatenate([x.reshape(len(x), -1) for x in (one, other)], axis=1)

    return compare(Vectors(beside(heads.queries, mlps.queries), map(beside, heads.pool, mlps.pool)), cosine)


@selector(needs="gradients", cost=_COST)
def shuffled_heads(inputs: SelectionInputs) -> Values:
    """A control: each head of the query is compared with another head of the pool, the same for all rows."""
    queries, pool = inputs.gradients().vectors
    order = np.random.default_rng(inputs.seed).permutation(queries.shape[1])
    return compare(Vectors(queries[:, order], pool), cosine)


@selector(needs="gradients", cost=_COST)
def half_heads(inputs: SelectionInputs) -> Values:
    """A control: head gradients of a random half of the heads only."""
    vectors = inputs.gradients().vectors
    heads = vectors.queries.shape[1]
    half = np.sort(np.random.default_rng(inputs.seed).permutation(heads)[: max(1, heads // 2)])
    return compare(_arranged(vectors, lambda x: x[:, half]), cosine)


@selector(needs="gradients", cost=_COST)
def layer_means(inputs: SelectionInputs) -> Values:
    """A control: the mean of each layer's head gradients, which no longer says which head."""
    gradients = inputs.gradients()
    layers = np.nonzero(gradients.present)[0]
    starts = np.unique(layers, return_index=True)[1]
    sizes = np.diff([*starts, len(layers)])[:, None]
    return compare(_arranged(gradients.vectors, lambda x: np.add.reduceat(x, starts, axis=1) / sizes), cosine)


def _arranged(vectors: Vectors, arrange: Callable[[Values], Values]) -> Vectors:
    return Vectors(arrange(vectors.queries), (arrange(block) for block in vectors.pool))
