"""The rows behind the examples of a pattern set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from headprint.base.errors import InputError
from headprint.data import Source, describe, fingerprint, read_rows, row_id

if TYPE_CHECKING:
    from headprint.patterns.pattern_set import Pattern, PatternSet

SOURCES = ("source", "dataset", "task")
"""Columns that say where a row comes from; the first that a row has counts."""


def rows_of(levels: PatternSet, source: Source, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Find the rows that some examples were extracted from.

    Args:
        levels: The pattern set; its provenance says which data it is of.
        source: That data. Only the rows asked for are held.
        ids: Examples, in the order wanted.

    Raises:
        InputError: The set was extracted from other data, or a row is missing.
    """
    _check_content(levels, source)
    rank = {name: place for place, name in enumerate(ids)}
    found: dict[int, dict[str, Any]] = {}
    for number, row in enumerate(read_rows(source, split=split_of(levels))):
        name = row_id(row, number)
        if name in rank:
            found[rank[name]] = row.data
    missing = [name for name, place in rank.items() if place not in found]
    if missing:
        raise InputError(
            f"{describe(source)} has no row with the id {missing[0]!r} ({len(missing)} of {len(rank)} are missing): "
            "give the data that the pool was extracted from"
        )
    return [found[place] for place in sorted(found)]


def text_of(row: Mapping[str, Any]) -> str:
    """Return all that a row says: its prompt and completion, its messages, or its text.

    Raises:
        InputError: It has none of them, such as a row of token ids.
    """
    parts = [row[name] for name in ("prompt", "completion", "messages", "text") if row.get(name)]
    if not parts:
        raise InputError(f"this method reads text, and a row has only {', '.join(row) or 'nothing'}: choose another")
    return "\n".join(part if isinstance(part, str) else _spoken(part) for part in parts)


def source_of(row: Mapping[str, Any]) -> str:
    """Return where a row of a pool comes from: its ``source``, ``dataset`` or ``task``.

    Raises:
        InputError: It does not say.
    """
    found = next((row[name] for name in SOURCES if row.get(name)), None)
    if found is None:
        raise InputError(f"a row of the pool does not say where it comes from: give every row a {SOURCES[0]!r}")
    return str(found)


def _spoken(messages: Sequence[Mapping[str, Any]]) -> str:
    """What was said, where a message has text."""
    return "\n".join(message["content"] for message in messages if isinstance(message.get("content"), str))


def split_of(levels: PatternSet | Pattern) -> str:
    """Return the split of a data set that a pattern set was extracted from."""
    return str(_data(levels).get("split") or "train")


def _data(levels: PatternSet | Pattern) -> dict[str, Any]:
    data = levels.provenance.get("data")
    return data if isinstance(data, dict) else {}


def _check_content(levels: PatternSet, source: Source) -> None:
    """Refuse other data, whose rows may have the same ids: a row without an id is called by its number."""
    data = _data(levels)
    named = isinstance(source, str | PathLike)
    # A file and the same rows in memory have different hashes.
    if "content" not in data or named == str(data.get("source")).endswith("in memory"):
        return
    if fingerprint(source, split=split_of(levels)) != data["content"]:
        raise InputError(
            f"{describe(source)} is not the data that the pool was extracted from ({data.get('source')}), or has "
            "changed since: give that data, or extract the pool again"
        )
