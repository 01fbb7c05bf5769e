"""The changes of several tasks as one regression over the heads that all of them have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from headprint.analysis.bootstrap import Bootstrap, Resampled, resample
from headprint.analysis.comparability import check_comparable
from headprint.analysis.confound import mirrors_before
from headprint.base.errors import InputError
from headprint.patterns import shared_heads
from headprint.patterns.pattern_set import Pattern, PatternSet, load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.base.shapes import Values

Change: TypeAlias = Pattern | tuple[Pattern, Pattern] | tuple[PatternSet, PatternSet]
"""A change (of ``headprint diff``), or what there was before and after training."""


@dataclass(frozen=True)
class Problem:
    """One regression.

    Attributes:
        name: Of the target.
        tasks: K names of basic tasks.
        x: (P, K) their changes.
        y: (P,) the target's.
        draws: x (B, P, K) and y (B, P) of resampled examples; None if a change has no examples.
        layers: (P,) the layer of each head, in ascending order.
        examples: Examples behind each change; None for a change without them.
        mirrors_before: Correlation of each change with the negated pattern before
            (:mod:`headprint.analysis.confound`); None for a change from a file.
    """

    name: str
    tasks: list[str]
    x: Values
    y: Values
    draws: tuple[Values, Values] | None
    layers: NDArray[np.int64]
    examples: dict[str, int | None]
    mirrors_before: dict[str, float | None]

    def narrowed(self, chosen: Sequence[int]) -> Problem:
        """Return the same problem with some of the basic tasks."""
        tasks = [self.tasks[k] for k in chosen]
        draws = self.draws and (self.draws[0][:, :, list(chosen)], self.draws[1])
        examples = {task: self.examples[task] for task in (self.name, *tasks)}
        mirrors = {task: self.mirrors_before[task] for task in (self.name, *tasks)}
        return Problem(self.name, tasks, self.x[:, list(chosen)], self.y, draws, self.layers, examples, mirrors)


def prepare(
    target: Change, basics: Mapping[str, Change], *, name: str, relative: bool, bootstrap: Bootstrap
) -> Problem:
    """Bring changes into one table of the heads that have a finite number in all of them.

    Args:
        target: One change.
        basics: K changes by task name.
        name: Of the target.
        relative: Divide each change by what was before.
        bootstrap: Number of draws, and seed.

    Raises:
        InputError: There is no basic task, or there are more than heads; the target is among them; shapes or
            models before training differ; or a change does not permit ``relative``.
    """
    if not basics:
        raise InputError("there is no basic task to decompose into: give at least one")
    if name in basics:
        raise InputError(f"the target {name!r} is among the basic tasks, too: leave it out there")
    given = {name: target, **basics}
    check_comparable({task: _before(change).provenance for task, change in given.items()}, one_model=True)
    changes = {task: _change(task, change, relative, bootstrap) for task, change in given.items()}
    mask = shared_heads(*(change.values for change in changes.values()))
    tasks = list(basics)
    if len(tasks) >= mask.sum():
        raise InputError(
            f"{len(tasks)} basic tasks for {mask.sum()} heads: a fit wants more heads than tasks; name fewer tasks"
        )
    y, *x = (change.values[mask] for change in changes.values())
    draws = None
    if all(len(change.draws) for change in changes.values()):
        first, *others = (change.draws[:, mask] for change in changes.values())
        if all(np.isfinite(each).all() for each in (first, *others)):
            draws = (np.stack(others, axis=-1), first)
    return Problem(
        name,
        tasks,
        np.stack(x, axis=-1),
        y,
        draws,
        np.nonzero(mask)[0],
        {task: _examples(change) for task, change in given.items()},
        {task: _mirror(change, changes[task]) for task, change in given.items()},
    )


def read_change(text: str) -> tuple[str, Change]:
    """Read ``NAME=BEFORE,AFTER`` or ``NAME=CHANGE.safetensors``.

    Raises:
        InputError: It is neither, or a file or directory is missing or something else.
    """
    name, equals, paths = text.partition("=")
    parts = paths.split(",")
    if not (name and equals and all(parts) and len(parts) <= 2):
        raise InputError(
            f"{text!r} does not name a change: write NAME=BEFORE,AFTER (two pattern sets or files) or "
            "NAME=CHANGE.safetensors (of headprint diff --out)"
        )
    found = [load(Path(part)) for part in parts]
    if len(found) == 2:
        kinds = {type(part) for part in found}
        if len(kinds) == 2:  # a set and a file: their patterns can still be subtracted
            found = [part.pattern() if isinstance(part, PatternSet) else part for part in found]
        return name, cast(Change, tuple(found))
    (only,) = found
    if isinstance(only, PatternSet):
        raise InputError(f"{paths} is one pattern set, not a change: write {name}=BEFORE,AFTER")
    return name, only


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
