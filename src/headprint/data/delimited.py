"""Rows of CSV and TSV files: the first line names the columns, and every value is text."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from headprint.base.errors import InputError
from headprint.base.files import open_bytes

_LONGEST_FIELD = 2**31 - 1  # characters; Python's own limit of 131,072 is less than a long document


def delimited_rows(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line that each row begins on, from 1 as editors count, and its values by column.

    Args:
        path: A file with quoted values as RFC 4180 has them, which may hold line breaks; blank lines are skipped.
        delimiter: What separates the values.

    Raises:
        InputError: The file cannot be read, a column has no name or that of another, or a row has another number of
            values than there are columns, as after a quote that is not closed; with the line.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    begins = 1
    try:
        with open_bytes(path) as file:
            lines = csv.reader(io.TextIOWrapper(file, "utf-8-sig", newline=""), delimiter=delimiter, strict=True)
            columns: list[str] = []
            for values in lines:
                if not columns:
                    columns = _columns(values, f"{path}:{begins}")
                elif values and len(values) != len(columns):
                    raise InputError(
                        f"{path}:{begins}: {len(values)} values, and the first line names {len(columns)} columns "
                        f"({', '.join(columns)}); put a value that holds a {delimiter!r} in double quotes"
                    )
                elif values:
                    yield begins, dict(zip(columns, values, strict=True))
                begins = lines.line_num + 1
    except csv.Error as error:
        fix = 'close each double quote, and write one inside a value as ""'
        raise InputError(f"{path}:{begins}: broken quotes ({error}); {fix}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 after line {begins - 1} ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _columns(names: list[str], place: str) -> list[str]:
    for name, count in Counter(names).items():
        if count > 1 or not name:
            what = f"the column {name!r} is there {count} times" if name else "a column has no name"
            raise InputError(f"{place}: {what}; the first line gives each column a name of its own")
    return names
