"""One shard's Parquet file, and what in it says that it belongs where it is.

Columns: ``id`` (string), ``levels`` (fixed_size_list<float32>[L*H], the heads of layer 0 first), ``loss`` (float32),
``tokens`` (int32); of a set with sketches also ``sketch`` (fixed_size_list<float16>[L*H*K]) and ``sketch_exponent``
(fixed_size_list<int8>[L*H]), and of one with the MLPs' ``mlp_sketch`` ([L*R]) and ``mlp_sketch_exponent`` ([L]). The
numbers of a head or an MLP are those of the sketch times 2 to its exponent, the least power of two above them all;
rounding moves them by at most 2^-12 of that power.

The file's metadata entry ``headprint`` is a JSON object: ``settings``, the hash of the settings that the shard was made
with, ``index``, its place in the set, ``rows``, and ``sha256``, a checksum of each column. They tell a shard of another
run, a shard under another's name and a damaged one. Parquet's own checksums cover pages alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headprint.base.errors import InputError
from headprint.base.files import write_atomically
from headprint.base.options import Block
from headprint.base.settings import canonical
from headprint.patterns.storage.shards import Shard

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.base.shapes import Values

METADATA_KEY = b"headprint"
SHARD_GLOB = "part-[0-9]*.parquet"

_SHARD_NAME = re.compile(r"part-(\d{5,})\.parquet")
_IDS = "id"
_NUMBERS: dict[str, tuple[str, Any]] = {
    "levels": ("values", np.float32),
    "loss": ("losses", np.float32),
    "tokens": ("tokens", np.int32),
}
"""Numeric columns: the field of :class:`Shard` that each holds, and its type."""
_SKETCHES: dict[Block, str] = {"heads": "sketch", "mlp": "mlp_sketch"}
"""The column of each kind of sketch; beside it, ``…_exponent`` has a power of two for each head or MLP."""


class DamagedShard(ValueError):
    """A shard's file is not what it should be; the message says why, as the end of a sentence."""


@dataclass(frozen=True)
class Footer:
    """What a shard's file says of itself.

    Attributes:
        rows: How many examples it holds.
        sha256: The checksum of each column, by name.
    """

    rows: int
    sha256: dict[str, str]

    @property
    def digest(self) -> str:
        """One checksum of all columns."""
        return hashlib.sha256(canonical(self.sha256).encode()).hexdigest()


def shard_name(index: int) -> str:
    """Return the name of a shard's file."""
    return f"part-{index:05d}.parquet"


def shard_index(name: str) -> int | None:
    """Return the index of the shard that a file of this name holds, or None if it is none."""
    match = _SHARD_NAME.fullmatch(name)
    return int(match[1]) if match and shard_name(int(match[1])) == name else None


def write_shard(path: Path, shard: Shard, *, index: int, settings: str) -> Footer:
    """Write one shard, whole or not at all.

    Args:
        path: The file, in place.
        shard: n examples.
        index: The shard's place in the set.
        settings: Hash of the settings that it was made with.

    Raises:
        InputError: The disk is full or not writable, or an id is not valid Unicode.
        ValueError: The columns differ in length.
    """
    columns: dict[str, NDArray[Any]] = {
        name: np.ascontiguousarray(getattr(shard, field), kind) for name, (field, kind) in _NUMBERS.items()
    }
    for block, sketches in shard.sketches.items():
        columns |= dict(zip(_columns(block), to_half(sketches), strict=True))
    n = len(shard.values)
    if {len(shard.ids), *map(len, columns.values())} != {n}:
        raise ValueError(f"{n} rows of levels need as many ids, losses and token counts")
    try:
        arrays = {_IDS: pa.array(shard.ids, pa.string())}
    except UnicodeEncodeError as error:
        raise InputError(f"an id is not valid Unicode ({error.object!r}): correct it in the data") from error
    arrays |= {name: _to_arrow(column) for name, column in columns.items()}
    footer = Footer(n, {_IDS: _of_ids(shard.ids), **{name: _of_numbers(column) for name, column in columns.items()}})
    about = canonical({"settings": settings, "index": index, "rows": n, "sha256": footer.sha256})
    table = pa.table(arrays).replace_schema_metadata({METADATA_KEY: about.encode()})
    buffer = pa.BufferOutputStream()
    # Levels hardly repeat: a dictionary of them would only cost time.
    pq.write_table(table, buffer, use_dictionary=False, compression="zstd", write_page_checksum=True)
    write_atomically(path, buffer.getvalue())
    return footer


def read_footer(path: Path, *, index: int, settings: str) -> Footer:
    """Read the end of a shard's file, which is written last.

    Raises:
        DamagedShard: It is missing, not whole, of another run, or another shard.
    """
    try:
        return _footer(pq.read_metadata(path), index, settings)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(error) from error


