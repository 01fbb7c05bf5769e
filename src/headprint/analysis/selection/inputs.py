"""What a selector may look at: levels, rows and a model, each checked when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from headprint.analysis.comparability import check_comparable
from headprint.analysis.selection.rows import rows_of, split_of
from headprint.analysis.selection.similarity import Vectors
from headprint.base.errors import InputError, did_you_mean
from headprint.base.options import EMBEDDING_MODEL, Block, SelectionLevels, TuningOptions, american
from headprint.data import Source, read_rows
from headprint.patterns import Pattern, PatternSet, reading_of, shared_heads

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from headprint.base.shapes import Values


class Gradients(NamedTuple):
    """Gradients of one kind of block, heads or MLPs, in comparable units.

    Attributes:
        vectors: (Q, P, K) and blocks of (n, P, K): K components for each of the P blocks that have a gradient.
        present: (L, H) or, of MLPs, (L,): which blocks these are.
        units: Of the same shape, root mean squares over the pool.
    """

    vectors: Vectors
    present: NDArray[np.bool_]
    units: NDArray[np.float64]


@dataclass(frozen=True)
class SelectionInputs:
    """The query, the pool, and all that a selector may need beside them.

    A selector takes what it needs; what was not given raises an :class:`~headprint.base.errors.InputError` that says
    how to give it.

    Attributes:
        query: Q examples of the target, or a pattern or a change as the only query.
        pool: M examples, of the same model.
        query_before: The queries before training, for levels ``"change"``; not for a pattern.
        pool_before: The pool before training, for levels ``"change"``.
        query_rows: The rows of the target.
        pool_rows: The rows that the pool was extracted from.
        model: A model, or its name.
        tokenizer: The model's; None for the one that comes with a model given by name.
        embedding_model: A model of sentence-transformers, for methods that compare sentence embeddings.
        tuning: How selectors that train the model first do so.
        levels: Which levels are compared: ``"raw"``; ``"standardized"``, each head's less its mean over the pool in
            units of its standard deviation there, so that the profile that all examples share counts for nothing
            (heads that are constant over the pool are left out); or ``"change"``, the levels less those of the same
            examples before training.
        signed: Compare signed levels, not their sizes.
        mean_query: Compare levels with the mean pattern of the query, as if it were the only query.
        seed: Of whatever is random.
        show_progress: Show progress bars on stderr where a model runs.

    Raises:
        InputError: A set is empty, the two are of different models, or an option is unknown.
    """

    query: PatternSet | Pattern
    pool: PatternSet
    query_before: PatternSet | None = None
    pool_before: PatternSet | None = None
    query_rows: Source | None = None
    pool_rows: Source | None = None
    model: str | nn.Module | None = None
    tokenizer: Any = None
    embedding_model: str = EMBEDDING_MODEL
    tuning: TuningOptions = field(default_factory=TuningOptions)
    levels: SelectionLevels = "raw"
    signed: bool = False
    mean_query: bool = False
    seed: int = 0
    show_progress: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", american(self.levels))
        if self.levels not in (allowed := get_args(SelectionLevels)):
            raise InputError(f"unknown levels {self.levels!r}: {did_you_mean(self.levels, allowed)}")
        if len(self.pool) == 0 or (isinstance(self.query, PatternSet) and len(self.query) == 0):
            raise InputError("the query or the pool has no examples: extract at least one of each")
        if self.levels == "change":
            if self.pool_before is None:
                raise InputError("levels 'change' need the pool before training as well (--pool-before)")
            pair = self.query if self.query_before is None else self.query_before, self.pool_before
        else:
            pair = self.query, self.pool
        check_comparable(dict(zip(("the query", "the pool"), map(_of_levels, pair), strict=True)), one_model=True)

    @property
    def query_ids(self) -> list[str]:
        """Q names; a pattern is called ``"pattern"``."""
        return self.query.ids if isinstance(self.query, PatternSet) else ["pattern"]

    def level_vectors(self) -> Vectors:
        """Return the levels of queries and pool, as :attr:`levels` and :attr:`signed` say.

        Raises:
            InputError: Shapes differ, a level of an example is missing, or what ``"change"`` needs is.
        """
        queries = self._queries()
        blocks = _Blocks(self.pool, self.pool_before if self.levels == "change" else None, self.signed)
        # A layer without attention is NaN in all examples; NaN in a single one is refused below.
        absent = np.isnan(next(iter(blocks))).all(axis=0)
        mask = shared_heads(queries, np.where(absent, np.nan, 0.0))
        queries = queries[:, mask]
        shift, unit = np.zeros(queries.shape[1]), np.ones(queries.shape[1])
        if self.levels == "standardized":
            shift, unit = _moments(blocks, mask)
            mask[mask], queries, shift = unit > 0, queries[:, unit > 0], shift[unit > 0]
            unit = unit[unit > 0]
            if not unit.size:
                raise InputError("every head is constant over the pool, so nothing can be standardized: use raw levels")

        def pool() -> Iterator[Values]:
            start = 0
            for block in blocks:
                vectors = block[:, mask]
                if np.isnan(vectors).any():
                    broken = self.pool.ids[start + int(np.isnan(vectors).any(axis=1).argmax())]
                    raise InputError(f"the pool's example {broken!r} lacks levels that others have (NaN): leave it out")
                start += len(block)
                yield (vectors - shift) / unit

        return Vectors((queries - shift) / unit, pool())

    def gradients(self, block: Block = "heads") -> Gradients:
        """Return the sketches of gradients, each head or MLP in units of its root mean square over the pool.

        That unit does what Adam does to an update: heads whose gradients are large everywhere do not drown the others.
        Blocks that have no gradient in any example are left out. The mean over queries is that of their gradients,
        which is the gradient of their mean loss.

        Args:
            block: Whose gradients.

        Raises:
            InputError: A set has no sketches, their directions differ, or a number of an example is missing.
        """
        query, pool = self.query, self.pool
        if not isinstance(query, PatternSet):
            raise InputError("head gradients are compared with examples: give the query as a pattern set")
        for name, levels in (("the query", query), ("the pool", pool)):
            check_gradients(name, levels, block)
        made = [(each.layout[block][-1], each.provenance.get("sketch_seed")) for each in (query, pool)]
        if made[0] != made[1]:
            both = " and ".join(f"{size} with seed {seed}" for size, seed in made)
            raise InputError(f"the directions of query and pool differ ({both}): extract both with one sketch and seed")
        if query.shape[1:] != pool.shape[1:]:
            raise InputError(f"shapes differ: {query.shape[1:]} and {pool.shape[1:]} (layers, heads)")

        def sketches(of: PatternSet) -> Iterator[Values]:
            return (shard[block] for shard in of.iter_block_sketches())

        squares = sum((part.astype(np.float64) ** 2).sum(axis=0).mean(axis=-1) for part in sketches(pool))
        units = np.sqrt(squares / len(pool))
        if not (present := units > 0).any():  # NaN, a layer without attention, is not
            raise InputError("no head has a gradient in any example of the pool: check the model's loss")

        def scaled(part: Values) -> Values:
            vectors: Values = part[:, present] / units[present, None]
            return vectors

        queries = np.concatenate([scaled(part) for part in sketches(query)])
        if self.mean_query:
            queries = queries.mean(axis=0, keepdims=True)
        return Gradients(Vectors(queries, map(scaled, sketches(pool))), present, units)

    def rows_of_query(self) -> list[dict[str, Any]]:
        """Return the rows of the target.

        Raises:
            InputError: They were not given.
        """
        if self.query_rows is None:
            raise InputError("this method reads the rows of the query: give them, too (--query-rows)")
        return [row.data for row in read_rows(self.query_rows, split=split_of(self.query))]

    def rows_of_pool(self) -> list[dict[str, Any]]:
        """Return the rows of the pool, in the order of its examples.

        Raises:
            InputError: They were not given, or are not those that the pool was extracted from.
        """
        if self.pool_rows is None:
            raise InputError("this method reads the rows of the pool: give them, too (--pool-rows)")
        return rows_of(self.pool, self.pool_rows, self.pool.ids)

    def required_model(self) -> str | nn.Module:
        """Return the model, or its name.

        Raises:
            InputError: It was not given.
        """
        if self.model is None:
            raise InputError("this method runs a model: give one, too (--model)")
        return self.model

    def _queries(self) -> NDArray[np.float64]:
        """(Q, L, H)."""
        before = self.query_before if self.levels == "change" else None
        if self.levels == "change" and before is None and isinstance(self.query, PatternSet):
            raise InputError("levels 'change' need the query before training as well (--query-before)")
        if isinstance(self.query, PatternSet) and not self.mean_query:
            return np.concatenate(list(_Blocks(self.query, before, self.signed)))
        pattern = self._mean(self.query, before) if isinstance(self.query, PatternSet) else self.query
        kind = "change" if self.levels == "change" else "pattern"
        if pattern.kind != kind:
            raise InputError(f"the query is a {pattern.kind}, and {self.levels} levels need a {kind}")
        if self.signed and kind == "pattern" and reading_of(pattern.provenance) not in (None, "signed"):
            raise InputError("signed levels are compared with a signed pattern: take the query's pattern('signed')")
        return pattern.values.astype(np.float64)[None]

    def _mean(self, query: PatternSet, before: PatternSet | None) -> Pattern:
        reading: Literal["signed"] | None = "signed" if self.signed else None
        pattern = query.pattern(reading)
        return pattern if before is None else pattern - before.pattern(reading)


def check_gradients(name: str, levels: PatternSet, block: Block = "heads") -> None:
    """Refuse a set without the sketches of a kind of block.

    Raises:
        InputError: It has none.
    """
    if block not in levels.layout:
        raise InputError(f"{name} has no {_EXTRACTED[block]}")


_EXTRACTED: dict[Block, str] = {
    "heads": "head gradients: extract it with sketch=K (--sketch K)",
    "mlp": "gradients of MLPs: extract it with sketch=K and blocks='heads,mlp' (--sketch K --blocks heads,mlp)",
}


class _Blocks:
    """A set as (n, L, H) float64 blocks, once for every iteration."""

    def __init__(self, levels: PatternSet, before: PatternSet | None, signed: bool) -> None:
        self.levels, self.before, self.signed = levels, before, signed
        self.order = None if before is None else before.aligned_with(levels, name="before and after")

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        start = 0
        for shard in self.levels.iter_shards():
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


def _of_levels(patterns: PatternSet | Pattern) -> dict[str, Any]:
    """The provenance, where whatever keeps an example's signed level is one: only the mean differs."""
    origin = patterns.provenance
    return {**origin, "placement": "token" if origin.get("placement") == "token" else "example", "reading": None}


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
