"""JSON has no NaN: what is no finite number becomes null."""

from __future__ import annotations

import math
from typing import Any


def finite(value: Any) -> Any:
    """The same plain types, with None for every float that is NaN or infinite."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
