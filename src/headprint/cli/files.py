"""Files that more than one command reads or writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headprint.base.errors import InputError

if TYPE_CHECKING:
    from headprint.patterns.pattern_set import PatternSet


def load_set(path: Path) -> PatternSet:
    """The pattern set in a directory.

    Raises:
        InputError: There is none, or it is one pattern, which has no examples.
    """
    from headprint.patterns.pattern_set import PatternSet, load

    found = load(path)
    if not isinstance(found, PatternSet):
        raise InputError(f"{path} is a single pattern, and its examples are wanted: give the pattern set's directory")
    return found


def check_destination(path: Path | None) -> None:
    """Refuse a file in a directory that does not exist, before a model has worked for an hour.

    Raises:
        InputError: There is no such directory.
    """
    if path is not None and not path.parent.is_dir():
        raise InputError(f"{path.parent} is not a directory: make it, or choose another place for {path.name}")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write one JSON object atomically; every number in it is finite.

    Raises:
        InputError: If it cannot be written there.
    """
    from headprint.base.files import write_atomically

    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())
