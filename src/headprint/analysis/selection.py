"""The paper's application 2: rows of a pool whose head activation is most like the target's (arXiv 2409.15820).

    scores = score(target, pool)                  # ScoreMatrix: queries x pool
    chosen = select(scores, k=1000)               # or tokens=200_000, pick="round-robin"

Two halves behind one matrix: a scorer (:data:`SCORERS`) fills it and a picker (:data:`PICKERS`)
orders the pool by it, so any scorer goes with any picker. A new method is one function in one of
the two tables.

One example's pattern is noisy and a task's is not: give the target's pattern as one query
(``score(target.pattern(), pool)``) unless each query is to have its own neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, get_args

import numpy as np

from headprint.analysis.mixture import within_budget
from headprint.base.errors import InputError, did_you_mean
from headprint.base.options import SelectionLevels
from headprint.patterns import shared_heads
from headprint.patterns.pattern_set import Pattern, PatternSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.base.shapes import Values


@dataclass(frozen=True)
class ScoreMatrix:
    """How like each query each example of the pool is; more is more alike.

    Attributes:
        values: (Q, M) float32; NaN where there is no such number.
        query_ids: Q names.
        pool_ids: M names.
        pool_tokens: (M,) supervised tokens of each example.
    """

    values: Values
    query_ids: list[str]
    pool_ids: list[str]
    pool_tokens: NDArray[np.int32]

    def mean(self) -> Values:
        """(M,) mean over the queries that have a score; NaN if none has."""
        there = ~np.isnan(self.values)
        total = np.where(there, self.values, 0).sum(axis=0, dtype=np.float64)
        counts = there.sum(axis=0)
        result: Values = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
        return result


class Scorer(Protocol):
    """Compares queries (Q, P) with some of the pool (n, P), over P heads."""

    def __call__(self, queries: Values, pool: Values) -> Values:
        """(Q, n) scores."""


class Picker(Protocol):
    """Orders the pool; how much of it is taken is not its concern."""

    def __call__(self, scores: ScoreMatrix, seed: int) -> Iterator[int]:
        """Indices of the pool, each once, the best first."""


def cosine(queries: Values, pool: Values) -> Values:
    """Cosine of the angle between levels; NaN for what is 0 everywhere."""
    result: Values = _unit(queries) @ _unit(pool).T
    return result


def correlation(queries: Values, pool: Values) -> Values:
    """Pearson correlation over the heads; NaN for what is constant."""
    return cosine(*(x - x.mean(axis=1, keepdims=True) for x in (queries, pool)))


def top(scores: ScoreMatrix, seed: int = 0) -> Iterator[int]:
    """By mean score; ties in the order of the pool, those without a score last."""
    return iter(_best_first(scores.mean()).tolist())


def round_robin(scores: ScoreMatrix, seed: int = 0) -> Iterator[int]:
    """Each query in turn takes its best one that is left; ties as :func:`top`."""
    left = [iter(_best_first(row).tolist()) for row in scores.values]
    taken: set[int] = set()
    while len(taken) < len(scores.pool_ids):
        for ranked in left:
            best = next((index for index in ranked if index not in taken), None)
            if best is not None:
                taken.add(best)
                yield best


def random(scores: ScoreMatrix, seed: int = 0) -> Iterator[int]:
    """The baseline: in random order, whatever the scores."""
    return iter(np.random.default_rng(seed).permutation(len(scores.pool_ids)).tolist())


SCORERS: dict[str, Scorer] = {"correlation": correlation, "cosine": cosine}
PICKERS: dict[str, Picker] = {"top": top, "round-robin": round_robin, "random": random}


@dataclass(frozen=True)
class Selection:
    """What was chosen, best first.

    Attributes:
        indices: K places in the pool.
        ids: K names.
        scores: K mean scores over the queries.
        tokens: Supervised tokens of all of them together.
    """

    indices: list[int]
    ids: list[str]
    scores: list[float]
    tokens: int

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON; a missing score is None."""
        scores = [score if np.isfinite(score) else None for score in self.scores]
        return {"ids": self.ids, "scores": scores, "tokens": self.tokens}


def score(
    query: PatternSet | Pattern,
    pool: PatternSet,
    *,
    method: str = "correlation",
    levels: SelectionLevels = "raw",
    signed: bool = False,
    query_before: PatternSet | None = None,
    pool_before: PatternSet | None = None,
) -> ScoreMatrix:
    """Compares every query with every example of a pool, reading the pool shard by shard.

    Args:
        query: Q examples, or a pattern or change as the only query.
        pool: M examples, extracted with the same model and settings.
        method: One of :data:`SCORERS`.
        levels: What is compared: ``"raw"`` levels; ``"standardised"``: each head's less its mean
            over the pool, in units of its standard deviation there, so that the profile that all
            examples share counts for nothing (heads that are constant over the pool are left out);
            or ``"change"``: the levels less those of the same examples before training.
        signed: Compare signed levels, not their sizes.
        query_before: The queries before training, for ``"change"``; not for a pattern.
        pool_before: The pool before training, for ``"change"``.

    Returns:
        Q x M scores, which is what is held, besides one shard.

    Raises:
        InputError: If a set is empty, shapes differ, an option is unknown, a level of an example is
            missing, or what ``"change"`` needs is.
    """
    for option, value, table in (
        ("method", method, list(SCORERS)),
        ("levels", levels, list(get_args(SelectionLevels))),
    ):
        if value not in table:
            raise InputError(f"unknown {option} {value!r}: {did_you_mean(value, table)}")
    if len(pool) == 0 or (isinstance(query, PatternSet) and len(query) == 0):
        raise InputError("the query or the pool has no examples: extract at least one of each")
    if levels == "change" and pool_before is None:
        raise InputError("changes want the pool's levels from before training, too (--pool-before)")
    before = (query_before, pool_before) if levels == "change" else (None, None)
    queries, names = _queries(query, before[0], levels, signed)
    blocks = _Blocks(pool, before[1], signed)
    # A layer without attention is NaN in all examples; NaN in a single one is refused below.
    absent = np.isnan(next(iter(blocks))).all(axis=0)
    mask = shared_heads(queries, np.where(absent, np.nan, 0.0))
    queries = queries[:, mask]
    shift, unit = np.zeros(queries.shape[1]), np.ones(queries.shape[1])
    if levels == "standardised":
        shift, unit = _moments(blocks, mask)
        mask[mask], queries, shift = unit > 0, queries[:, unit > 0], shift[unit > 0]
        unit = unit[unit > 0]
        if not unit.size:
            raise InputError("every head is constant over the pool, so nothing can be standardised: use raw levels")
    queries = (queries - shift) / unit
    values = np.empty((len(queries), len(pool)), dtype=np.float32)
    start = 0
    for block in blocks:
        features = block[:, mask]
        if np.isnan(features).any():
            broken = pool.ids[start + int(np.isnan(features).any(axis=1).argmax())]
            raise InputError(f"the pool's example {broken!r} lacks levels that others have (NaN): leave it out")
        values[:, start : start + len(block)] = SCORERS[method](queries, (features - shift) / unit)
        start += len(block)
    return ScoreMatrix(values, names, pool.ids, pool.tokens)


