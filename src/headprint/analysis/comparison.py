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
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

from headprint.analysis.comparison_results import Correlations, Shape, ShapeChange, TaskCorrelations, Trajectory
from headprint.analysis.intervals import Bootstrap, Resampled, known, resample
from headprint.base.errors import InputError
from headprint.patterns.many import (
    CorrelationMethod,
    coefficient_of_variation,
    correlation,
    gini,
    kurtosis,
    mse,
    ratio,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.patterns.many import Heads, Many
    from headprint.patterns.pattern_set import PatternSet

__all__ = [
    "CorrelationMethod",
    "Correlations",
    "Shape",
    "ShapeChange",
    "TaskCorrelations",
    "Trajectory",
    "coefficient_of_variation",
    "correlation",
    "gini",
    "kurtosis",
    "mse",
    "nearest",
    "shape",
    "shape_change",
    "task_correlations",
    "trajectory",
]

_CORRELATION = (-1.0, 1.0)
_POSITIVE = (0.0, np.inf)


_SHAPE: dict[str, tuple[Callable[[Heads], Many], tuple[float, float]]] = {
    "gini": (gini, (0.0, 1.0)),
    "cv": (coefficient_of_variation, _POSITIVE),
    "kurtosis": (kurtosis, (-2.0, np.inf)),
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
        InputError: As :func:`headprint.analysis.intervals.resample`.
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
        InputError: If a task is missing, or as :func:`headprint.analysis.intervals.resample`.
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
    """Correlation and mean squared difference of each pattern from the first, along training.

    Args:
        sets: S sets of the same examples, the first from before training.
        method: ``"pearson"`` or ``"spearman"``.
        bootstrap: How the intervals are made. S x draws x L x H x 8 bytes are held.

    Raises:
        InputError: If there is none, or as :func:`headprint.analysis.intervals.resample`.
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
