"""What switching heads off did: losses and answers of every trial, and what they say of a choice of heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from headprint.analysis.intervals import Interval, mean_interval, wilson
from headprint.base.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.evaluation.interventions import HeadId, Mode

RANDOM = "random"
"""Heads drawn by chance, of all heads; ``"random:active"``: as many of each layer as the order "active" has there."""


def is_random(choice: str) -> bool:
    """Whether heads were drawn by chance."""
    return choice.split(":")[0] == RANDOM


@dataclass(frozen=True)
class Trial:
    """Some heads switched off.

    Attributes:
        choice: The order that they are the first of, or ``"random"`` (:data:`RANDOM`).
        heads: k pairs of layer and head.
        losses: (N,) each row's loss in nats without them.
        right: (N,) which answers are right without them; None if they were not asked.
    """

    choice: str
    heads: tuple[HeadId, ...]
    losses: NDArray[np.float64] = field(repr=False)
    right: NDArray[np.bool_] | None = field(default=None, repr=False)

    @property
    def k(self) -> int:
        """How many heads are off."""
        return len(self.heads)


@dataclass(frozen=True)
class Ablation:
    """What switching heads off does.

    Attributes:
        intact: The model as it is.
        trials: Every set of heads that was switched off.
        mode: What took the place of a head's output.
        heads: How many heads there are.
        confidence: Of all intervals.
    """

    intact: Trial
    trials: list[Trial]
    mode: Mode
    heads: int
    confidence: float = 0.95

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.intact.losses)

    @cached_property
    def cells(self) -> list[tuple[str, int]]:
        """Every order and number of heads that was tried."""
        return list(dict.fromkeys((trial.choice, trial.k) for trial in self.trials))

    def of(self, choice: str, k: int) -> list[Trial]:
        """The trials of one order and number of heads: one, or all draws of random ones.

        Raises:
            InputError: There is none.
        """
        found = [trial for trial in self.trials if (trial.choice, trial.k) == (choice, k)]
        if not found:
            tried = ", ".join(f"{name} {count}" for name, count in self.cells)
            raise InputError(f"{choice!r} with {k} heads was not tried; there is {tried}")
        return found

    def rise(self, choice: str, k: int) -> Interval:
        """How much the loss rises, in nats.

        Of an order: with the interval over rows, paired (each row against itself). Of random heads: the mean over
        draws, with the range that holds the central 95% (the confidence) of them.
        """
        changes = [trial.losses - self.intact.losses for trial in self.of(choice, k)]
        if not is_random(choice):
            return mean_interval(changes[0], self.confidence)
        return self._range([float(change.mean()) for change in changes])

    def accuracy_change(self, choice: str, k: int) -> Interval | None:
        """How much the accuracy rises (it falls below 0), likewise; None where answers were not asked."""
        intact = self.intact.right
        asked = [trial.right for trial in self.of(choice, k) if trial.right is not None]
        if intact is None or not asked:
            return None
        changes = [right.astype(float) - intact for right in asked]
        if not is_random(choice):
            return mean_interval(changes[0], self.confidence)
        return self._range([float(change.mean()) for change in changes])

    def _range(self, draws: Sequence[float]) -> Interval:
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(draws, [tail, 1 - tail]) if len(draws) > 1 else (np.nan, np.nan)
        return Interval(float(np.mean(draws)), float(low), float(high))

    def p(self, choice: str, k: int, *, among: str = RANDOM) -> float | None:
        """How likely k random heads are to hurt at least as much: (1 + draws that do) / (1 + draws).

        The order's own set counts as one draw, so that p is never 0 (Phipson and Smyth 2010,
        https://doi.org/10.2202/1544-6115.1585).

        Args:
            choice: An order.
            k: How many of its heads are off.
            among: The draws: of all heads, or ``f"random:{choice}"``: of the same layers.

        Returns:
            None without such draws, and for random heads themselves.
        """
        if is_random(choice) or (among, k) not in self.cells:
            return None
        own = self.of(choice, k)[0].losses.mean()
        draws = self.of(among, k)
        return (1 + sum(bool(draw.losses.mean() >= own) for draw in draws)) / (1 + len(draws))

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON: one entry of ``rows`` for each order and k, and every trial's heads and mean loss."""
        rows = []
        for choice, k in self.cells:
            accuracy = self.accuracy_change(choice, k)
            rows.append(
                {
                    "choice": choice,
                    "k": k,
                    "draws": len(self.of(choice, k)),
                    "loss": self.rise(choice, k).to_dict(),
                    "accuracy": accuracy and accuracy.to_dict(),
                    "p": self.p(choice, k),
                    "p_same_layers": self.p(choice, k, among=f"{RANDOM}:{choice}"),
                }
            )
        right = self.intact.right
        return {
            "mode": self.mode,
            "n": self.n,
            "heads": self.heads,
            "confidence": self.confidence,
            "intact": {
                "loss": mean_interval(self.intact.losses, self.confidence).to_dict(),
                "accuracy": None if right is None else wilson(int(right.sum()), self.n, self.confidence).to_dict(),
            },
            "rows": rows,
            "trials": [
                {
                    "choice": trial.choice,
                    "heads": [list(head) for head in trial.heads],
                    "loss": float(trial.losses.mean()),
                    "accuracy": None if trial.right is None else float(trial.right.mean()),
                }
                for trial in self.trials
            ],
        }
