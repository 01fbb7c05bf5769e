"""The models of a study: what each one is, and how a job loads one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from headprint.base.files import write_json
from headprint.study.groundwork.settings import ModelConfig
from headprint.study.pipeline import Needs, stage

Model: TypeAlias = Mapping[str, Any]
"""A model among a job's settings, by :func:`settings_of`."""


def settings_of(model: ModelConfig) -> dict[str, Any]:
    """What a job needs to load a model, and what tells one state of its directory from another."""
    loading = {field: value for field, value in asdict(model).items() if field != "sft"}
    return {**loading, "files": _files(model.model)}


def _files(model: str) -> list[list[str | int]] | None:
    """Names, sizes and dates of the files of a model's directory; None for a hub id and for a built-in model."""
    directory = Path(model).expanduser()
    if not directory.is_dir():
        return None
    found = ((path.name, path.stat()) for path in sorted(directory.iterdir()) if path.is_file())
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in found]


def load(model: Model, start: Path | None = None) -> tuple[Any, Any]:
    """Load a model and its tokenizer.

    Args:
        model: Among a job's settings.
        start: The folder of a training, whose outcome is loaded instead.
    """
    from headprint.models import load_model

    return load_model(
        str(start / "model") if start else model["model"],
        dtype=model["dtype"],
        attn_implementation=model["attn_implementation"],
        trust_remote_code=model["trust_remote_code"],
    )


@stage(version=1)
def model(out: Path, needs: Needs, *, model: Model) -> None:
    """Describe a model, and refuse one whose heads cannot be measured before anything is trained.

    Writes ``model.json``.
    """
    from headprint import models
    from headprint.models.heads import locate

    loaded, _ = load(model)
    heads = locate(loaded)
    described = {
        "id": model["model"],
        "layers": heads.layers,
        "heads": heads.heads,
        "parameters": sum(parameter.numel() for parameter in loaded.parameters()),
        "kernel": models.kernel(loaded),
        "fingerprint": models.fingerprint(loaded),
        "device": str(models.input_device(loaded)),
    }
    write_json(out / "model.json", described)
