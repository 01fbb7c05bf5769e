"""Pattern sets that are made on the way to something else: where they stay, and which settings they share."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from headprint.base.options import ExtractOptions, MeasureOptions, described
from headprint.data import Source, rows
from headprint.patterns import PatternSet

_SHARED = (*described(MeasureOptions), "max_length", "overlong", "loss_on")


def cache_folder(cache: str | Path, source: Source, options: ExtractOptions, weights: str, *, name: str = "") -> Path:
    """Where the pattern set of some rows is in a cache: the same folder for equal rows, weights and settings.

    Args:
        cache: The folder of all.
        source: The rows.
        options: How they are measured.
        weights: :func:`headprint.models.fingerprint` of the model.
        name: What the folder's name begins with; by default the name of the file.
    """
    decided = {**options.settings(), "weights": weights, "attn_implementation": options.attn_implementation}
    key = json.dumps([decided, rows.fingerprint(source, split=options.split)], sort_keys=True)
    name = name or (Path(source).stem if isinstance(source, str | os.PathLike) else "rows")
    return Path(cache) / f"{name.replace(':', '-')}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def settings_like(levels: PatternSet) -> dict[str, Any]:
    """The settings that rows share with a pattern set that they are compared with."""
    return {name: levels.provenance[name] for name in _SHARED if name in levels.provenance}
