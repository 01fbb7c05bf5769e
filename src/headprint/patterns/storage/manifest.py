"""The manifest of a pattern set: what decides its numbers, where they come from, what is done.

``manifest.json`` holds format, format_version, layers, heads, directions, mlp_directions, settings, provenance,
complete and, once the set is complete, shards (a list of file, rows and sha256) and report. What is read is checked
throughout: whoever has a :data:`Manifest` can rely on its types, and the names of its files lead nowhere but to shards
beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headprint.base.errors import InputError
from headprint.base.files import encode_json, read_json, write_atomically
from headprint.base.options import Block
from headprint.base.settings import canonical
from headprint.patterns.storage.shard_file import DamagedShard, read_footer, shard_index, shard_name
from headprint.patterns.storage.shards import Layout

FORMAT = "headprint pattern set"
FORMAT_VERSION = 2
MANIFEST = "manifest.json"

_MOST = 1 << 24
"""Layers, heads, and examples of a shard: more is damage, and would exhaust the memory before it is noticed."""

_FIX = "restore the manifest from a copy, or remove the directory and extract again"

_SHAPE = ("layers", "heads", "directions", "mlp_directions")

Manifest = dict[str, Any]


def new_manifest(
    *, layers: int, heads: int, layout: Layout, settings: dict[str, Any], provenance: dict[str, Any]
) -> Manifest:
    """Make the manifest of a set that has nothing yet."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "layers": layers,
        "heads": heads,
        "directions": layout.get("heads", (0,))[-1],
        "mlp_directions": layout.get("mlp", (0,))[-1],
        "settings": json.loads(canonical(settings)),
        "provenance": json.loads(canonical(provenance)),
        "complete": False,
        "shards": [],
        "report": {},
    }


def layout_of(manifest: Manifest) -> dict[Block, tuple[int, ...]]:
    """Return the shape of an example's sketches."""
    layers, heads, directions, mlp_directions = (manifest[name] for name in _SHAPE)
    whole: dict[Block, tuple[int, ...]] = {"heads": (layers, heads, directions), "mlp": (layers, mlp_directions)}
    return {block: shape for block, shape in whole.items() if shape[-1]}


def holds_manifest(directory: Path) -> bool:
    """Return whether a pattern set is there, or was begun there."""
    return (directory / MANIFEST).is_file()


def read_manifest(directory: Path) -> Manifest:
    """Read the manifest of a pattern set.

    Raises:
        InputError: There is none, or it is foreign, damaged, or of another version.
    """
    if not directory.is_dir():
        raise InputError(f"there is no directory {directory}")
    if not holds_manifest(directory):
        raise InputError(f"{directory} is not a pattern set: it has no {MANIFEST}")
    path = directory / MANIFEST
    try:
        manifest = read_json(path)
    except InputError as error:
        raise InputError(f"{error}: the manifest is damaged; {_FIX}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError(f"{path} is not a pattern set's manifest: give another directory")
    check_version(path, manifest.get("format_version"), again="remove the directory and extract again")
    if problem := _problem(manifest):
        raise InputError(f"{path} is damaged ({problem}); {_FIX}")
    return manifest


def shards_on_disk(directory: Path, manifest: Manifest) -> dict[int, dict[str, Any]]:
    """Find the shards that are whole and in place: index -> file, rows and sha256."""
    settings = settings_hash(manifest)
    shards = {}
    for path in directory.iterdir():
        index = shard_index(path.name)
        if index is not None:
            try:
                footer = read_footer(path, index=index, settings=settings)
            except DamagedShard:
                continue
            shards[index] = {"file": path.name, "rows": footer.rows, "sha256": footer.digest}
    return dict(sorted(shards.items()))


def decisive(manifest: Manifest) -> dict[str, Any]:
    """Return all that decides a set's numbers, as one mapping."""
    return {**manifest["settings"], **{name: manifest[name] for name in _SHAPE}}


def settings_hash(manifest: Manifest) -> str:
    """Return the SHA-256 of what decides a set's numbers; every shard carries it."""
    return hashlib.sha256(encode_json(canonical(decisive(manifest)))).hexdigest()


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Put the manifest in its place, whole or not at all."""
    write_atomically(directory / MANIFEST, to_bytes(manifest))


def to_bytes(manifest: Manifest) -> bytes:
    """Return the content of ``manifest.json``."""
    return encode_json(f"{json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)}\n")


def check_version(path: str | Path, version: Any, *, again: str) -> None:
    """Refuse what another version of headprint wrote.

    Args:
        path: The file, for the message.
        version: As found there.
        again: How to make it again, for the message.
    """
    if version == FORMAT_VERSION and isinstance(version, int):
        return
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise InputError(f"{path} was written by a newer headprint (format {version}): upgrade to read it")
    raise InputError(f"{path} is of an older format ({version!r}; this headprint reads {FORMAT_VERSION}): {again}")


def _problem(manifest: Mapping[str, Any]) -> str | None:
    """What is wrong with a manifest of this version, if anything."""
    kinds = {"settings": dict, "provenance": dict, "report": dict, "shards": list, "complete": bool}
    for name, kind in kinds.items():
        if not isinstance(manifest.get(name), kind):
            return f"{name} is missing or of another type"
    for name in _SHAPE:
        if not _is_count(manifest.get(name)):
            return f"{name} is {manifest.get(name)!r}"
    for index, shard in enumerate(manifest["shards"]):
        if not isinstance(shard, dict) or shard.get("file") != shard_name(index):
            return f"the name of shard {index} is not {shard_name(index)}"
        if not _is_count(shard.get("rows")) or not isinstance(shard.get("sha256"), str):
            return f"rows or sha256 of shard {index}"
    try:
        canonical(manifest)
    except (ValueError, RecursionError) as error:  # NaN, or nested too deeply
        return str(error)
    return None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
