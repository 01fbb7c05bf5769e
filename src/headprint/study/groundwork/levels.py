"""Levels and head gradients of rows to train on."""

from __future__ import annotations

from pathlib import Path

from headprint.study.groundwork.models import Model, load
from headprint.study.pipeline import Needs, stage


@stage(version=2, ignores={"batch_tokens"})
def levels(
    out: Path, needs: Needs, *, model: Model, sketch: int | None, limit: int | None, batch_tokens: int | None
) -> None:
    """Measure rows to train on, with the model or with what a training left.

    Writes ``set/``.
    """
    from headprint.measure.extraction import extract

    loaded, tokenizer = load(model, needs.get("start"))
    rows = needs["rows"] / "train.jsonl"
    extract(loaded, tokenizer, rows, out=out / "set", sketch=sketch, limit=limit, batch_tokens=batch_tokens)
