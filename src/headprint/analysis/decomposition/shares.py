"""Shares of a mixture: a fit that is drawn towards the uniform mixture.

    s, α = argmin over s ≥ 0, α ≥ 0, Σ α = 1 of (y - sXα)ᵀ Σ⁻¹ (y - sXα) + λ s² ‖α - 1/K‖²

Columns and target have norm 1: the length of a task's column says how much there was to learn, not how much of the task
the target needs. The scale s is free, since tasks seldom make up all of a target: with s = 1, the norm of what they do
not explain would draw α towards 1/K, whatever λ, however well it is known. Σ is diagonal, the bootstrap's variance of y
in each number, so that noisy heads count for less; half of it is the mean over all numbers, so that one that hardly
varies does not decide alone. λ is the largest that cross-validation over the target's rows permits. Where uneven
shares do not help to predict rows that were left out, it is infinite and the mixture uniform: a fit that means nothing
does no harm.
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


def scaled_fit(x: Values, y: Values, penalty: float = 0.0) -> NDArray[np.float64]:
    """Fit β = sα, 0 or more: argmin of ‖y - Xβ‖² + λ‖β - mean(β)‖².

    Args:
        x: (P, K).
        y: (P,).
        penalty: λ, 0 or more, or infinite.

    Returns:
        (K,) β.
    """
    tasks = x.shape[1]
    if np.isinf(penalty):
        mean = x.mean(axis=1)
        scale = max(0.0, float(mean @ y)) / (float(mean @ mean) or 1.0)
        return np.full(tasks, scale / tasks)
    uneven = np.sqrt(penalty) * (np.eye(tasks) - 1 / tasks)
    return np.asarray(nnls(np.vstack([x, uneven]), np.append(y, np.zeros(tasks)))[0])


def penalty_unit(columns: Values) -> float:
    """The mean squared length of some columns (P, K)."""
    return float((columns**2).sum(axis=0).mean())


def cross_validated_penalty(problem: MixingProblem) -> float:
    """The largest λ of :data:`PENALTIES` that predicts rows that were left out as well as the best one does.

    As well as: its error, part by part, is on average above that of the best by one standard error of this difference
    at most (Breiman et al. 1984). What is uneven in the shares has to be worth it.
    """
    tasks = problem.whole.shape[1] - 1
    x, rest = problem.folds[:, :tasks], problem.folds[:, tasks:]
    without, left_out = np.split(rest, 2, axis=1)
    unit = penalty_unit(x)
    fits = [np.stack([scaled_fit(x, y, penalty * unit) for y in without.T], axis=-1) for penalty in PENALTIES]
    errors = np.array([((left_out - x @ fit) ** 2).sum(axis=0) for fit in fits])  # (penalties, F)
    worse = errors - errors[np.argmin(errors.mean(axis=1))]
    spread = worse.std(axis=1, ddof=1) / np.sqrt(worse.shape[1])
    return float(PENALTIES[np.flatnonzero(worse.mean(axis=1) <= spread)[-1]])


def shares_at(triangle: Values, penalty: float) -> NDArray[np.float64]:
    """The shares (K,) of [X y] (M, K + 1) at one of :data:`PENALTIES`; uniform ones if no task explains anything."""
    x, y = triangle[:, :-1], triangle[:, -1]
    found = scaled_fit(x, y, penalty * penalty_unit(x))
    return found / found.sum() if found.any() else np.full(len(found), 1 / len(found))


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
