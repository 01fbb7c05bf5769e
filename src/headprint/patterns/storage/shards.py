"""A pattern set in pieces, each of some consecutive examples, wherever they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

import numpy as np

from headprint.base.options import Block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.base.shapes import Levels, Losses, TokenCounts, Values

Layout: TypeAlias = Mapping[Block, tuple[int, ...]]
"""The shape of an example's sketches by kind: (L, H, K) of heads and (L, R) of MLPs, as far as there are any."""


class Shard(NamedTuple):
    """n consecutive examples of a pattern set.

    Attributes:
        ids: n names.
        values: (n, L, H) float32 activation levels.
        losses: (n,) float32, mean loss of each example.
        tokens: (n,) int32, supervised tokens of each example.
        sketches: Gradients along random directions, float32: (n, L, H, K) of ``"heads"`` and (n, L, R) of ``"mlp"``, as
            far as they were measured.
    """

    ids: Sequence[str]
    values: Levels
    losses: Losses
    tokens: TokenCounts
    sketches: Mapping[Block, Values] = MappingProxyType({})


class Shards(Protocol):
    """Where a pattern set's examples are, shard by shard: in memory or in files."""

    @property
    def rows(self) -> list[int]:
        """Number of examples in each shard."""

    @property
    def shape(self) -> tuple[int, int]:
        """(L, H)."""

    @property
    def layout(self) -> Layout:
        """The shape of an example's sketches."""

    def read(self, index: int) -> Shard:
        """Read one shard, but for its sketches."""

    def read_sketches(self, index: int, block: Block) -> Values:
        """Read one shard's sketches of one kind of block."""

    def read_labels(self, index: int) -> Shard:
        """Read one shard's ids, losses and tokens; its values may be missing."""


@dataclass(frozen=True)
class InMemory:
    """One shard that is in memory."""

    shard: Shard

    @property
    def rows(self) -> list[int]:
        """Number of examples, as that of one shard."""
        return [len(self.shard.ids)]

    @property
    def shape(self) -> tuple[int, int]:
        """(L, H)."""
        _, layers, heads = self.shard.values.shape
        return layers, heads

    @property
    def layout(self) -> Layout:
        """The shape of an example's sketches."""
        return {block: numbers.shape[1:] for block, numbers in self.shard.sketches.items()}

    def read(self, index: int) -> Shard:
        """Return the shard."""
        return self.shard

    def read_sketches(self, index: int, block: Block) -> Values:
        """Return its sketches of one kind of block."""
        return self.shard.sketches[block]

    read_labels = read


def read_labels(shards: Shards) -> tuple[list[str], Losses, TokenCounts]:
    """Read ids, losses and tokens of all examples, (N,) each."""
    parts = [shards.read_labels(index) for index in range(len(shards.rows))]
    return (
        [name for part in parts for name in part.ids],
        np.concatenate([np.empty(0, np.float32), *(part.losses for part in parts)]),
        np.concatenate([np.empty(0, np.int32), *(part.tokens for part in parts)]),
    )


def take_levels(shards: Shards, examples: NDArray[np.int64]) -> Levels:
    """Read levels of some examples, by number, in that order; shards without one of them are not read."""
    values = np.empty((len(examples), *shards.shape), dtype=np.float32)
    for index, wanted, rows in _where(shards, examples):
        values[wanted] = shards.read(index).values[rows]
    return values


def take_sketches(shards: Shards, examples: NDArray[np.int64], block: Block) -> Values:
    """Read sketches of some examples, as :func:`take_levels`."""
    sketches = np.empty((len(examples), *shards.layout[block]), dtype=np.float32)
    for index, wanted, rows in _where(shards, examples):
        sketches[wanted] = shards.read_sketches(index, block)[rows]
    return sketches


def _where(shards: Shards, examples: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.bool_], NDArray[np.int64]]]:
    """The shards that hold some of the examples: which of them, and in which of its rows."""
    start = 0
    for index, count in enumerate(shards.rows):
        wanted = (examples >= start) & (examples < start + count)
        if wanted.any():
            yield index, wanted, examples[wanted] - start
        start += count
