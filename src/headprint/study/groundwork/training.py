"""Fine-tuning with the patterns of probes tracked along the way, and reading what it tracked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headprint.base.errors import InputError
from headprint.patterns.pattern import Pattern
from headprint.patterns.pattern_set import PatternSet
from headprint.study.groundwork.models import Model
from headprint.study.pipeline import Needs, stage
from headprint.study.records import Matrix

if TYPE_CHECKING:
    from headprint.analysis.bootstrap import Bootstrap


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse fields that TRL or PEFT would refuse.

    Raises:
        InputError: A field does not exist or has a wrong value: which.
    """
    from headprint.training.sft_config import lora_config, resolve, sft_config

    sft_config(resolve(settings["sft"]), Path())
    if settings["model"]["lora"] is not None:
        lora_config(settings["model"]["lora"])


@stage(version=1, ignores={"batch_tokens"}, check=check_settings)
def train(
    out: Path,
    needs: Needs,
    *,
    model: Model,
    sft: dict[str, Any],
    seed: int,
    batch_tokens: int | None,
    task: str | None = None,
    track: str | int | list[int] | None = None,
) -> None:
    """Fine-tune a model, or what another training left; with probes, follow their patterns.

    Writes ``model/``, ``trained.json`` and ``tracking/TASK/step-*/``.
    """
    from headprint.training.fine_tuning import train as fine_tune

    start = needs.get("start")
    tracking = None
    if "probe" in needs:
        probes = {task: str(needs["probe"] / "probe.jsonl")}
        tracking = {"probes": probes, "every": track, "batch_tokens": batch_tokens}
    fine_tune(
        str(start / "model") if start else model["model"],
        str(needs["rows"] / "train.jsonl"),
        out,
        sft={**sft, "seed": seed},
        lora=None if start else model["lora"],  # the training of an adapter goes on
        track=tracking,
        dtype=None if model["dtype"] == "auto" else model["dtype"],
        attn_implementation=model["attn_implementation"],
        trust_remote_code=model["trust_remote_code"],
    )


def tracked(training: Path) -> dict[int, PatternSet]:
    """The pattern sets that a training left, by step.

    Raises:
        InputError: There are fewer than two.
    """
    found = sorted(training.glob("tracking/*/step-*"))
    if len(found) < 2:
        raise InputError(f"{training}: the training left {len(found)} pattern sets, and 2 are needed: train for longer")
    return {int(path.name.removeprefix("step-")): PatternSet.load(path) for path in found}


def before_and_after(training: Path) -> tuple[PatternSet, PatternSet]:
    """The probes' patterns before the first step of a training and after its last."""
    sets = list(tracked(training).values())
    return sets[0], sets[-1]


def matrix(pattern: Pattern) -> Matrix:
    """A pattern in five digits; None where there is no head."""
    return [[float(f"{x:.5g}") if np.isfinite(x) else None for x in row] for row in pattern.values.tolist()]


def bootstrap(seed: int, draws: int) -> Bootstrap:
    """The bootstrap over probes that every exhibit uses."""
    from headprint.analysis.bootstrap import Bootstrap

    return Bootstrap(draws=draws, seed=seed)
