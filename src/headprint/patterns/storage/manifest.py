"""The manifest of a pattern set: what decides its numbers, where they come from, what is done.

``manifest.json`` holds format, format_version, layers, heads, settings, provenance, complete and,
once the set is complete, shards (a list of file and rows) and report.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from headprint.base.errors import InputError
from headprint.base.files import to_json, write_atomically
from headprint.base.settings import canonical
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
        "settings": json.loads(canonical(settings)),
        "provenance": json.loads(canonical(provenance)),
        "complete": False,
        "shards": [],
        "report": {},
    }


def holds_manifest(directory: Path) -> bool:
    """Whether a pattern set is there, or was begun there."""
    return (directory / MANIFEST).is_file()


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a pattern set.

    Raises:
        InputError: There is none, or it is foreign, damaged or too new.
    """
    if not directory.is_dir():
        raise InputError(f"there is no directory {directory}")
    path = directory / MANIFEST
    manifest: Manifest = {}
    try:
        manifest = json.loads(path.read_text("utf-8"))
        ours = manifest["format"] == PATTERN_SET
    except FileNotFoundError:
        raise InputError(f"{directory} is not a pattern set: it has no {MANIFEST}") from None
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


def decisive(manifest: Manifest) -> dict[str, Any]:
    """All that decides a set's numbers, as one mapping."""
    return {**manifest["settings"], "layers": manifest["layers"], "heads": manifest["heads"]}


def settings_hash(manifest: Manifest) -> str:
    """SHA-256 of what decides a set's numbers; every shard carries it."""
    return hashlib.sha256(canonical(decisive(manifest)).encode()).hexdigest()


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Put the manifest in its place, whole or not at all."""
    write_atomically(directory / MANIFEST, to_bytes(manifest))


def to_bytes(manifest: Manifest) -> bytes:
    """The content of ``manifest.json``."""
    return f"{to_json(manifest, indent=2)}\n".encode()


def check_version(path: str | Path, version: int) -> None:
    """Refuses what a newer headprint wrote."""
    if version > FORMAT_VERSION:
        raise InputError(f"{path} was written by a newer headprint (format {version}): upgrade to read it")
