"""Which heads make a row of a pool useful for a target: the head-gradient score, taken apart without remainder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headprint.analysis.selection.gradients import head_gradient
from headprint.analysis.selection.inputs import SelectionInputs
from headprint.base.errors import InputError, did_you_mean
from headprint.patterns import Pattern

if TYPE_CHECKING:
    from headprint.base.shapes import Values


@dataclass(frozen=True)
class HeadContributions:
    """A row's score as a sum over heads.

    Attributes:
        row: The row's name.
        score: Cosine of its head gradients and the target's: the score of ``head-gradient``.
        rank: Its place in the pool by that score, from 1.
        pool_size: M, rows of the pool.
        values: (L, H) contributions, which sum to the score; NaN for heads without a gradient.
        directions: (L, H, K) what each component of the row's sketch counts, so that ``values`` is the sum over K of
            ``directions`` times the sketch.
    """

    row: str
    score: float
    rank: int
    pool_size: int
    values: Values
    directions: Values

    def pattern(self) -> Pattern:
        """Return the contributions as a change, for pictures and rankings of heads."""
        return Pattern(self.values, {"row": self.row}, "change")


def explain_heads(inputs: SelectionInputs, row: str) -> HeadContributions:
    """Take the head-gradient score of one row apart, head by head.

    With q the target's mean sketch and x the row's, both in units of each head's root mean square over the pool, the
    score is Σ_h ⟨q_h, x_h⟩ / (|q| |x|).

    Args:
        inputs: Target and pool, with head gradients, and ``mean_query``.
        row: An example of the pool, by id.

    Raises:
        InputError: There is no such row, or the sets cannot be compared.
    """
    if row not in inputs.pool.ids:
        hint = did_you_mean(row, inputs.pool.ids, otherwise="give a row's id, or its number if rows have none")
        raise InputError(f"the pool has no row {row!r}: {hint}")
    scores = head_gradient(inputs)[0]
    gradients = inputs.gradients()
    (found,) = inputs.pool[[row]].sketches
    (target,), heads = gradients.vectors.queries, gradients.present
    own = found[heads] / gradients.units[heads][:, None]
    length = np.linalg.norm(target) * np.linalg.norm(own)
    values, directions = np.full(heads.shape, np.nan), np.zeros(found.shape)
    values[heads] = (target * own).sum(axis=1) / length
    directions[heads] = target / gradients.units[heads][:, None] / length
    index = inputs.pool.ids.index(row)
    rank = int((scores > scores[index]).sum()) + 1
    return HeadContributions(row, float(np.nansum(values)), rank, len(inputs.pool), values, directions)
