"""What the paper reports of patterns (arXiv 2409.15820), with confidence intervals over examples.

    compare(before, after)              all that follows, for several tasks
    shape(levels)                       Table 1: Gini, CV, kurtosis of one pattern
    shape_change(before, after)         ... before, after, and the difference
    task_correlations(before, after)    Figure 2: task x task, before, after, of the changes
    trajectory(sets)                    Figure 5: correlation and MSE against the first pattern

Before and after are levels of the same examples under two models. A draw of the bootstrap takes the same examples from
both, so what depends on the examples alone cancels in the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import numpy as np

from headprint.analysis.bootstrap import Bootstrap, Resampled, resample
from headprint.analysis.comparability import check_comparable
from headprint.analysis.intervals import Interval
from headprint.base.errors import InputError, did_you_mean
from headprint.base.files import without_nan
from headprint.base.options import CorrelationMethod
from headprint.patterns import shared_heads
from headprint.patterns.statistics import (
    coefficient_of_variation_of_each,
    correlation_of_each,
    gini_of_each,
    kurtosis_of_each,
    mse_of_each,
    ratio,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.base.shapes import HeadValues, Values
    from headprint.patterns.pattern_set import PatternSet


_CORRELATION = (-1.0, 1.0)
_POSITIVE = (0.0, np.inf)


@dataclass(frozen=True)
class Shape:
    """How evenly a pattern is spread over the heads (Table 1); of a change: after minus before."""

    gini: Interval
    cv: Interval
    kurtosis: Interval

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        return {name: interval.to_dict() for name, interval in vars(self).items()}


@dataclass(frozen=True)
class ShapeChange:
    """Table 1 of one model and task."""

    before: Shape
    after: Shape
    change: Shape
    examples: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
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
        """Return plain types for JSON, with None for NaN."""
        return dict(without_nan(self._asdict()))


@dataclass(frozen=True)
class TaskCorrelations:
    """Figure 2 of one model.

    Attributes:
        tasks: T names, in the order of rows and columns.
        before: Of the patterns before training.
        after: Of the patterns after training; None without them, as are the next two.
        change: Of the changes, after - before.
        relative: Of the change rates, (after - before) / before.
        method: ``"pearson"``, ``"spearman"`` or ``"kendall"``.
    """

    tasks: list[str]
    before: Correlations
    after: Correlations | None
    change: Correlations | None
    relative: Correlations | None
    method: CorrelationMethod

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
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
        """Return plain types for JSON."""
        return {
            "correlation": [each.to_dict() for each in self.correlation],
            "mse": [each.to_dict() for each in self.mse],
            "method": self.method,
        }


@dataclass(frozen=True)
class Comparison:
    """Table 1 and Figure 2 of several tasks.

    Attributes:
        before: The shape of each task's pattern, by task.
        after: The same after training; None without sets from after training.
        change: after - before; None likewise.
        correlations: Task by task.
        examples: How many there are of each task.
        bootstrap: How the intervals were made.
    """

    before: dict[str, Shape]
    after: dict[str, Shape] | None
    change: dict[str, Shape] | None
    correlations: TaskCorrelations
    examples: dict[str, int]
    bootstrap: Bootstrap

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON, with None for NaN."""
        parts = {"before": self.before, "after": self.after, "change": self.change}
        return {
            "shapes": {task: {name: of[task].to_dict() for name, of in parts.items() if of} for task in self.before},
            "correlations": self.correlations.to_dict(),
            "examples": self.examples,
            "bootstrap": self.bootstrap.settings(),
        }


_SHAPE: dict[str, tuple[Callable[[HeadValues], Values], tuple[float, float]]] = {
    "gini": (gini_of_each, (0.0, 1.0)),
    "cv": (coefficient_of_variation_of_each, _POSITIVE),
    "kurtosis": (kurtosis_of_each, (-2.0, np.inf)),
}


def compare(
    before: Mapping[str, PatternSet],
    after: Mapping[str, PatternSet] | None = None,
    *,
    method: CorrelationMethod = "pearson",
    bootstrap: Bootstrap | None = None,
) -> Comparison:
    """Compare tasks: how evenly each pattern is spread over the heads, and how alike the tasks are.

    Args:
        before: T sets by task name, of one model.
        after: T sets of the same tasks and examples, after training.
        method: Of the correlations: ``"pearson"``, ``"spearman"`` or ``"kendall"``.
        bootstrap: How the intervals are made.

    Raises:
        InputError: As :func:`task_correlations`.
    """
    options = bootstrap or Bootstrap()
    correlations = task_correlations(before, after, method=method, bootstrap=options)
    counts = {task: len(levels) for task, levels in before.items()}
    if after is None:
        shapes = {task: shape(levels, bootstrap=options) for task, levels in before.items()}
        return Comparison(shapes, None, None, correlations, counts, options)
    changes = {task: shape_change(levels, after[task], bootstrap=options) for task, levels in before.items()}
    first, last, rise = (
        {task: getattr(each, part) for task, each in changes.items()} for part in ("before", "after", "change")
    )
    return Comparison(first, last, rise, correlations, counts, options)


