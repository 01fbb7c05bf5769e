"""Rows of a data set, one at a time: from a list, a file, the ``datasets`` library or a registered source.

Nothing here knows what a row means, except for its id; :mod:`headprint.data.tokenization` does. A file is never held
in memory.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sized
from itertools import count
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from headprint.base.errors import InputError, did_you_mean
from headprint.base.files import ARRAY, COMPRESSED, numbered_json_lines, open_bytes
from headprint.data.delimited import delimited_rows
from headprint.data.sources import SOURCES, Source, scheme_of

if TYPE_CHECKING:
    from datasets import DatasetBuilder

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_TEXT = (".jsonl", ".ndjson", ".json", *_DELIMITERS)
SUFFIXES = (*_TEXT, ".parquet", *(f"{suffix}{packed}" for suffix in _TEXT for packed in COMPRESSED))
"""What the names of files with rows end in."""
_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?(:[^/\s]+)?")


class Row(NamedTuple):
    """One row and where it stands.

    Attributes:
        place: ``train.jsonl:7`` (line 7, as an editor counts), ``train.parquet row 7`` or ``row 7`` (counted from 0,
            as ``rows[7]``).
        data: The row.
    """

    place: str
    data: dict[str, Any]


def read_rows(source: Source, *, split: str = "train") -> Iterator[Row]:
    """Yield the rows of ``source`` in order, reading as it goes.

    Args:
        source: A JSON Lines file (``.jsonl``, ``.ndjson``, ``.json``; blank lines are skipped), a CSV or TSV file
            (``.csv``, ``.tsv``), any of these compressed (``.gz``, ``.zst``), a Parquet file, a folder that holds
            ``<split>.<suffix>`` or ``<split>-*.<suffix>`` files, a ``datasets`` hub id (``name`` or ``name:config``),
            a ``datasets`` object, an iterable of dicts, or ``SCHEME:NAME`` for a registered source
            (:data:`headprint.data.SOURCES`), such as ``lab:math``.
        split: Which part of a folder, a hub id, a ``DatasetDict`` or a registered source; other sources have no parts.

    Raises:
        InputError: There is nothing to read, or a row is broken: which, where, and how to fix it.
    """
    row = None
    for row in _rows(_resolve(source, split), split):
        yield row
    if row is None:
        name = str(source) if isinstance(source, str | PathLike) else "the list of rows"
        raise InputError(f"{name}: no rows; give a data set with at least one")


def row_id(row: Row, number: int) -> str:
    """The row's own id, or else its number in the source, from 0.

    Raises:
        InputError: As :func:`own_id`.
    """
    own = own_id(row)
    return str(number) if own is None else own


def own_id(row: Row) -> str | None:
    """The row's ``id`` as text; None if it has none.

    Raises:
        InputError: The id is neither text nor an integer, or cannot be written down.
    """
    own = row.data.get("id")
    if own is None:
        return None
    if isinstance(own, bool) or not isinstance(own, str | Integral) or own == "":
        raise InputError(f"{row.place}: the id is {own!r}; it must be a string or an integer")
    try:
        text = str(own)
        text.encode()
    except UnicodeEncodeError as error:  # JSON can write half a surrogate pair, UTF-8 cannot
        raise InputError(f"{row.place}: the id {own!a} is not Unicode text; give it another") from error
    except ValueError as error:  # an integer of thousands of digits
        raise InputError(f"{row.place}: the id is too long ({error}); give it a shorter one") from error
    return text


def fingerprint(source: Source, *, split: str = "train") -> str:
    """SHA-256 (hexadecimal) that changes when the content of ``source`` does.

    A file: of its bytes (what ``sha256sum`` prints). A folder: of the names and digests of its files. Rows in memory
    and of a registered source: of their canonical JSON. A ``datasets.Dataset``: of its own fingerprint. A hub id: of
    name, configuration, split and the revision that ``datasets`` resolves it to.

    Raises:
        InputError: As :func:`read_rows`; and for an iterator, which could not be read again afterwards.
    """
    if isinstance(source, Iterator):
        raise InputError("an iterator of rows can be read only once; give a list of rows")
    source = _resolve(source, split)
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
    else:
        for row in read_rows(source):
            try:
                line = json.dumps(row.data, sort_keys=True, default=lambda value: value.tolist())
            except (AttributeError, TypeError, ValueError, RecursionError) as error:
                raise InputError(f"{row.place}: a value has no JSON form ({error}); use plain types") from error
            digest.update(f"{line}\n".encode())
    return digest.hexdigest()


def describe(source: Source) -> str:
    """What a person calls the source: its path or id, or how many rows are in memory."""
    if isinstance(source, str | PathLike):
        return str(source)
    known = count_rows(source)
    return "rows in memory" if known is None else f"{known} rows in memory"


def count_rows(source: Source, *, split: str = "train") -> int | None:
    """How many rows there are, for progress bars; None where that is not cheap to know.

    Raises:
        InputError: A file is missing or cannot be read.
    """
    source = _resolve(source, split)
    if isinstance(source, str | PathLike):
        files = _files(str(source), split)
        return sum(map(_count_in_file, files)) if files else None
    return len(source) if isinstance(source, Sized) else None


def _resolve(source: Source, split: str) -> Source:
    """The split of a mapping of splits, or what a registered source finds; a path, hub id or rows as they are."""
    if (scheme := scheme_of(source)) is not None:
        return _resolve(SOURCES.load(scheme)(str(source).removeprefix(f"{scheme}:"), split), split)
    if not isinstance(source, Mapping):
        return source
    if split not in source:
        raise InputError(
            f"no split '{split}' here (found: {', '.join(map(str, source))}); name one of these, "
            "or give a list of rows if this was one row"
        )
    return source[split]  # type: ignore[no-any-return]


def _rows(source: Source, split: str) -> Iterator[Row]:
    if not isinstance(source, str | PathLike):
        yield from _listed_rows(source)
        return
    files = _files(str(source), split)
    for file in files:
        yield from _file_rows(file)
    if not files:
        yield from _listed_rows(_hub_rows(str(source), split))


def _file_rows(path: Path) -> Iterator[Row]:
    kind = _kind(path)
    if kind == ".parquet":
        yield from _parquet_rows(path)
    elif delimiter := _DELIMITERS.get(kind):
        for number, values in delimited_rows(path, delimiter):
            yield Row(f"{path}:{number}", dict(values))
    else:
        yield from _line_rows(path)


def _kind(path: Path) -> str:
    """The suffix that says how a file is read: ``.csv`` of ``rows.csv.gz``; empty if there is no such suffix."""
    name = path.name.removesuffix(path.suffix) if path.suffix in COMPRESSED else path.name
    suffix = Path(name).suffix
    return suffix if suffix in _TEXT or path.suffix == ".parquet" else ""


def _listed_rows(rows: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    # A list's or a user's own errors are theirs; those of `datasets` are about the files behind it.
    of_datasets = type(rows).__module__.startswith("datasets.")
    for number, row in enumerate(_read_datasets(rows) if of_datasets else rows):
        if not isinstance(row, Mapping):
            raise InputError(f"row {number}: each row must be a dict, not {type(row).__name__}")
        yield Row(f"row {number}", dict(row))


def _read_datasets(rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    import pyarrow as pa
    from datasets.exceptions import DatasetsError

    number = 0
    try:
        for row in rows:
            yield row
            number += 1
    except (pa.ArrowException, DatasetsError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"row {number}: datasets cannot read it ({type(error).__name__}: {reason})") from error


def _line_rows(path: Path) -> Iterator[Row]:
    for number, data in numbered_json_lines(path):
        place = f"{path}:{number}"
        if isinstance(data, list):
            raise InputError(f"{place}: a JSON array; {ARRAY}")
        if not isinstance(data, dict):
            raise InputError(
                f"{place}: {type(data).__name__} instead of an object; "
                'each line must be one JSON object, {"prompt": …, "completion": …}'
            )
        yield Row(place, data)


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
        raise _broken_parquet(path, error) from error


def _broken_parquet(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: not a whole Parquet file ({str(error).splitlines()[0]}); write it again")


def _files(source: str, split: str) -> list[Path]:
    """The files that a path names; none if it can only be a hub id."""
    try:
        path = Path(source).expanduser()
        there, folder, regular = path.exists(), path.is_dir(), path.is_file()
    except (OSError, RuntimeError) as error:  # a name that is too long, or the home of a user who does not exist
        raise InputError(f"{source}: no such file ({error}); check the path") from error
    if folder:
        return _split_files(path, split)
    if regular:
        if not _kind(path):
            known = f"{', '.join(_TEXT)} (also {', '.join(COMPRESSED)}) and .parquet"
            raise InputError(f"{path}: unknown suffix '{path.suffix}'; rows are read from {known}")
        return [path]
    if there:
        raise InputError(f"{path}: not a regular file, and rows are read more than once; save them to a file first")
    if _kind(path) or not _HUB_ID.fullmatch(source):
        raise InputError(f"{source}: no such file; check the path")
    return []


def _split_files(folder: Path, split: str) -> list[Path]:
    found = [*(folder / f"{split}{suffix}" for suffix in SUFFIXES), *sorted(folder.glob(f"{split}-*"))]
    files = [file for file in found if _kind(file) and file.is_file()]
    if not files:
        held = ", ".join(sorted(file.name for file in folder.iterdir())[:8]) or "nothing"
        raise InputError(
            f"{folder}: no {split}.jsonl or {split}.parquet in this folder (it holds {held}); "
            "name a file or another split"
        )
    return files


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _count_in_file(path: Path) -> int:
    if _kind(path) in _DELIMITERS:  # a quoted value may hold line breaks
        return sum(1 for _ in _file_rows(path))
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return int(pq.read_metadata(path).num_rows)
        except (pa.ArrowException, OSError) as error:
            raise _broken_parquet(path, error) from error
    try:
        with open_bytes(path) as file:
            return sum(not line.isspace() for line in file)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _hub_builder(name: str) -> DatasetBuilder:
    import datasets

    repository, colon, config = name.partition(":")
    try:
        return datasets.load_dataset_builder(repository, config or None)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        hint = "check the path or id (name or name:config) and the connection"
        if colon:
            hint = did_you_mean(repository, SOURCES.names(), otherwise=hint)
        raise InputError(f"{name}: neither a file here nor a data set that can be loaded ({reason}); {hint}") from error


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
