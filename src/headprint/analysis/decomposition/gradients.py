"""The mean head gradients of several tasks as one regression over the directions that they were read in.

A set's sketches (:mod:`headprint.measure.sketch`) say what training on each row does through each head, to first order,
so tasks whose mean gradients add up to the target's are those that move the model as the target does, and nothing has
to be trained to know. Each head is taken in units of its root mean square over the rows of all tasks together, which
does what Adam does to an update, and each task's mean is brought to norm 1: how large a task's gradients are says how
large its loss is, not what it is made of.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from headprint.analysis.bootstrap import Bootstrap
from headprint.analysis.decomposition.changes import Change
from headprint.analysis.decomposition.problem import Problem
from headprint.analysis.decomposition.regression import Reduced, reduce, reduce_products
from headprint.analysis.decomposition.shares import MixingProblem, row_folds, unit_columns
from headprint.analysis.gradients import check_sketches, root_mean_squares
from headprint.base.errors import InputError
from headprint.base.options import DecompositionOptions
from headprint.patterns import PatternSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.base.shapes import Values

    Means: TypeAlias = tuple[slice, NDArray[np.float64]]
    """Which rows, and their weights (B, n) in B means."""


def of_gradients(
    given: Mapping[str, Change | PatternSet], options: DecompositionOptions, bootstrap: Bootstrap
) -> Problem:
    """Bring mean head gradients into one table of all directions of the heads that have a gradient.

    All sketches are held, rows x L x H x K x 4 bytes, and the inner products of all rows, rows² x 8 bytes.

    Args:
        given: The target's pattern set by its name, then those of K basic tasks; of sets before and after training,
            that before.
        options: Number of random tasks, and seed.
        bootstrap: Number of draws, and seed.

    Raises:
        InputError: A task is no pattern set, has no sketches or other ones, models differ, or an option is one of
            changes.
    """
    for name, there in (("relative", options.relative), ("intercept", options.intercept)):
        if there:
            raise InputError(f"--{name} belongs to changes of levels, not to gradients: leave it out")
    sets = {task: _set(task, each) for task, each in given.items()}
    check_sketches(sets)
    unit = root_mean_squares(sets.values())
    mask = unit > 0  # NaN, a layer without attention, is not
    if not mask.any():
        raise InputError("no head has a gradient in any example: check the model's loss")
    rows = [
        np.concatenate([block[:, mask].reshape(len(block), -1) for block in each.iter_sketches()])
        for each in sets.values()
    ]
    scale = np.repeat(1 / unit[mask], rows[0].shape[1] // mask.sum())
    means = unit_columns(np.stack([each.mean(axis=0, dtype=np.float64) * scale for each in rows], axis=-1))
    x, y = means[:, 1:], means[:, 0]
    ends = np.cumsum([len(each) for each in rows])
    places = [slice(end - len(each), end) for each, end in zip(rows, ends, strict=True)]
    products = _products(np.concatenate(rows), scale)
    target, *basics = places
    drawn = random_tasks = None
    if bootstrap.draws and all(len(each) > 1 for each in rows):
        resampled, *others = (_resampled(task, len(each), bootstrap) for task, each in sets.items())
        drawn = _reduced(products, [*zip(basics, others, strict=True), (target, resampled)])
    if options.permutations:
        random_tasks = _reduced(products, _shuffled_rows(places, options))
    return Problem(
        list(sets),
        x,
        y,
        layers=np.nonzero(mask)[0],
        centered=False,
        drawn=drawn,
        random_tasks=random_tasks,
        mixing=_mixing(products, basics, target, reduce(x, y, intercept=False).triangle, drawn, options.seed),
        examples={task: len(each) for task, each in sets.items()},
        mirrors_before=dict.fromkeys(sets),
    )


def _set(task: str, given: Change | PatternSet) -> PatternSet:
    found = given[0] if isinstance(given, tuple) else given
    if not isinstance(found, PatternSet):
        raise InputError(f"{task}: gradients are of examples: give a pattern set that was extracted with sketch=K")
    return found


def _products(rows: Values, scale: Values) -> NDArray[np.float64]:
    """(N, N) inner products of rows (N, P) in units of 1 / scale (P,), in float64, a block of columns at a time."""
    total = np.zeros((len(rows), len(rows)))
    for start in range(0, rows.shape[1], 1024):
        block = rows[:, start : start + 1024] * scale[start : start + 1024]
        total += block @ block.T
    return total


def _of_means(products: NDArray[np.float64], means: Sequence[Means]) -> NDArray[np.float64]:
    """Inner products (B, S, S) of B draws of S means over rows.

    Args:
        products: (N, N) of the rows.
        means: S times which rows, and their weights (B, n).
    """
    found = np.empty((len(means[0][1]), len(means), len(means)))
    for i, (rows, weights) in enumerate(means):
        for j, (others, their) in enumerate(means[: i + 1]):
            found[:, i, j] = found[:, j, i] = ((weights @ products[rows, others]) * their).sum(axis=1)
    return found


def _reduced(products: NDArray[np.float64], means: Sequence[Means]) -> Reduced:
    """The regressions of the last mean on the others, each brought to norm 1."""
    found = _of_means(products, means)
    lengths = np.sqrt(np.diagonal(found, axis1=1, axis2=2))
    lengths = np.where(lengths > 0, lengths, 1.0)
    found /= lengths[:, :, None] * lengths[:, None, :]
    return reduce_products(found)


def _mixing(
    products: NDArray[np.float64],
    basics: Sequence[slice],
    target: slice,
    whole: Values,
    drawn: Reduced | None,
    seed: int,
) -> MixingProblem | None:
    """What shares are fitted to; None for one row.

    In units of its root mean square, a head's number varies from row to row about as much as any other's, so Σ is that
    of equal variances, which λ makes up for.
    """
    if target.stop < 2:
        return None
    parts = row_folds(target.stop, seed)
    left_out = [np.isin(np.arange(target.stop), part) / len(part) for part in parts]
    without = [(each == 0) / (target.stop - len(part)) for each, part in zip(left_out, parts, strict=True)]
    means = [(place, np.full((1, place.stop - place.start), 1 / (place.stop - place.start))) for place in basics]
    means += [(target, weights[None]) for weights in (*without, *left_out)]
    (found,) = _of_means(products, means)
    lengths = np.sqrt(np.diagonal(found)).copy()
    lengths[len(basics) :] = np.sqrt(products[target, target].mean())  # all parts of the target in one unit
    lengths[lengths == 0] = 1.0
    folds = reduce_products(found / (lengths[:, None] * lengths)).triangle
    return MixingProblem(whole, drawn.triangle if drawn else whole[None][:0], folds)


def _resampled(task: str, n: int, bootstrap: Bootstrap) -> NDArray[np.float64]:
    """(B, n) weights of resampled rows; the order in which tasks are named changes nothing."""
    rng = np.random.default_rng([bootstrap.seed, zlib.crc32(task.encode())])
    weights: NDArray[np.float64] = rng.multinomial(n, np.full(n, 1 / n), size=bootstrap.draws) / n
    return weights


def _shuffled_rows(places: Sequence[slice], options: DecompositionOptions) -> list[Means]:
    """The rows of all basic tasks shuffled among as many tasks of the same sizes, and the target as it is."""
    target, *basics = places
    first, count = target.stop, basics[-1].stop - target.stop
    order = np.argsort(np.random.default_rng(options.seed).random((options.permutations, count)), axis=1)
    means: list[Means] = []
    for place in basics:
        weights = np.zeros((options.permutations, count))
        np.put_along_axis(
            weights, order[:, place.start - first : place.stop - first], 1 / (place.stop - place.start), 1
        )
        means.append((slice(first, None), weights))
    return [*means, (target, np.full((options.permutations, target.stop), 1 / target.stop))]
