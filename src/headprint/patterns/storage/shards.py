"""One shard of a pattern set: some consecutive examples as a Parquet file.

Columns: ``id`` (string), ``levels`` (fixed_size_list<float32>[L*H], the heads of layer 0 first),
``loss`` (float32), ``tokens`` (int32). The file's metadata holds a stamp, the hash of the settings
that it was made with, so that a stray shard of another run is never taken for one of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headprint.base.files import write_atomically

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.base.shapes import Levels, Losses, TokenCounts

STAMP = b"headprint"
SHARD_GLOB = "part-[0-9]*.parquet"


class Shard(NamedTuple):
    """n consecutive examples of a pattern set.

    Attributes:
        ids: n names.
        values: (n, L, H) float32 activation levels.
        losses: (n,) float32, mean loss of each example.
        tokens: (n,) int32, supervised tokens of each example.
    """

    ids: Sequence[str]
    values: Levels
    losses: Losses
    tokens: TokenCounts


class Shards(Protocol):
    """Where a pattern set's examples are, shard by shard: in memory or in files."""

    @property
    def rows(self) -> list[int]:
        """Number of examples in each shard."""

    @property
    def shape(self) -> tuple[int, int]:
        """(L, H)."""

    def read(self, index: int) -> Shard:
        """One shard whole."""

    def read_labels(self, index: int) -> Shard:
        """One shard's ids, losses and tokens; its values may be missing."""


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

    def read(self, index: int) -> Shard:
        """The shard."""
        return self.shard

    read_labels = read


def read_labels(shards: Shards) -> tuple[list[str], Losses, TokenCounts]:
    """Ids, losses and tokens of all examples, (N,) each."""
    parts = [shards.read_labels(index) for index in range(len(shards.rows))]
    return (
        [name for part in parts for name in part.ids],
        np.concatenate([np.empty(0, np.float32), *(part.losses for part in parts)]),
        np.concatenate([np.empty(0, np.int32), *(part.tokens for part in parts)]),
    )


def take_levels(shards: Shards, examples: NDArray[np.int64]) -> Levels:
    """Levels of some examples, by number, in that order; shards without one of them are not read."""
    values = np.empty((len(examples), *shards.shape), dtype=np.float32)
    start = 0
    for index, count in enumerate(shards.rows):
        wanted = (examples >= start) & (examples < start + count)
        if wanted.any():
            values[wanted] = shards.read(index).values[examples[wanted] - start]
        start += count
    return values


def write_shard(path: Path, shard: Shard, stamp: str) -> None:
    """Writes one shard, whole or not at all.

    Raises:
        InputError: If the disk is full or not writable.
    """
    n, layers, heads = shard.values.shape
    if not len(shard.ids) == len(shard.losses) == len(shard.tokens) == n:
        raise ValueError(f"{n} rows of levels need as many ids, losses and token counts")
    flat = np.ascontiguousarray(shard.values, dtype=np.float32).ravel()
    columns = {
        "id": pa.array(shard.ids, pa.string()),
        "levels": pa.FixedSizeListArray.from_arrays(pa.array(flat), layers * heads),
        "loss": pa.array(np.asarray(shard.losses, dtype=np.float32)),
        "tokens": pa.array(np.asarray(shard.tokens, dtype=np.int32)),
    }
    table = pa.table(columns).replace_schema_metadata({STAMP: stamp.encode()})
    buffer = pa.BufferOutputStream()
    # Levels hardly repeat: a dictionary of them would only cost time.
    pq.write_table(table, buffer, use_dictionary=False, compression="zstd", write_page_checksum=True)
    write_atomically(path, buffer.getvalue())


def rows_of_shard(path: Path, stamp: str) -> int | None:
    """Rows of a shard by its footer, which is written last; None if not whole or of another run."""
    try:
        footer = pq.read_metadata(path)
    except (OSError, pa.ArrowException):
        return None
    ours = (footer.metadata or {}).get(STAMP) == stamp.encode()
    return int(footer.num_rows) if ours else None


def read_shard(path: Path, shape: tuple[int, int], *, levels: bool = True) -> Shard:
    """Reads one shard; without ``levels`` its values are left empty and not read.

    Raises:
        OSError, pyarrow.ArrowException: If the file is damaged.
    """
    # Not pq.read_table, which looks for partitions in the names of the directories.
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        table = file.read(["id", "loss", "tokens"] + ["levels"] * levels)
    values = np.empty((0, *shape), dtype=np.float32)
    if levels:
        column = table.column("levels").combine_chunks()
        values = column.flatten().to_numpy().reshape(len(table), *shape)
    return Shard(
        table.column("id").to_pylist(),
        values,
        table.column("loss").to_numpy(),
        table.column("tokens").to_numpy(),
    )
