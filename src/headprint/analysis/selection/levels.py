"""Selectors that compare activation levels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headprint.analysis.selection import similarity
from headprint.analysis.selection.inputs import SelectionInputs
from headprint.analysis.selection.registry import Cost, selector

if TYPE_CHECKING:
    from headprint.base.shapes import Values


@selector(needs="levels", cost=Cost(pool=2, query=2))
def correlation(inputs: SelectionInputs) -> Values:
    """Pearson correlation of levels over the heads (the paper's choice); NaN for constant levels."""
    return similarity.compare(inputs.level_vectors(), similarity.correlation)


@selector(needs="levels", cost=Cost(pool=2, query=2))
def cosine(inputs: SelectionInputs) -> Values:
    """Cosine of the angle between levels; NaN for levels that are 0 everywhere."""
    return similarity.compare(inputs.level_vectors(), similarity.cosine)


@selector(needs="levels", cost=Cost(pool=2, query=2))
def signed_levels(inputs: SelectionInputs) -> Values:
    """Cosine of the angle between signed levels."""
    return cosine(replace(inputs, signed=True))
