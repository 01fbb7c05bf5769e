"""Selectors that do not look at what a row says: random orders, and lengths."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from headprint.analysis.selection.inputs import SelectionInputs
from headprint.analysis.selection.registry import Cost, selector
from headprint.analysis.selection.rows import source_of
from headprint.base.errors import InputError
from headprint.patterns import PatternSet

if TYPE_CHECKING:
    from headprint.base.shapes import Values

_BINS = 10


@selector(needs="nothing", cost=Cost())
def random(inputs: SelectionInputs) -> Values:
    """A random order, whatever the query."""
    order = np.random.default_rng(inputs.seed).permutation(len(inputs.pool))
    scores = np.empty((1, len(order)))
    scores[0, order] = 1.0 - np.arange(len(order)) / len(order)
    return scores


@selector(needs="rows", cost=Cost())
def random_by_source(inputs: SelectionInputs) -> Values:
    """A random order in which all sources of the pool come equally often, until one is used up."""
    order = random(inputs)
    members = defaultdict(list)
    for index, row in enumerate(inputs.rows_of_pool()):
        members[source_of(row)].append(index)
    for rows in members.values():  # a source's n-th row comes after all n-1st rows, which differ by less than 1
        order[0, rows] -= np.argsort(np.argsort(-order[0, rows]))
    return order


@selector(needs="nothing", cost=Cost())
def length_matched(inputs: SelectionInputs) -> Values:
    """A random order in which rows are as long as those of the target, by tenths of the target's token counts.

    Weighted sampling without replacement (Efraimidis & Spirakis 2006): a row's weight is its tenth's share of the
    target over its share of the pool. Rows of a length that the target has not come last.
    """
    if not isinstance(inputs.query, PatternSet):
        raise InputError("lengths are matched with examples: give the query as a pattern set or as rows")
    lengths = inputs.query.tokens
    edges = np.unique([*np.quantile(lengths, np.arange(_BINS) / _BINS), lengths.max() + 1])
    target, pool = (np.digitize(tokens, edges) for tokens in (lengths, inputs.pool.tokens))
    wanted, there = (np.bincount(bins, minlength=len(edges) + 1) for bins in (target, pool))
    weights = np.where((pool > 0) & (pool < len(edges)), wanted[pool] / there[pool], 0.0)
    draws = np.log(np.random.default_rng(inputs.seed).random(len(pool)))
    with np.errstate(divide="ignore"):
        scores: Values = (draws / weights)[None]
    return scores


@selector(needs="nothing", cost=Cost())
def longest(inputs: SelectionInputs) -> Values:
    """The rows with most supervised tokens first (Zhao et al. 2024, arXiv 2402.04833)."""
    return inputs.pool.tokens[None].astype(np.float64)
