"""Where a number comes from: what every pattern, set and run carries with it."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("headprint", "torch", "transformers", "tokenizers", "datasets")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide the numbers."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        if (known := _version(name)) is not None:
            found[name] = known
    return found


@cache  # it reads a file
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # such as headprint itself, run from a bare source tree
        return None


def processor() -> str:
    """Return the processor's name and its number of cores, as far as the system says."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({len(names)} cores)" if names else platform.processor() or platform.machine()


def collect(settings: dict[str, Any], **described: dict[str, Any]) -> dict[str, Any]:
    """Return settings with more facts about what they name, and versions.

    Args:
        settings: All that decides the numbers (JSON-able).
        described: Facts to add to entries of ``settings`` that are mappings, such as ``model``.
    """
    merged = {name: {**facts, **settings.get(name, {})} for name, facts in described.items()}
    return {**settings, **merged, "versions": versions()}
