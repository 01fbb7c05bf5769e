"""Shares of a mixture: a fit on the simplex that is drawn towards the uniform mixture.

    α = argmin over α ≥ 0, Σ α = 1 of (y - Xα)ᵀ Σ⁻¹ (y - Xα) + λ ‖α - 1/K‖²

Columns and target have norm 1: the length of a task's column says how much there was to learn, not how much of the task
the target needs. Σ is diagonal, the bootstrap's variance of y in each number, so that noisy heads count for less; half
of it is the mean over all numbers, so that one that hardly varies does not decide alone. λ is chosen by
cross-validation over the target's rows. Where the fit does not help to predict rows that were left out, λ grows, and
for λ → ∞ the mixture is uniform: a fit that means nothing does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.base.shapes import Values

PENALTIES = (0.0, *(10.0 ** (power / 2) for power in range(-6, 7)), np.inf)
"""The λ that are tried, in units of the mean squared length of the columns."""
_FOLDS = 10


@dataclass(frozen=True)
class MixingProblem:
    """What the shares are fitted to: columns in units of Σ^½, turned into few numbers as :class:`.regression.Reduced`.

    Attributes:
        whole: (M, K + 1) of [X y].
        drawn: (B, M, K + 1), the same of resampled examples; B is 0 if a task has none.
        folds: (M, K + 2F) of X, of y without each of F parts of the target's rows, and of y of that part alone.
    """

    whole: Values
    drawn: Values
    folds: Values

    def narrowed(self, chosen: Sequence[int]) -> MixingProblem:
        """Return the same problem with some of the basic tasks."""
        tasks = self.whole.shape[-1] - 1
        columns = [*chosen, *range(tasks, self.folds.shape[-1])]
        both = [*chosen, tasks]
        return MixingProblem(self.whole[:, both], self.drawn[:, :, both], self.folds[:, columns])


def simplex_fit(x: Values, y: Values, penalty: float = 0.0) -> NDArray[np.float64]:
    """Fit shares: argmin over the simplex of ‖y - Xα‖² + λ‖α - 1/K‖².

    Args:
        x: (P, K).
        y: (P,).
        penalty: λ, 0 or more, or infinite.

    Returns:
        (K,) shares, 0 or more, of sum 1.
    """
    tasks = x.shape[1]
    if np.isinf(penalty):
        return np.full(tasks, 1 / tasks)
    root = np.sqrt(penalty)
    # Where Σ α = 1, y is y Σ α, and the residual is -Cα of C = X - y 1ᵀ. Of β = t α, t² ‖Cα‖² + (1 - t)² is least at
    # ‖Cα‖² / (1 + ‖Cα‖²), which grows with ‖Cα‖: so the non-negative β points to the best α.
    c = np.vstack([x - y[:, None], root * (np.eye(tasks) - 1 / tasks)])
    longest = np.linalg.norm(c, axis=0).max() or 1.0
    found = nnls(np.vstack([c / longest, np.ones(tasks)]), np.append(np.zeros(len(c)), 1.0))[0]
    return np.asarray(found / found.sum())


def penalty_unit(columns: Values) -> float:
    """The mean squared length of some columns (P, K)."""
    return float((columns**2).sum(axis=0).mean())


def cross_validated_penalty(problem: MixingProblem) -> float:
    """The λ of :data:`PENALTIES` that predicts rows that were left out best; of equally good ones the largest."""
    tasks = problem.whole.shape[1] - 1
    x, rest = problem.folds[:, :tasks], problem.folds[:, tasks:]
    without, left_out = np.split(rest, 2, axis=1)
    unit = penalty_unit(x)
    errors = [
        sum(
            float(((held - x @ simplex_fit(x, y, penalty * unit)) ** 2).sum())
            for y, held in zip(without.T, left_out.T, strict=True)
        )
        for penalty in PENALTIES
    ]
    return float(PENALTIES[len(errors) - 1 - int(np.argmin(errors[::-1]))])


def shares_at(triangle: Values, penalty: float) -> NDArray[np.float64]:
    """The shares (K,) of [X y] (M, K + 1) at one of :data:`PENALTIES`."""
    x, y = triangle[:, :-1], triangle[:, -1]
    return simplex_fit(x, y, penalty * penalty_unit(x))


def unit_columns(columns: Values) -> Values:
    """Bring columns (..., P, K) to norm 1; a column of zeros remains one."""
    lengths = np.linalg.norm(columns, axis=-2, keepdims=True)
    result: Values = columns / np.where(lengths, lengths, 1.0)
    return result


def row_folds(rows: int, seed: int) -> list[NDArray[np.int64]]:
    """Parts of the target's rows that are left out in turn: 10, or one for each row if there are fewer."""
    return np.array_split(np.random.default_rng(seed).permutation(rows), min(_FOLDS, rows))


def shrunk(variance: Values) -> NDArray[np.float64]:
    """The diagonal of Σ: half of each number's own variance, and half of their mean; 1 where nothing varies."""
    mixed = (variance + variance.mean()) / 2
    return mixed if mixed.all() else np.ones(len(variance))