def select(
    scores: ScoreMatrix, *, k: int | None = None, tokens: int | None = None, pick: str = "top", seed: int = 0
) -> Selection:
    """Takes the first of the pool in a picker's order.

    Args:
        scores: Q x M.
        k: How many examples; or:
        tokens: How many supervised tokens; the number of examples that comes nearest to it.
        pick: One of :data:`PICKERS`.
        seed: Of random pickers.

    Raises:
        InputError: If not one of ``k`` and ``tokens`` is given, the pool is smaller, or the picker
            is unknown.
    """
    if pick not in PICKERS:
        raise InputError(f"unknown pick {pick!r}: {did_you_mean(pick, PICKERS)}")
    if (k is None) == (tokens is None):
        raise InputError("give either a number of examples (--top) or of tokens (--tokens)")
    budget, unit = (k, "examples") if tokens is None else (tokens, "tokens")
    sizes = np.ones(len(scores.pool_ids), np.int64) if tokens is None else scores.pool_tokens
    if budget is None or budget < 1:
        raise InputError(f"{budget} {unit} asked for: ask for 1 at least")
    if budget > sizes.sum():
        raise InputError(f"{budget:,} {unit} asked for, and the pool has {sizes.sum():,}: ask for fewer")
    order = list(islice(PICKERS[pick](scores, seed), k))  # all of them under a token budget
    chosen = order[: within_budget(sizes[order], budget)]
    mean = scores.mean()
    return Selection(
        chosen,
        [scores.pool_ids[index] for index in chosen],
        [float(mean[index]) for index in chosen],
        int(scores.pool_tokens[chosen].sum()),
    )


class _Blocks:
    """The pool as (n, L, H) float64 blocks, once for every iteration."""

    def __init__(self, pool: PatternSet, before: PatternSet | None, signed: bool) -> None:
        self.pool, self.before, self.signed = pool, before, signed
        self.order = None if before is None else before.aligned_with(pool, name="the pool")

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        start = 0
        for shard in self.pool.iter_shards():
            rows = slice(start, start + len(shard))
            start = rows.stop
            if len(shard):
                block = _sized(shard, self.signed)
                if self.before is not None:
                    block -= _sized(self.before[rows if self.order is None else self.order[rows]], self.signed)
                yield block


def _sized(levels: PatternSet, signed: bool) -> NDArray[np.float64]:
    values = levels.values.astype(np.float64)
    return values if signed else np.abs(values)


def _queries(
    query: PatternSet | Pattern, before: PatternSet | None, levels: SelectionLevels, signed: bool
) -> tuple[NDArray[np.float64], list[str]]:
    """(Q, L, H) and their names."""
    if isinstance(query, Pattern):
        kind = "change" if levels == "change" else "pattern"
        if query.kind != kind:
            raise InputError(f"the query is a {query.kind}, and {levels} levels are compared with a {kind}")
        if signed and query.kind == "pattern" and query.provenance.get("placement", "none") != "none":
            raise InputError("signed levels are compared with a signed pattern: take the query's pattern('none')")
        return query.values.astype(np.float64)[None], ["pattern"]
    if levels == "change" and before is None:
        raise InputError("changes want the query's levels from before training, too (--query-before)")
    blocks = _Blocks(query, before, signed)
    return np.concatenate(list(blocks)), query.ids


def _moments(blocks: _Blocks, mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each head over the pool, block by block (Chan et al. 1983)."""
    count, mean, squares = 0, np.zeros(mask.sum()), np.zeros(mask.sum())
    for block in blocks:
        x = block[:, mask]
        n, own = len(x), x.mean(axis=0)
        squares += ((x - own) ** 2).sum(axis=0) + (own - mean) ** 2 * count * n / (count + n)
        mean += (own - mean) * n / (count + n)
        count += n
    spread = np.sqrt(squares / count)
    spread[spread <= 1e-12 * np.abs(mean)] = 0.0  # constant but for rounding
    return mean, spread


def _unit(x: Values) -> Values:
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Values = np.where(lengths > 0, x / lengths, np.nan)
    return result


def _best_first(scores: Values) -> NDArray[np.int64]:
    return np.argsort(-scores, kind="stable")  # NaN last
