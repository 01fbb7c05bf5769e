"""One pattern or one change: an (L, H) matrix as a safetensors file with JSON metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from headprint.base.errors import InputError
from headprint.base.files import write_atomically
from headprint.base.options import PatternKind
from headprint.patterns.storage.manifest import FORMAT_VERSION, check_version

if TYPE_CHECKING:
    from headprint.base.shapes import HeadMatrix

METADATA_KEY = "headprint"


def save_pattern(path: str | Path, values: HeadMatrix, *, kind: PatternKind, provenance: dict[str, Any]) -> None:
    """Writes one (L, H) matrix as a safetensors file with JSON metadata.

    Raises:
        InputError: If the file cannot be written there.
    """
    header = {"format_version": FORMAT_VERSION, "kind": kind, "provenance": provenance}
    metadata = {METADATA_KEY: json.dumps(header, allow_nan=False)}
    data = to_safetensors({"values": np.ascontiguousarray(values)}, metadata)
    write_atomically(Path(path), data)


def load_pattern(path: str | Path) -> tuple[HeadMatrix, PatternKind, dict[str, Any]]:
    """Reads what :func:`save_pattern` wrote: values (L, H) float32, kind, provenance.

    Raises:
        InputError: If the file is missing, damaged, or not a pattern of headprint.
    """
    try:
        with safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {})[METADATA_KEY])
            check_version(path, header["format_version"])
            return file.get_tensor("values"), header["kind"], header["provenance"]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise InputError(
            f"{path} is not a pattern file of headprint, or it is damaged: give a file that Pattern.save wrote"
        ) from error
