"""A study of the laboratory that takes seconds: its config, and changes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from headprint.study.config import StudyConfig, parse

TINY: dict[str, Any] = {
    "name": "tiny",
    "models": {"lab": {"model": "lab", "dtype": "float32"}},
    "tasks": {
        "math": {"data": "lab:math", "scorer": "lab"},
        "code": {"data": "lab:code", "scorer": "lab"},
        "arith": {"data": "lab:arith", "scorer": "lab"},
        "math_code": {
            "kind": "complex", "data": "lab:math_code", "train": 32, "scorer": "lab", "parts": ["math", "code"],
        },
    },
    "sizes": {"train": 64, "reserve": 80, "probe": 8, "test": 8},
    "sft": {"learning_rate": 5e-4, "per_device_train_batch_size": 8, "max_steps": 4, "logging_steps": 1},
    "fits": {"draws": 20, "permutations": 20, "readings": ["change", "rate", "gradient"]},
    "mixtures": {"targets": ["math_code"], "rows": 40, "arms": ["mixture", "gradients"]},
    "selections": {
        "targets": ["math_code"], "pool": {"data": "lab:pool"}, "pool_rows": 100, "rows": 4,
        "methods": ["random", "raw-cosine", "head-gradient"],
    },
    "ablations": {"tasks": ["math"], "ks": [1], "modes": ["zero"], "random": 2, "rows": 4},
    "max_new_tokens": 8,
}  # fmt: skip

EVIDENCE: dict[str, Any] = {
    "targets": ["math_code"],
    "pool": {"data": "lab:pool"},
    "query": 8,
    "calibration": {},
    "transfer": {"methods": ["random"]},
    "mixtures": {"methods": ["random"]},
    "surface": {"targets": ["math_code"]},
    "selecting": {"methods": ["random"]},
}
"""The section ``evidence`` with every experiment; the tiny study is run without it."""


def tiny(**changes: Any) -> StudyConfig:
    """The tiny study, with other values for some fields."""
    return replace(parse(TINY), **changes)


def changed(path: str, value: Any) -> dict[str, Any]:
    """The tiny config with one field set, or left out if the value is ``...``."""
    content = json.loads(json.dumps(TINY | ({"evidence": EVIDENCE} if path.startswith("evidence.") else {})))
    *places, last = path.split(".")
    part = content
    for place in places:
        part = part.setdefault(place, {})
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return content
