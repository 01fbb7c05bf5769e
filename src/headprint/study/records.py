"""The types of ``results.json``: frozen dataclasses that pydantic checks as they are made and as they are read."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from headprint.base.errors import InputError

Record = TypeVar("Record")

Matrix: TypeAlias = list[list[float | None]]
"""Layers × heads, or tasks × tasks; None where there is no number."""

STRICT = ConfigDict(extra="forbid", validate_by_name=True, validate_by_alias=True)
"""An unknown field is an error: a renamed one never drops out of a reader's sight."""


def parsed(kind: type[Record], content: Any, where: str) -> Record:
    """Read a record from plain types.

    Args:
        kind: A pydantic dataclass.
        content: Plain types, such as JSON gives.
        where: File or exhibit, for the message.

    Raises:
        InputError: A field is missing, unknown or of another type: which.
    """
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{where}: {place}: {first['msg'][:1].lower()}{first['msg'][1:]}") from error


def plain(record: Any) -> Any:
    """A record as the plain types that :func:`parsed` reads back."""
    return TypeAdapter(type(record)).dump_python(record, mode="json", by_alias=True)
