"""Files: written whole or not at all, JSON without NaN, JSON Lines, and errors that name the place.

Every other module reads and writes JSON through these functions.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from headprint.base.errors import InputError

if TYPE_CHECKING:
    from typing_extensions import Buffer

ARRAY = "one object a line is needed, which jq -c '.[]' rows.json > rows.jsonl makes of an array"
"""What to do with a JSON array where JSON Lines are read."""


TEMPORARY_NAME = re.compile(r"\..+\.\d+\.tmp")
"""Names of the files that :func:`write_atomically` writes to, which a killed process leaves behind."""


def write_atomically(path: str | Path, data: Buffer) -> None:
    """Write beside the destination, flush to disk, and rename.

    Raises:
        InputError: The disk is full or not writable; what was there before stays.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _flush_directory(path.parent)
    except OSError as error:
        raise InputError(
            f"cannot write {path.name} to {path.parent}: {error.strerror or error}; what was "
            "finished before is kept: fix that and run the same command again"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def make_directory(path: str | Path) -> Path:
    """Make a directory, and those above it, unless it is there.

    Raises:
        InputError: The disk is full or not writable, or a file has the name.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the directory {path}: {error.strerror or error}") from error
    return path


def _flush_directory(directory: Path) -> None:
    """See to it that a new name survives a power cut, as far as the file system can."""
    if os.name != "posix":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot flush a directory
            raise
    finally:
        os.close(handle)


def remove_temporaries(directory: Path, *, recursive: bool = False) -> None:
    """Remove what killed processes left of files that they were writing.

    Args:
        directory: Where nobody else writes now.
        recursive: Also in the directories within.
    """
    for path in directory.rglob(".*.tmp") if recursive else directory.glob(".*.tmp"):
        if TEMPORARY_NAME.fullmatch(path.name):
            path.unlink(missing_ok=True)


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Return plain types and NumPy's as JSON text; NaN and infinity, which JSON lacks, become null."""
    return json.dumps(without_nan(value), indent=indent, ensure_ascii=False, allow_nan=False)


def without_nan(value: Any) -> Any:
    """Return the same plain types, with None for every float that is NaN or infinite."""
    if isinstance(value, Mapping):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers
        return without_nan(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def encode_json(text: str) -> bytes:
    """Encode JSON as UTF-8; half of a surrogate pair, as in a file name that is not UTF-8, becomes its JSON escape."""
    return text.encode("utf-8", "backslashreplace")


def write_json(path: str | Path, value: Any, *, indent: int | None = 1) -> None:
    """Write one JSON file, whole or not at all.

    Raises:
        InputError: As :func:`write_atomically`.
    """
    write_atomically(path, encode_json(f"{to_json(value, indent=indent)}\n"))


def write_json_lines(path: str | Path, rows: Iterable[Any]) -> None:
    """Write one JSON value a line, whole or not at all.

    Raises:
        InputError: As :func:`write_atomically`.
    """
    write_atomically(path, encode_json("".join(f"{to_json(row)}\n" for row in rows)))


def read_json(path: str | Path) -> Any:
    """Read one JSON file.

    Raises:
        InputError: It is missing, not readable, or not JSON; with the line.
    """
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: broken JSON ({error.msg} at column {error.colno})") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, an integer of thousands of digits, or nested too deeply
        raise InputError(f"{path}: not JSON that can be read ({error})") from error


COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
"""Suffixes of files that :func:`open_bytes` decompresses."""


def open_bytes(path: str | Path) -> BinaryIO:
    """Open a file to be read, decompressed if its name ends in ``.gz`` or ``.zst``.

    Raises:
        OSError: It is missing or not readable; while reading, also: the compressed data are damaged.
    """
    if (kind := COMPRESSED.get(Path(path).suffix)) is None:
        return Path(path).open("rb")
    import pyarrow as pa

    return io.BufferedReader(pa.input_stream(os.fspath(path), compression=kind))


def read_json_lines(path: str | Path) -> Iterator[Any]:
    """Yield the values of a file that holds one JSON value a line.

    Raises:
        InputError: As :func:`numbered_json_lines`.
    """
    return (value for _, value in numbered_json_lines(path))


def numbered_json_lines(path: str | Path) -> Iterator[tuple[int, Any]]:
    """Yield each line's number, from 1 as editors count, and its JSON value; blank lines are skipped.

    Only ``\\n`` ends a line (https://jsonlines.org): text may hold U+2028 or U+0085, where ``str.splitlines`` would
    tear it apart.

    Raises:
        InputError: The file is missing or not readable, or a line is not JSON; with the line.
    """
    try:
        with open_bytes(path) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _parse_line(line, f"{path}:{number}")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _parse_line(line: bytes, place: str) -> Any:
    try:
        return json.loads(line.rstrip())  # or else what ends too early is said to be broken in the next line
    except json.JSONDecodeError as error:
        if line.lstrip().startswith(b"["):
            raise InputError(f"{place}: a JSON array over several lines; {ARRAY}") from error
        reason = f"{error.msg} at column {error.colno}"
        raise InputError(f"{place}: broken JSON ({reason}); each line must be one whole JSON value") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{place}: not UTF-8 ({error.reason}); save the file as UTF-8") from error
    except RecursionError as error:
        raise InputError(f"{place}: JSON that is nested too deeply to read; flatten it") from error
    except ValueError as error:  # Python refuses to convert an integer of thousands of digits
        raise InputError(f"{place}: a number is too long to read ({error}); write it as a string") from error
