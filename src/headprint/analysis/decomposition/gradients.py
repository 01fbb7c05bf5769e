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
from typing import TYPE_CHECKING

import numpy as np

from headprint.analysis.bootstrap import Bootstrap
from headprint.analysis.decomposition.changes import Change
from headprint.analysis.decomposition.problem import Problem
from headprint.analysis.decomposition.regression import reduce_products
from headprint.analysis.gradients import check_sketches, root_mean_squares
from headprint.base.errors import InputError
from headprint.base.options import DecompositionOptions
from headprint.patterns import PatternSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.base.shapes import Values


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
    y, *x = (_unit(each.mean(axis=0, dtype=np.float64) * scale) for each in rows)
    ends = np.cumsum([len(each) for each in rows])
    places = [slice(end - len(each), end) for each, end in zip(rows, ends, strict=True)]
    products = _products(np.concatenate(rows), scale)
    drawn = None
    if bootstrap.draws and all(len(each) > 1 for each in rows):
        draws = [_resampled(task, len(each), bootstrap) for task, each in sets.items()]
        drawn = reduce_products(_of_means(products, list(zip(places, draws, strict=True))))
    random_tasks = None
    if options.permutations:
        random_tasks = reduce_products(_of_means(products, _dealt_anew(places, options)))
    return Problem(
        list(sets),
        np.stack(x, axis=-1),
        y,
        layers=np.nonzero(mask)[0],
        centered=False,
        drawn=drawn,
        random_tasks=random_tasks,
        examples={task: len(each) for task, each in sets.items()},
        mirrors_before=dict.fromkeys(sets),
    )


def _set(task: str, given: Change | PatternSet) -> PatternSet:
    found = given[0] if isinstance(given, tuple) else given
    if not isinstance(found, PatternSet):
        raise InputError(f"{task}: gradients are of examples: give a pattern set that was extracted with sketch=K")
    return found


def _unit(vector: Values) -> Values:
    length = np.linalg.norm(vector)
    return vector / length if length else vector


def _products(rows: Values, scale: Values) -> NDArray[np.float64]:
    """(N, N) inner products of rows (N, P) in units of 1 / scale (P,), in float64, a block of columns at a time."""
    total = np.zeros((len(rows), len(rows)))
    for start in range(0, rows.shape[1], 1024):
        block = rows[:, start : start + 1024] * scale[start : start + 1024]
        total += block @ block.T
    return total


def _of_means(products: NDArray[np.float64], means: Sequence[tuple[slice, NDArray[np.float64]]]) -> NDArray[np.float64]:
    """Inner products (B, S, S) of B draws of S means over rows, each mean brought to norm 1, the first one put last.

    Args:
        products: (N, N) of the rows.
        means: S times which rows, and their weights (B, n).
    """
    means = [*means[1:], means[0]]
    found = np.empty((len(means[0][1]), len(means), len(means)))
    for i, (rows, weights) in enumerate(means):
        for j, (others, their) in enumerate(means[: i + 1]):
            found[:, i, j] = found[:, j, i] = ((weights @ products[rows, others]) * their).sum(axis=1)
    lengths = np.sqrt(np.diagonal(found, axis1=1, axis2=2))
    lengths = np.where(lengths > 0, lengths, 1.0)
    found /= lengths[:, :, None] * lengths[:, None, :]
    return found


def _resampled(task: str, n: int, bootstrap: Bootstrap) -> NDArray[np.float64]:
    """(B, n) weights of resampled rows; the order in which tasks are named changes nothing."""
    rng = np.random.default_rng([bootstrap.seed, zlib.crc32(task.encode())])
    weights: NDArray[np.float64] = rng.multinomial(n, np.full(n, 1 / n), size=bootstrap.draws) / n
    return weights


def _dealt_anew(places: Sequence[slice], options: DecompositionOptions) -> list[tuple[slice, NDArray[np.float64]]]:
    """The target as it is, and the rows of all basic tasks dealt out anew among as many tasks of the same sizes."""
    target, *basics = places
    first, count = target.stop, basics[-1].stop - target.stop
    order = np.argsort(np.random.default_rng(options.seed).random((options.permutations, count)), axis=1)
    means = [(target, np.full((options.permutations, target.stop), 1 / target.stop))]
    for place in basics:
        weights = np.zeros((options.permutations, count))
        np.put_along_axis(
            weights, order[:, place.start - first : place.stop - first], 1 / (place.stop - place.start), 1
        )
        means.append((slice(first, None), weights))
    return means
