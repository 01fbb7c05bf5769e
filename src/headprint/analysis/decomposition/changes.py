"""The changes of several tasks as one regression over the heads that all of them have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from headprint.analysis.bootstrap import Bootstrap, Resampled, resample
from headprint.analysis.comparability import check_comparable
from headprint.analysis.confound import mirrors_before
from headprint.analysis.decomposition.problem import Problem
from headprint.analysis.decomposition.regression import reduce
from headprint.analysis.decomposition.shares import MixingProblem, row_folds, shrunk, unit_columns
from headprint.base.errors import InputError
from headprint.base.options import DecompositionOptions, Reading
from headprint.patterns import Pattern, PatternSet, load, shared_heads

if TYPE_CHECKING:
    from headprint.base.shapes import Values

Change: TypeAlias = Pattern | tuple[Pattern, Pattern] | tuple[PatternSet, PatternSet]
"""A change (of ``headprint diff``), or what there was before and after training."""


def of_changes(
    given: Mapping[str, Change | PatternSet], options: DecompositionOptions, bootstrap: Bootstrap
) -> Problem:
    """Bring changes into one table of the heads that have a finite number in all of them.

    Args:
        given: The target's change by its name, then those of K basic tasks.
        options: Whether changes or change rates are fitted, and with a constant or without.
        bootstrap: Number of draws, and seed.

    Raises:
        InputError: A task has no change, shapes or models before training differ, or a change does not permit
            ``relative``.
    """
    pairs = {task: _checked(task, change) for task, change in given.items()}
    check_comparable({task: _before(change).provenance for task, change in pairs.items()}, one_model=True)
    changes = {task: _change(task, change, options.relative, bootstrap) for task, change in pairs.items()}
    mask = shared_heads(*(change.values for change in changes.values()))
    y, *x = (change.values[mask] for change in changes.values())
    drawn = draws = None
    if all(len(change.draws) for change in changes.values()):
        first, *others = (change.draws[:, mask] for change in changes.values())
        if all(np.isfinite(each).all() for each in (first, *others)):
            draws = np.stack(others, axis=-1), first
            drawn = reduce(*draws, intercept=options.intercept)
    columns = np.stack(x, axis=-1)
    rows = _rows(next(iter(pairs.values())), options.relative)
    return Problem(
        list(given),
        columns,
        y,
        layers=np.nonzero(mask)[0],
        centered=True,
        drawn=drawn,
        random_tasks=None,
        mixing=None if rows is None else _mixing(columns, y, rows[:, mask], draws, options.seed),
        examples={task: _examples(change) for task, change in pairs.items()},
        mirrors_before={task: _mirror(change, changes[task]) for task, change in pairs.items()},
    )


def _rows(change: Change, relative: bool) -> Values | None:
    """(N, L, H) changes of the target's rows, whose mean is the target's change; None without two rows."""
    if isinstance(change, Pattern):
        return None
    first, second = change
    if not (isinstance(first, PatternSet) and isinstance(second, PatternSet)) or len(first) < 2:
        return None
    before, after = first.readings(), second.readings()
    order = second.aligned_with(first)
    difference: Values = (after if order is None else after[order]) - before
    if relative:
        with np.errstate(divide="ignore", invalid="ignore"):
            difference /= before.mean(axis=0)
    return difference


def _mixing(x: Values, y: Values, rows: Values, draws: tuple[Values, Values] | None, seed: int) -> MixingProblem:
    """What shares are fitted to.

    Args:
        x: (P, K).
        y: (P,).
        rows: (N, P), of which y is the mean.
        draws: x (B, P, K) and y (B, P) of resampled examples.
        seed: Of the parts of rows that are left out.
    """
    weights = 1 / np.sqrt(shrunk(rows.var(axis=0)))  # the bootstrap's variance of a mean is this over N
    parts = row_folds(len(rows), seed)
    left_out = [rows[part].mean(axis=0) for part in parts]
    without = [np.delete(rows, part, axis=0).mean(axis=0) for part in parts]

    def turned(x: Values, y: Values) -> Values:
        x, y = (unit_columns(each) * weights[:, None] for each in (x, y[..., None]))
        return reduce(x, y[..., 0], intercept=False).triangle

    length = np.linalg.norm(y) or 1.0
    parted = np.stack([*without, *left_out], axis=-1) / length
    folds = np.hstack([unit_columns(x), parted]) * weights[:, None]
    whole = turned(x, y)
    return MixingProblem(
        whole,
        turned(*draws) if draws else whole[None][:0],
        reduce(folds[:, :-1], folds[:, -1], intercept=False).triangle,
    )


def read_task(text: str, reading: Reading | None = None) -> tuple[str, Change | PatternSet]:
    """Read ``NAME=BEFORE,AFTER``, ``NAME=CHANGE.safetensors`` or ``NAME=SET``.

    Args:
        text: One of them.
        reading: Of the patterns (:func:`headprint.load`).

    Raises:
        InputError: It is none of them, or a file or directory is missing or something else.
    """
    name, equals, paths = text.partition("=")
    parts = paths.split(",")
    if not (name and equals and all(parts) and len(parts) <= 2):
        raise InputError(
            f"{text!r} does not name a task: write NAME=BEFORE,AFTER (two pattern sets or files), "
            "NAME=CHANGE.safetensors (of headprint diff --out), or, by gradients, NAME=SET"
        )
    found = [load(Path(part), reading=reading) for part in parts]
    if len(found) == 1:
        return name, found[0]
    if len({type(part) for part in found}) == 2:  # a set and a file: their patterns can still be subtracted
        found = [part.pattern() if isinstance(part, PatternSet) else part for part in found]
    return name, cast(Change, tuple(found))


def _checked(task: str, change: Change | PatternSet) -> Change:
    if isinstance(change, PatternSet):
        raise InputError(
            f"{task}: this is one pattern set, not a change: give {task}=BEFORE,AFTER, or decompose by gradients "
            "(--by gradients), which need no training"
        )
    return change


def _change(task: str, change: Change, relative: bool, bootstrap: Bootstrap) -> Resampled:
    """The (L, H) change and its (B, L, H) draws; B is 0 where there are no examples."""
    if isinstance(change, Pattern):
        return _of_file(task, change, relative)
    before, after = change
    if isinstance(before, PatternSet) and isinstance(after, PatternSet):
        values, draws = resample([before, after], bootstrap, name=task)
    elif isinstance(before, Pattern) and isinstance(after, Pattern):
        after - before  # says so if the shapes differ
        values = np.stack([before.values, after.values]).astype(np.float64)
        draws = np.empty((0, *values.shape))
    else:
        raise InputError(f"{task}: before and after must be two pattern sets or two patterns")
    return Resampled(_difference(values, relative), _difference(draws, relative))


def _of_file(task: str, change: Pattern, relative: bool) -> Resampled:
    if change.kind != "change":
        raise InputError(f"{task}: this is a pattern, not a change: write {task}=BEFORE,AFTER")
    origin = change.provenance
    rate = origin.get("operation") == "/" and isinstance(origin["operands"][1], dict)  # by a pattern, not a number
    if relative != rate:
        have, want = ("changes", "change rates") if relative else ("change rates", "changes")
        raise InputError(
            f"{task}: this file holds {have}, and {want} are fitted: make it again with headprint diff "
            f"{'with' if relative else 'without'} --relative, or give {task}=BEFORE,AFTER"
        )
    values = change.values.astype(np.float64)
    return Resampled(values, np.empty((0, *values.shape)))


def _difference(x: Any, relative: bool) -> Any:
    before, after = x[..., 0, :, :], x[..., 1, :, :]
    if not relative:
        return after - before
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(before == 0, np.nan, (after - before) / before)


def _before(change: Change) -> Pattern | PatternSet:
    return change if isinstance(change, Pattern) else change[0]


def _mirror(change: Change, resampled: Resampled) -> float | None:
    if isinstance(change, Pattern):
        return None
    before = change[0]
    return mirrors_before(resampled.values, (before.pattern() if isinstance(before, PatternSet) else before).values)


def _examples(change: Change) -> int | None:
    if not isinstance(change, Pattern) and isinstance(change[0], PatternSet):
        return len(change[0])
    return None
