"""What a comparison of patterns answers: numbers with their intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from headprint.analysis.intervals import Interval
from headprint.patterns.many import CorrelationMethod

if TYPE_CHECKING:
    from headprint.base.shapes import Values


@dataclass(frozen=True)
class Shape:
    """How evenly a pattern is spread over the heads (Table 1); of a change: after minus before."""

    gini: Interval
    cv: Interval
    kurtosis: Interval

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return {name: interval.to_dict() for name, interval in vars(self).items()}


@dataclass(frozen=True)
class ShapeChange:
    """Table 1 of one model and task."""

    before: Shape
    after: Shape
    change: Shape
    examples: int

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        shapes = {name: getattr(self, name).to_dict() for name in ("before", "after", "change")}
        return {**shapes, "examples": self.examples}


class Correlations(NamedTuple):
    """One task x task matrix; symmetric, with 1 in the diagonal.

    Attributes:
        value: (T, T) float64.
        low: (T, T), lower ends; NaN without a bootstrap.
        high: (T, T), upper ends.
    """

    value: Values
    low: Values
    high: Values

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON; what is no number becomes None."""
        return {
            name: [[x if np.isfinite(x) else None for x in row] for row in matrix.tolist()]
            for name, matrix in self._asdict().items()
        }


@dataclass(frozen=True)
class TaskCorrelations:
    """Figure 2 of one model.

    Attributes:
        tasks: T names, in the order of rows and columns.
        before: Of the patterns before training.
        after: Of those after it; None if there are none, as are the next two.
        change: Of the changes, after - before.
        relative: Of the change rates, (after - before) / before.
        method: ``"pearson"`` or ``"spearman"``.
    """

    tasks: list[str]
    before: Correlations
    after: Correlations | None
    change: Correlations | None
    relative: Correlations | None
    method: CorrelationMethod

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        matrices = {name: getattr(self, name) for name in ("before", "after", "change", "relative")}
        return {
            "tasks": self.tasks,
            "method": self.method,
            **{name: matrix.to_dict() if matrix else None for name, matrix in matrices.items()},
        }


@dataclass(frozen=True)
class Trajectory:
    """Figure 5 of one model and task: each pattern against the first of the sequence.

    Attributes:
        correlation: S intervals; the first is 1.
        mse: S intervals; the first is 0.
        method: Of the correlation.
    """

    correlation: list[Interval]
    mse: list[Interval]
    method: CorrelationMethod

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return {
            "correlation": [each.to_dict() for each in self.correlation],
            "mse": [each.to_dict() for each in self.mse],
            "method": self.method,
        }
