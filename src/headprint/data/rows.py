"""Rows of a data set, one at a time: from a list, JSONL, Parquet or the `datasets` library.

Nothing here knows what a row means; `headprint.data.examples` does. A file is never held in memory.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sized
from itertools import count
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from headprint.base.errors import InputError

if TYPE_CHECKING:
    from datasets import DatasetBuilder

Source: TypeAlias = str | PathLike[str] | Iterable[Mapping[str, Any]]
"""A file, a folder, a hub id, or rows in memory (a list, a `datasets.Dataset` or `DatasetDict`)."""

_LINES = (".jsonl", ".ndjson", ".json")
_SUFFIXES = (*_LINES, ".parquet")
_LAB = "lab:"
_LAB_ROWS = 1000
_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?(:[^/\s]+)?")


class Row(NamedTuple):
    """One row and where it stands.

    Attributes:
        place: `train.jsonl:7` (line 7, as an editor counts), `train.parquet row 7` or `row 7`
            (counted from 0, as `rows[7]`).
        data: The row.
    """

    place: str
    data: dict[str, Any]


def read_rows(source: Source, *, split: str = "train") -> Iterator[Row]:
    """Yield the rows of `source` in order, reading as it goes.

    Args:
        source: A JSONL file (`.jsonl`, `.ndjson`, `.json`; blank lines are skipped), a Parquet
            file, a folder that holds `<split>.<suffix>` or `<split>-*.<suffix>` files, a
            `datasets` hub id (`name` or `name:config`), a `datasets` object, an iterable of
            dicts, or `lab:TASK`: the first 1,000 rows of a task of the embedded laboratory.
        split: Which part of a folder, a hub id, a `DatasetDict` or a task; nothing to other sources.

    Raises:
        InputError: There is nothing to read, or a row is broken: which, where, how to mend it.
    """
    row = None
    for row in _rows(source, split):
        yield row
    if row is None:
        raise InputError(f"{_name(source)}: no rows; give a data set with at least one")


def fingerprint(source: Source, *, split: str = "train") -> str:
    """SHA-256 (hexadecimal) that changes when the content of `source` does.

    A file: of its bytes (what `sha256sum` prints). A folder: of the names and digests of its files.
    Rows in memory: of their canonical JSON. A `datasets.Dataset`: of its own fingerprint. A hub id:
    of name, configuration, split and the revision that `datasets` resolves it to.

    Raises:
        InputError: As `read_rows`; and for an iterator, which could not be read again afterwards.
    """
    if (chosen := _chosen(source, split)) is not source:
        return fingerprint(chosen)
    digest = hashlib.sha256()
    if isinstance(source, str | PathLike):
        files = _files(str(source), split)
        if not files:
            name = str(source)
            digest.update(json.dumps([name, split, _hub_builder(name).hash]).encode())
        elif len(files) == 1:
            return _file_digest(files[0])
        for file in files:
            digest.update(f"{_file_digest(file)}  {file.name}\n".encode())
    elif own := getattr(source, "_fingerprint", None):
        digest.update(f"datasets:{own}".encode())
    elif isinstance(source, Iterator):
        raise InputError("an iterator of rows can be read only once; give a list of rows")
    else:
        for row in read_rows(source):
            try:
                line = json.dumps(row.data, sort_keys=True, default=lambda value: value.tolist())
            except (AttributeError, TypeError, ValueError) as error:
                raise InputError(f"{row.place}: a value has no JSON form ({error}); use plain types") from error
            digest.update(f"{line}\n".encode())
    return digest.hexdigest()


def _rows(source: Source, split: str) -> Iterator[Row]:
    if (chosen := _chosen(source, split)) is not source:
        yield from _rows(chosen, split)
    elif isinstance(source, str | PathLike):
        files = _files(str(source), split)
        for file in files:
            yield from (_parquet_rows if file.suffix == ".parquet" else _line_rows)(file)
        if not files:
            yield from _listed_rows(_hub_rows(str(source), split))
    else:
        yield from _listed_rows(source)


def _listed_rows(rows: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise InputError(f"row {number}: a dict is wanted, not {type(row).__name__}")
        yield Row(f"row {number}", dict(row))


def _line_rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            place = f"{path}:{number}"
            try:
                data = json.loads(line)
            except json.JSONDecodeError as error:
                if line.lstrip().startswith(b"["):
                    raise InputError(_is_array(place)) from error
                raise InputError(
                    f"{place}: broken JSON ({error.msg} at column {error.colno}); each line wants one whole JSON object"
                ) from error
            except UnicodeDecodeError as error:
                raise InputError(f"{place}: not UTF-8 ({error.reason}); save it as UTF-8") from error
            if isinstance(data, list):
                raise InputError(_is_array(place))
            if not isinstance(data, dict):
                raise InputError(
                    f"{place}: {type(data).__name__} instead of an object; "
                    'each line wants one JSON object, {"prompt": …, "completion": …}'
                )
            yield Row(place, data)


def _is_array(place: str) -> str:
    return (
        f"{place}: a JSON array; one object a line is wanted: jq -c '.[]' rows.json > rows.jsonl makes that of an array"
    )


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = count()
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for data in batch.to_pylist():
                    yield Row(f"{path} row {next(number)}", data)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not a whole Parquet file ({reason}); write it again") from error


def _files(source: str, split: str) -> list[Path]:
    """The files that a path names; none if it can only be a hub id."""
    path = Path(source).expanduser()
    if path.is_dir():
        found = [
            *(path / f"{split}{suffix}" for suffix in _SUFFIXES),
            *sorted(path.glob(f"{split}-*")),
        ]
        files = [file for file in found if file.suffix in _SUFFIXES and file.is_file()]
        if not files:
            held = ", ".join(sorted(file.name for file in path.iterdir())[:8]) or "nothing"
            raise InputError(
                f"{path}: no {split}.jsonl or {split}.parquet in this folder (it holds {held}); "
                "name a file or another split"
            )
        return files
    if path.exists():
        if path.suffix not in _SUFFIXES:
            raise InputError(f"{path}: unknown suffix '{path.suffix}'; rows are read from {', '.join(_SUFFIXES)}")
        return [path]
    if path.suffix in _SUFFIXES or not _HUB_ID.fullmatch(source):
        raise InputError(f"{source}: no such file; check the path")
    return []


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _chosen(source: Source, split: str) -> Source:
    """The split of what has splits and is no file: a mapping of them, or a task of the laboratory."""
    if isinstance(source, str) and source.startswith(_LAB):
        from headprint.lab import task_rows

        return task_rows(source.removeprefix(_LAB), split, n=_LAB_ROWS)  # type: ignore[arg-type]  # it checks the split
    if not isinstance(source, Mapping):
        return source
    if split not in source:
        raise InputError(
            f"no split '{split}' here (found: {', '.join(map(str, source))}); name one of these, "
            "or give a list of rows if this was one row"
        )
    return source[split]  # type: ignore[no-any-return]


def _hub_builder(name: str) -> "DatasetBuilder":
    import datasets

    repository, _, config = name.partition(":")
    try:
        return datasets.load_dataset_builder(repository, config or None)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{name}: neither a file here nor a data set that can be loaded ({reason}); "
            "check the path or id (name or name:config) and the connection"
        ) from error


def _hub_rows(name: str, split: str) -> Iterable[Mapping[str, Any]]:
    import datasets

    builder = _hub_builder(name)
    try:
        # Offline, only what an earlier download left in the cache can be read, and not as a stream.
        cached = datasets.config.HF_HUB_OFFLINE
        rows: Iterable[Mapping[str, Any]] = (
            builder.as_dataset(split=split) if cached else builder.as_streaming_dataset(split=split)
        )
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name}: split '{split}' cannot be read ({reason})") from error
    return rows


def _name(source: Source) -> str:
    return str(source) if isinstance(source, str | PathLike) else "the list of rows"


def describe(source: Source) -> str:
    """What a person calls the source: its path or id, or how many rows are in memory."""
    if isinstance(source, str | PathLike):
        return str(source)
    known = count_rows(source)
    return "rows in memory" if known is None else f"{known} rows in memory"


def count_rows(source: Source, *, split: str = "train") -> int | None:
    """How many rows there are, where that is cheap to know: it is for progress bars. None otherwise."""
    if (chosen := _chosen(source, split)) is not source:
        return count_rows(chosen)
    if isinstance(source, str | PathLike):
        files = _files(str(source), split)
        return sum(map(_count_in_file, files)) if files else None
    return len(source) if isinstance(source, Sized) else None


def _count_in_file(path: Path) -> int:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return int(pq.read_metadata(path).num_rows)
    with path.open("rb") as file:
        return sum(not line.isspace() for line in file)
