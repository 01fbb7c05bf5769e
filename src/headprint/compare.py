"""What the paper reports of patterns (arXiv 2409.15820), with confidence intervals over examples.

    shape(levels)                       Table 1: Gini, CV, kurtosis of one pattern
    shape_change(before, after)         ... before, after, and the difference
    task_correlations(before, after)    Figure 2: task x task, before, after, of the changes
    trajectory(sets)                    Figure 5: correlation and MSE against the first pattern

Before and after are levels of the same examples under two models: a draw of the bootstrap takes the
same examples from both, so what the examples have in common cancels in the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from scipy import stats

from headprint.errors import InputError
from headprint.intervals import Bootstrap, Interval, Resampled, known, resample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.pattern import PatternSet
    from headprint.shapes import Values

    Heads = Values  # (..., P), patterns with their known heads in one row
    Many = Values  # (...,)

CorrelationMethod = Literal["pearson", "spearman"]

_CORRELATION = (-1.0, 1.0)
_POSITIVE = (0.0, np.inf)


def gini(patterns: Heads) -> Many:
    """Gini coefficient over the last axis; :func:`headprint.statistics.gini` of many patterns."""
    x = np.sort(patterns, axis=-1)
    n = x.shape[-1]
    weights = 2.0 * np.arange(1, n + 1) - n - 1
    return _ratio(x @ weights, n * x.sum(axis=-1))


def coefficient_of_variation(patterns: Heads) -> Many:
    """Standard deviation over mean, over the last axis."""
    return _ratio(patterns.std(axis=-1), patterns.mean(axis=-1))


def kurtosis(patterns: Heads) -> Many:
    """Excess kurtosis over the last axis."""
    off = patterns - patterns.mean(axis=-1, keepdims=True)
    result: Many = _ratio((off**4).mean(axis=-1), (off**2).mean(axis=-1) ** 2) - 3.0
    return result


def correlation(a: Heads, b: Heads, method: CorrelationMethod = "pearson") -> Many:
    """Correlation over the last axis; NaN where one of the two is constant."""
    if method == "spearman":
        a, b = stats.rankdata(a, axis=-1), stats.rankdata(b, axis=-1)
    a = a - a.mean(axis=-1, keepdims=True)
    b = b - b.mean(axis=-1, keepdims=True)
    sizes = np.sqrt((a**2).sum(axis=-1)) * np.sqrt((b**2).sum(axis=-1))
    result: Many = np.clip(_ratio((a * b).sum(axis=-1), sizes), -1.0, 1.0)
    return result


def mse(a: Heads, b: Heads) -> Many:
    """Mean squared difference over the last axis."""
    result: Many = ((a - b) ** 2).mean(axis=-1)
    return result


_SHAPE: dict[str, tuple[Callable[[Heads], Many], tuple[float, float]]] = {
    "gini": (gini, (0.0, 1.0)),
    "cv": (coefficient_of_variation, _POSITIVE),
    "kurtosis": (kurtosis, (-2.0, np.inf)),
}


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


def shape(levels: PatternSet, *, bootstrap: Bootstrap | None = None) -> Shape:
    """Gini, coefficient of variation and kurtosis of a set's pattern.

    Args:
        levels: (N, L, H).
        bootstrap: How the intervals are made.

    Raises:
        InputError: If the set is empty, or all of its entries are NaN.
    """
    options = bootstrap or Bootstrap()
    (value, draws), _ = _heads(resample([levels], options))
    return _shape(options, value[0], draws[:, 0])


def shape_change(before: PatternSet, after: PatternSet, *, bootstrap: Bootstrap | None = None) -> ShapeChange:
    """The same before and after training, and by how much each of the three rises.

    Args:
        before: (N, L, H).
        after: (N, L, H), of the same examples.
        bootstrap: How the intervals are made.

    Raises:
        InputError: As :func:`headprint.intervals.resample`.
    """
    options = bootstrap or Bootstrap()
    (value, draws), _ = _heads(resample([before, after], options))
    changes = {}
    for name, (function, _) in _SHAPE.items():
        all_of, drawn = function(value), function(draws)
        changes[name] = options.interval(all_of[1] - all_of[0], drawn[:, 1] - drawn[:, 0])
    first, last = (_shape(options, value[index], draws[:, index]) for index in (0, 1))
    return ShapeChange(first, last, Shape(**changes), len(before))


def task_correlations(
    before: Mapping[str, PatternSet],
    after: Mapping[str, PatternSet] | None = None,
    *,
    method: CorrelationMethod = "pearson",
    bootstrap: Bootstrap | None = None,
) -> TaskCorrelations:
    """Task x task correlations of patterns and of their changes, over the heads that all of them have.

    Examples are resampled within each task, independently of the other tasks and paired between
    before and after. A head whose level was 0 before has no change rate and is left out of that matrix.

    Args:
        before: T sets by task name, of one model.
        after: T sets of the same tasks and examples, after training.
        method: ``"pearson"`` or ``"spearman"``.
        bootstrap: How the intervals are made. 2 x T x draws x L x H x 8 bytes are held.

    Raises:
        InputError: If a task is missing, or as :func:`headprint.intervals.resample`.
    """
    if method not in ("pearson", "spearman"):
        raise InputError(f"unknown correlation method {method!r}: choose from pearson, spearman")
    if not before:
        raise InputError("there is no task to correlate: give at least one pattern set")
    if after is not None:
        _check_tasks(before, after)
    options = bootstrap or Bootstrap()
    tasks = list(before)
    of_tasks = [
        resample([before[task], *([after[task]] if after is not None else [])], options, name=task) for task in tasks
    ]

    def matrix(pick: Callable[[NDArray[Any]], NDArray[Any]]) -> Correlations:
        return _correlations([(pick(r.values), pick(r.draws)) for r in of_tasks], method, options)

    def relative(x: NDArray[Any]) -> NDArray[Any]:
        return _ratio(x[..., 1, :, :] - x[..., 0, :, :], x[..., 0, :, :])

    return TaskCorrelations(
        tasks,
        matrix(lambda x: x[..., 0, :, :]),
        matrix(lambda x: x[..., 1, :, :]) if after is not None else None,
        matrix(lambda x: x[..., 1, :, :] - x[..., 0, :, :]) if after is not None else None,
        matrix(relative) if after is not None else None,
        method,
    )


def trajectory(
    sets: Sequence[PatternSet], *, method: CorrelationMethod = "pearson", bootstrap: Bootstrap | None = None
) -> Trajectory:
    """Correlation and mean squared difference of each pattern from the first, along training.

    Args:
        sets: S sets of the same examples, the first from before training.
        method: ``"pearson"`` or ``"spearman"``.
        bootstrap: How the intervals are made. S x draws x L x H x 8 bytes are held.

    Raises:
        InputError: If there is none, or as :func:`headprint.intervals.resample`.
    """
    if not sets:
        raise InputError("there is no pattern set to follow: give the one from before training first")
    options = bootstrap or Bootstrap()
    (value, draws), _ = _heads(resample(sets, options))
    correlations, errors = [], []
    for index in range(len(sets)):
        (a, b), (drawn_a, drawn_b) = ((x[..., 0, :], x[..., index, :]) for x in (value, draws))
        of_draws = correlation(drawn_a, drawn_b, method)
        correlations.append(options.interval(correlation(a, b, method), of_draws, _CORRELATION))
        errors.append(options.interval(mse(a, b), mse(drawn_a, drawn_b), _POSITIVE))
    return Trajectory(correlations, errors, method)


def nearest(name: str, names: Sequence[str]) -> str:
    """A hint for an unknown name, such as ``did you mean 'math'?``."""
    close = get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(map(repr, names))}"


def _check_tasks(before: Mapping[str, PatternSet], after: Mapping[str, PatternSet]) -> None:
    for task in after:
        if task not in before:
            raise InputError(f"there is no task {task!r} before training: {nearest(task, list(before))}")
    for task in before:
        if task not in after:
            raise InputError(f"there is no task {task!r} after training: {nearest(task, list(after))}")


def _heads(resampled: Resampled) -> tuple[tuple[Heads, Heads], NDArray[np.bool_]]:
    """Values (S, P) and draws (B, S, P) of the P heads that have a number in all of them, and which."""
    mask = known(resampled.values)
    return (resampled.values[:, mask], resampled.draws[:, :, mask]), mask


def _shape(options: Bootstrap, value: Heads, draws: Heads) -> Shape:
    intervals = {
        name: options.interval(function(value), function(draws), within) for name, (function, within) in _SHAPE.items()
    }
    return Shape(**intervals)


def _correlations(
    patterns: Sequence[tuple[NDArray[Any], NDArray[Any]]], method: CorrelationMethod, options: Bootstrap
) -> Correlations:
    mask = known(*(value for value, _ in patterns))
    count = len(patterns)
    result = Correlations(np.ones((count, count)), np.ones((count, count)), np.ones((count, count)))
    flat = [(value[mask], draws[:, mask]) for value, draws in patterns]
    for i in range(count):
        for j in range(i):
            value, draws = (correlation(a, b, method) for a, b in zip(flat[i], flat[j], strict=True))
            interval = options.interval(value, draws, _CORRELATION)
            for matrix, x in zip(result, (interval.value, interval.low, interval.high), strict=True):
                matrix[i, j] = matrix[j, i] = x
    return result


def _ratio(top: Any, bottom: Any) -> Values:
    """NaN where the bottom is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Values = np.where(bottom == 0, np.nan, top / bottom)
    return result