def shape(levels: PatternSet, *, bootstrap: Bootstrap | None = None) -> Shape:
    """Return the Gini coefficient, coefficient of variation and kurtosis of a set's pattern.

    Args:
        levels: (N, L, H).
        bootstrap: How the intervals are made.

    Raises:
        InputError: The set is empty, or all of its entries are NaN.
    """
    options = bootstrap or Bootstrap()
    (value, draws), _ = _heads(resample([levels], options))
    return _shape(options, value[0], draws[:, 0])


def shape_change(before: PatternSet, after: PatternSet, *, bootstrap: Bootstrap | None = None) -> ShapeChange:
    """Return the same before and after training, and by how much each of the three rises.

    Args:
        before: (N, L, H).
        after: (N, L, H), of the same examples.
        bootstrap: How the intervals are made.

    Raises:
        InputError: As :func:`headprint.analysis.bootstrap.resample`.
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
    """Correlate the patterns of tasks, and their changes, over the heads that all of them have.

    Examples are resampled within each task, independently of the other tasks and paired between
    before and after. A head whose level was 0 before has no change rate and is left out of that matrix.

    Args:
        before: T sets by task name, of one model.
        after: T sets of the same tasks and examples, after training.
        method: ``"pearson"``, ``"spearman"`` or ``"kendall"``.
        bootstrap: How the intervals are made. 2 x T x draws x L x H x 8 bytes are held.

    Raises:
        InputError: A task is missing, the sets before training are of different models, or as
            :func:`headprint.analysis.bootstrap.resample`.
    """
    if method not in (methods := get_args(CorrelationMethod)):
        raise InputError(f"unknown correlation method {method!r}: {did_you_mean(method, methods)}")
    if not before:
        raise InputError("there is no task to correlate: give at least one pattern set")
    if after is not None:
        _check_tasks(before, after)
    check_comparable({task: levels.provenance for task, levels in before.items()}, one_model=True)
    options = bootstrap or Bootstrap()
    tasks = list(before)
    of_tasks = [
        resample([before[task], *([after[task]] if after is not None else [])], options, name=task) for task in tasks
    ]

    def matrix(pick: Callable[[NDArray[Any]], NDArray[Any]]) -> Correlations:
        return _correlations([(pick(r.values), pick(r.draws)) for r in of_tasks], method, options)

    def relative(x: NDArray[Any]) -> NDArray[Any]:
        return ratio(x[..., 1, :, :] - x[..., 0, :, :], x[..., 0, :, :])

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
    """Follow the correlation with the first pattern, and the mean squared difference from it, along training.

    Args:
        sets: S sets of the same examples, the first from before training.
        method: ``"pearson"``, ``"spearman"`` or ``"kendall"``.
        bootstrap: How the intervals are made. S x draws x L x H x 8 bytes are held.

    Raises:
        InputError: There is none, or as :func:`headprint.analysis.bootstrap.resample`.
    """
    if not sets:
        raise InputError("there is no pattern set to follow: give the one from before training first")
    options = bootstrap or Bootstrap()
    (value, draws), _ = _heads(resample(sets, options))
    correlations, errors = [], []
    for index in range(len(sets)):
        (a, b), (drawn_a, drawn_b) = ((x[..., 0, :], x[..., index, :]) for x in (value, draws))
        of_draws = correlation_of_each(drawn_a, drawn_b, method)
        correlations.append(options.interval(correlation_of_each(a, b, method), of_draws, _CORRELATION))
        errors.append(options.interval(mse_of_each(a, b), mse_of_each(drawn_a, drawn_b), _POSITIVE))
    return Trajectory(correlations, errors, method)


def _check_tasks(before: Mapping[str, PatternSet], after: Mapping[str, PatternSet]) -> None:
    for task in after:
        if task not in before:
            raise InputError(f"there is no task {task!r} before training: {did_you_mean(task, before)}")
    for task in before:
        if task not in after:
            raise InputError(f"there is no task {task!r} after training: {did_you_mean(task, after)}")


def _heads(resampled: Resampled) -> tuple[tuple[HeadValues, HeadValues], NDArray[np.bool_]]:
    """Values (S, P) and draws (B, S, P) of the P heads that have a number in all of them, and which."""
    mask = shared_heads(resampled.values)
    return (resampled.values[:, mask], resampled.draws[:, :, mask]), mask


def _shape(options: Bootstrap, value: HeadValues, draws: HeadValues) -> Shape:
    intervals = {
        name: options.interval(function(value), function(draws), within) for name, (function, within) in _SHAPE.items()
    }
    return Shape(**intervals)


def _correlations(
    patterns: Sequence[tuple[NDArray[Any], NDArray[Any]]], method: CorrelationMethod, options: Bootstrap
) -> Correlations:
    mask = shared_heads(*(value for value, _ in patterns))
    count = len(patterns)
    result = Correlations(np.ones((count, count)), np.ones((count, count)), np.ones((count, count)))
    flat = [(value[mask], draws[:, mask]) for value, draws in patterns]
    for i in range(count):
        for j in range(i):
            value, draws = (correlation_of_each(a, b, method) for a, b in zip(flat[i], flat[j], strict=True))
            interval = options.interval(value, draws, _CORRELATION)
            for matrix, x in zip(result, (interval.value, interval.low, interval.high), strict=True):
                matrix[i, j] = matrix[j, i] = x
    return result