def read_shard(
    path: Path, shape: tuple[int, int], *, index: int, settings: str, levels: bool = True
) -> tuple[Footer, Shard]:
    """Read one shard and compare its checksums.

    Args:
        path: The file.
        shape: (L, H).
        index: The shard's place in the set.
        settings: Hash of the settings that it was made with.
        levels: False leaves the shard's values empty and does not read them.

    Raises:
        DamagedShard: As :func:`read_footer`, or the content is not what was written.
    """
    numbers = [name for name in _NUMBERS if levels or name != "levels"]
    try:
        # Not pq.read_table, which looks for partitions in the names of the directories.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            footer = _footer(file.metadata, index, settings)
            table = file.read([_IDS, *numbers])
        if table.column(_IDS).type != pa.string():
            raise TypeError(f"a column holds {table.column(_IDS).type}")
        ids = table.column(_IDS).to_pylist()
        columns = {name: _to_numpy(table.column(name), _NUMBERS[name][1]) for name in numbers}
        values = columns["levels"].reshape(len(table), *shape) if levels else np.empty((0, *shape), np.float32)
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise _damaged(error) from error
    found = {_IDS: _of_ids(ids), **{name: _of_numbers(column) for name, column in columns.items()}}
    for name, sha256 in found.items():
        if footer.sha256[name] != sha256:
            raise DamagedShard(f"its column {name} is not what was written")
    return footer, Shard(ids, values, columns["loss"], columns["tokens"])


def read_sketches(
    path: Path, block: Block, shape: tuple[int, ...], *, index: int, settings: str
) -> tuple[Footer, Values]:
    """Read one shard's sketches of one kind and compare their checksums.

    Args:
        path: The file.
        block: The kind.
        shape: Of an example's numbers.
        index: The shard's place in the set.
        settings: Hash of the settings that it was made with.

    Raises:
        DamagedShard: As :func:`read_shard`.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            footer = _footer(file.metadata, index, settings)
            table = file.read(names := _columns(block))
        half, exponents = (
            _to_numpy(table.column(name), kind) for name, kind in zip(names, (np.float16, np.int8), strict=True)
        )
        columns = (half.reshape(len(table), *shape), exponents.reshape(len(table), *shape[:-1]))
        for name, column in zip(names, columns, strict=True):
            if footer.sha256[name] != _of_numbers(column):
                raise DamagedShard(f"its column {name} is not what was written")
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise _damaged(error) from error
    return footer, from_half(*columns)


def _columns(block: Block) -> list[str]:
    return [_SKETCHES[block], f"{_SKETCHES[block]}_exponent"]


def to_half(sketches: Values) -> tuple[NDArray[np.float16], NDArray[np.int8]]:
    """Sketches (n, …, K) as float16 numbers and the power of two of each head or MLP, (n, …)."""
    largest = np.nan_to_num(np.abs(sketches).max(axis=-1))  # a layer without attention is NaN
    exponents = np.clip(np.frexp(largest)[1], -100, 127).astype(np.int8)
    return np.ldexp(sketches, -exponents.astype(np.int32)[..., None]).astype(np.float16), exponents


def from_half(half: NDArray[np.float16], exponents: NDArray[np.int8]) -> Values:
    """What :func:`to_half` made, as float32."""
    return np.ldexp(half.astype(np.float32), exponents.astype(np.int32)[..., None])


def _footer(metadata: pq.FileMetaData, index: int, settings: str) -> Footer:
    try:
        about = json.loads((metadata.metadata or {})[METADATA_KEY])
        sha256 = {str(name): str(value) for name, value in about["sha256"].items()}
        if not {_IDS, *_NUMBERS} <= sha256.keys():
            raise DamagedShard("it lacks the checksum of a column")
        if about["settings"] != settings:
            raise DamagedShard("it was made by another run")
        if about["index"] != index:
            raise DamagedShard(f"it is shard {about['index']} under another name")
        if about["rows"] != metadata.num_rows:
            raise DamagedShard(f"it holds {metadata.num_rows} examples instead of {about['rows']}")
    except (KeyError, TypeError, AttributeError, RecursionError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DamagedShard("it is not a shard of this version of headprint, or it is damaged") from error
    return Footer(int(metadata.num_rows), sha256)


def _damaged(error: Exception) -> DamagedShard:
    if isinstance(error, DamagedShard):
        return error
    if isinstance(error, FileNotFoundError):
        return DamagedShard("it is missing")
    why = (str(error).splitlines() or [type(error).__name__])[0]
    return DamagedShard(f"it is damaged or cut short ({why})")


def _to_arrow(column: NDArray[Any]) -> pa.Array:
    """(n,) numbers, or (n, ...) as lists of a fixed size."""
    flat = pa.array(column.ravel())
    return flat if column.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, int(np.prod(column.shape[1:])))


def _to_numpy(column: pa.ChunkedArray, kind: Any) -> NDArray[Any]:
    """Flat numbers."""
    array = column.combine_chunks()
    flat = array.flatten() if pa.types.is_fixed_size_list(array.type) else array
    if flat.type != pa.from_numpy_dtype(kind) or flat.null_count:
        raise TypeError(f"a column holds {flat.type} or nulls")
    return np.asarray(flat.to_numpy())


def _of_ids(ids: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(ids)).encode()).hexdigest()


def _of_numbers(column: NDArray[Any]) -> str:
    """Of the bytes, little-endian, whatever their shape."""
    return hashlib.sha256(column.astype(column.dtype.newbyteorder("<"), copy=False).tobytes()).hexdigest()
