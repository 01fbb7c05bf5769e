"""Settings that decide a result: their canonical JSON, and where two of them differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def canonical(value: Any) -> str:
    """Return JSON that is the same for equal settings: keys sorted, no NaN.

    Raises:
        ValueError: A number is not finite.
    """
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


def differences(there: Mapping[str, Any], here: Mapping[str, Any], *, so_far: bool = False) -> list[str]:
    """Return a phrase for each setting that differs, such as ``sft.seed is 0 there and 1 here``.

    Args:
        there: Nested settings of what was begun.
        here: Nested settings of what is asked for.
        so_far: What ``here`` lacks is not known yet, rather than not set.
    """
    old, new = dict(leaves(there)), dict(leaves(here))
    return [
        f"{name} is {old.get(name, 'not set')} there and {new.get(name, 'not set')} here"
        for name in sorted(new.keys() if so_far else old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested settings as pairs of dotted name and JSON."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, canonical(value)
