"""The manifest of a pattern set: what decides its numbers, where they come from, what is done.

``manifest.json`` holds format, format_version, layers, heads, settings, provenance, complete and,
once the set is complete, shards (a list of file and rows) and report.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headprint.base.errors import InputError
from headprint.base.files import write_atomically
from headprint.patterns.storage.shards import rows_of_shard

PATTERN_SET = "headprint pattern set"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
SHARD_NAME = re.compile(r"part-(\d{5,})\.parquet")

Manifest = dict[str, Any]


def new_manifest(*, layers: int, heads: int, settings: dict[str, Any], provenance: dict[str, Any]) -> Manifest:
    """The manifest of a set that has nothing yet."""
    return {
        "format": PATTERN_SET,
        "format_version": FORMAT_VERSION,
        "layers": layers,
        "heads": heads,
        "settings": json.loads(_canonical(settings)),
        "provenance": json.loads(_canonical(provenance)),
        "complete": False,
        "shards": [],
        "report": {},
    }


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest of a pattern set, or None where there is none.

    Raises:
        InputError: If the directory is missing, or the manifest is foreign, damaged or too new.
    """
    if not directory.is_dir():
        raise InputError(f"there is no directory {directory}")
    path = directory / MANIFEST
    manifest: Manifest = {}
    try:
        manifest = json.loads(path.read_text("utf-8"))
        ours = manifest["format"] == PATTERN_SET
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise InputError(f"{path} is not a pattern set's manifest, or it is damaged: give another directory")
    check_version(path, manifest["format_version"])
    return manifest


def shards_on_disk(directory: Path, manifest: Manifest) -> dict[int, dict[str, Any]]:
    """The shards that are whole and were made with these settings: index -> file and rows."""
    stamp = settings_hash(manifest)
    shards = {}
    for path in directory.iterdir():
        match = SHARD_NAME.fullmatch(path.name)
        rows = rows_of_shard(path, stamp) if match else None
        if match and rows is not None:
            shards[int(match[1])] = {"file": path.name, "rows": rows}
    return dict(sorted(shards.items()))


def settings_hash(manifest: Manifest) -> str:
    """SHA-256 of what decides a set's numbers; every shard carries it."""
    decisive = {key: manifest[key] for key in ("layers", "heads", "settings")}
    return hashlib.sha256(_canonical(decisive).encode()).hexdigest()


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Puts the manifest in its place, whole or not at all."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(directory / MANIFEST, text.encode())


def check_version(path: str | Path, version: int) -> None:
    """Refuses what a newer headprint wrote."""
    if version > FORMAT_VERSION:
        raise InputError(f"{path} was written by a newer headprint (format {version}): upgrade to read it")


def check_same(directory: Path, found: Manifest, wanted: Manifest, *, so_far: bool = False) -> None:
    """Refuses to go on under other settings, naming each that differs.

    Args:
        directory: The set's, for the message.
        found: Its manifest.
        wanted: A manifest, or its ``settings`` alone.
        so_far: What ``wanted`` lacks is not known yet, rather than not set.
    """
    decisive = ("layers", "heads", "settings")
    there, here = (dict(_leaves({key: m[key] for key in decisive if key in m})) for m in (found, wanted))
    differing = [
        f"{name.removeprefix('settings.')} is {there.get(name, 'not set')} there and {here.get(name, 'not set')} here"
        for name in sorted(here.keys() if so_far else there.keys() | here.keys())
        if there.get(name) != here.get(name)
    ]
    if differing:
        raise InputError(
            f"{directory} was begun with other settings: {'; '.join(differing)}. "
            "Choose another directory (--out), or start anew there (--overwrite)"
        )


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as pairs of dotted name and JSON."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else key)
    else:
        yield name, _canonical(value)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
