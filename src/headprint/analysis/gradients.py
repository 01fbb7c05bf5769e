"""Sketches of head gradients that are compared with each other: whether they may be, and in which units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from headprint.analysis.comparability import check_comparable
from headprint.base.errors import InputError
from headprint.patterns import PatternSet

if TYPE_CHECKING:
    from headprint.base.shapes import Values

__all__ = ["check_sketches", "root_mean_squares"]


def check_sketches(sets: Mapping[str, PatternSet]) -> None:
    """Refuse sets whose head gradients cannot be compared.

    Args:
        sets: By the name that a message calls them, at least one.

    Raises:
        InputError: A set is empty or has no sketches, or models, shapes or directions differ.
    """
    check_comparable({name: each.provenance for name, each in sets.items()}, one_model=True)
    first, known = next(iter(sets.items()))
    for name, each in sets.items():
        if not len(each):
            raise InputError(f"{name} has no examples: extract at least one")
        if not each.directions:
            raise InputError(f"{name} has no head gradients: extract it with sketch=K (--sketch K)")
        if each.shape[1:] != known.shape[1:]:
            raise InputError(
                f"shapes of {first} and {name} differ: {known.shape[1:]} and {each.shape[1:]} (layers, heads)"
            )
        made = [(one.directions, one.provenance.get("sketch_seed")) for one in (known, each)]
        if made[0] != made[1]:
            those = " and ".join(f"{size} with seed {seed}" for size, seed in made)
            raise InputError(
                f"the directions of {first} and {name} differ ({those}): extract both with one sketch and seed"
            )


def root_mean_squares(sets: Iterable[PatternSet]) -> Values:
    """Each head's root mean square over all rows of some sets together, (L, H); NaN for a layer without attention."""
    squares, rows = 0.0, 0
    for each in sets:
        for block in each.iter_sketches():
            squares += (block.astype(np.float64) ** 2).sum(axis=0).mean(axis=-1)
            rows += len(block)
    result: Values = np.sqrt(squares / rows)
    return result
