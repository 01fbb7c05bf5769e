"""One regression: the columns that are fitted, and what is known of their noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headprint.analysis.decomposition.regression import Reduced
from headprint.analysis.decomposition.shares import MixingProblem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from headprint.base.shapes import Values


@dataclass(frozen=True)
class Problem:
    """One regression.

    Attributes:
        names: Of the target, then of K basic tasks.
        x: (P, K) their columns.
        y: (P,) the target's. Each head has P / heads numbers that stand together.
        layers: (heads,) the layer of each head, in ascending order.
        centered: Whether R² is measured against the best constant; else against 0.
        drawn: The same of resampled examples; None if a task has none.
        random_tasks: The same with rows shuffled among the basic tasks; None if that makes no sense.
        mixing: What shares of a mixture are fitted to; None without two rows of the target.
        examples: Examples behind each task; None for a change from a file.
        mirrors_before: Correlation of each change with the negated pattern before
            (:mod:`headprint.analysis.confound`); None for a change from a file, and for gradients.
    """

    names: list[str]
    x: Values
    y: Values
    layers: NDArray[np.int64]
    centered: bool
    drawn: Reduced | None
    random_tasks: Reduced | None
    mixing: MixingProblem | None
    examples: dict[str, int | None]
    mirrors_before: dict[str, float | None]

    @property
    def tasks(self) -> list[str]:
        """K names of basic tasks."""
        return self.names[1:]

    def narrowed(self, chosen: Sequence[int]) -> Problem:
        """Return the same problem with some of the basic tasks."""
        names = [self.names[0], *(self.tasks[k] for k in chosen)]
        return replace(
            self,
            names=names,
            x=self.x[:, list(chosen)],
            drawn=self.drawn and self.drawn.narrowed(chosen),
            random_tasks=self.random_tasks and self.random_tasks.narrowed(chosen),
            mixing=self.mixing and self.mixing.narrowed(chosen),
            examples={name: self.examples[name] for name in names},
            mirrors_before={name: self.mirrors_before[name] for name in names},
        )
