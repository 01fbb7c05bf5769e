"""The shape of ``results.json``: its keys, their types, and the numbers that every processor agrees on.

After a change that is meant, write it anew from a run of the tiny study::

    PYTHONPATH=tests python -m support.golden RESULTS.json > tests/study/golden/tiny.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

COUNTS = {
    "n", "seed", "seeds", "train_rows", "steps", "rows_seen", "k", "draws", "size", "heads", "layers", "parameters",
    "train", "probe", "test", "missing",
}  # fmt: skip
FREE = {"config", "options", "versions", "share", "counts", "penalty", "discovery", "findings", "falls", "warnings"}
"""Whose keys belong to somebody else, or hang on numbers that differ between processors."""


def golden(content: dict[str, Any]) -> dict[str, Any]:
    """What a results file is compared by."""
    return {"schema": schema(content), "counts": counts(content)}


def schema(value: Any) -> list[Any]:
    """The types of a value: texts, and a mapping of keys to types, or a list of the types of all items together."""
    if isinstance(value, dict):
        return [{key: ["anything"] if key in FREE else schema(inner) for key, inner in sorted(value.items())}]
    if isinstance(value, list):
        items: list[Any] = []
        for item in value:
            items = either(items, schema(item))
        return [items]
    if isinstance(value, bool) or value is None:
        return [type(value).__name__]
    return ["number" if isinstance(value, int | float) else "text"]


def either(some: list[Any], more: list[Any]) -> list[Any]:
    """Types of the one or the other; a mapping has the keys of both, and may lack those that one of them lacks."""
    found = list(some)
    for new in more:
        same = next((i for i, each in enumerate(found) if type(each) is type(new) and not isinstance(new, str)), None)
        if same is None:
            found += [] if new in found else [new]
        elif isinstance(new, list):
            found[same] = either(found[same], new)
        else:
            keys = sorted({*found[same], *new})
            found[same] = {key: either(found[same].get(key, ["absent"]), new.get(key, ["absent"])) for key in keys}
    return sorted(found, key=json.dumps)


def counts(value: Any, place: str = "") -> dict[str, Any]:
    """The numbers that say how many, by their place."""
    found = {}
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        where = f"{place}.{key}" if place else str(key)
        if key in FREE:
            continue
        numbers = inner if isinstance(inner, list) else [inner]
        if key in COUNTS and numbers and all(isinstance(number, int) for number in numbers):
            found[where] = inner
        else:
            found |= counts(inner, where)
    return found


if __name__ == "__main__":
    print(json.dumps(golden(json.loads(Path(sys.argv[1]).read_text("utf-8"))), indent=1, ensure_ascii=False))
