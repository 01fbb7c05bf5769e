"""One pattern or one change: an (L, H) matrix as a safetensors file with JSON metadata and a checksum of both."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save as to_safetensors

from headprint.base.errors import InputError
from headprint.base.files import write_atomically
from headprint.base.options import PatternKind
from headprint.patterns.storage.manifest import FORMAT_VERSION, check_version

if TYPE_CHECKING:
    from headprint.base.shapes import HeadMatrix

METADATA_KEY = "headprint"
TENSOR = "values"


def save_pattern(path: str | Path, values: HeadMatrix, *, kind: PatternKind, provenance: dict[str, Any]) -> None:
    """Write one (L, H) matrix as a safetensors file with JSON metadata.

    Raises:
        InputError: The file cannot be written there.
    """
    values = np.ascontiguousarray(values, np.float32)
    # As it reads back from JSON, so that the checksum is of what a reader has.
    header = json.loads(_dumps({"format_version": FORMAT_VERSION, "kind": kind, "provenance": provenance}))
    metadata = {METADATA_KEY: _dumps({**header, "sha256": _checksum(header, values)})}
    write_atomically(path, to_safetensors({TENSOR: values}, metadata))


def load_pattern(path: str | Path) -> tuple[HeadMatrix, PatternKind, dict[str, Any]]:
    """Read what :func:`save_pattern` wrote: values (L, H) float32, kind, provenance.

    Raises:
        InputError: The file is missing, damaged, of another version, or not a pattern of headprint.
    """
    try:
        with safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {})[METADATA_KEY])
            version = header["format_version"]
            values = file.get_tensor(TENSOR) if version == FORMAT_VERSION else None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # safetensors lets many kinds through, depending on which bit is wrong
        raise InputError(
            f"{path} is not a pattern file of headprint, or it is damaged: give a file that Pattern.save wrote"
        ) from error
    check_version(path, version, again="save the pattern again, from its pattern set or the command that made it")
    if values is None or not _is_as_written(header, values):
        raise InputError(f"{path} is damaged: its content is not what was written; save the pattern again")
    return values, header["kind"], header["provenance"]


def _is_as_written(header: dict[str, Any], values: HeadMatrix) -> bool:
    sha256 = header.pop("sha256", None)
    if header.get("kind") not in get_args(PatternKind) or not isinstance(header.get("provenance"), dict):
        return False
    try:
        return values.dtype == np.float32 and values.ndim == 2 and bool(sha256 == _checksum(header, values))
    except (ValueError, RecursionError):  # NaN, or nested too deeply
        return False


def _checksum(header: dict[str, Any], values: HeadMatrix) -> str:
    """SHA-256 of the metadata, the shape and the numbers."""
    about = _dumps({**header, "shape": list(values.shape)})
    return hashlib.sha256(about.encode() + b"\0" + values.astype("<f4").tobytes()).hexdigest()


def _dumps(value: Any) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)
