"""Fine-tuning with the patterns of probes tracked along the way, and reading what it tracked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headprint.base.errors import InputError
from headprint.base.files import read_json_lines
from headprint.data import Source
from headprint.patterns.pattern import Pattern
from headprint.patterns.pattern_set import PatternSet
from headprint.study.groundwork.models import Model
from headprint.study.groundwork.settings import rows_a_step
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
    steps: int | None = None,
    task: str | None = None,
    track: str | int | list[int] | None = None,
) -> None:
    """Fine-tune a model, or what another training left; with probes, follow their patterns.

    With ``steps``, training is one pass over the rows in exactly so many steps, whatever ``sft`` says of its length.
    Writes ``model/``, ``trained.json`` and ``tracking/TASK/step-*/``.
    """
    from headprint.training.fine_tuning import train as fine_tune

    start = needs.get("start")
    path = needs["rows"] / "train.jsonl"
    rows: Source = str(path)
    if steps is not None:
        rows, length = one_pass(list(read_json_lines(path)), sft, steps)
        sft = {**sft, **length}
    tracking = None
    if "probe" in needs:
        probes = {task: str(needs["probe"] / "probe.jsonl")}
        tracking = {"probes": probes, "every": track, "batch_tokens": batch_tokens}
    fine_tune(
        str(start / "model") if start else model["model"],
        rows,
        out,
        sft={**sft, "seed": seed},
        lora=None if start else model["lora"],  # the training of an adapter goes on
        track=tracking,
        dtype=None if model["dtype"] == "auto" else model["dtype"],
        attn_implementation=model["attn_implementation"],
        trust_remote_code=model["trust_remote_code"],
    )


def one_pass(
    rows: Sequence[dict[str, Any]], sft: Mapping[str, Any], steps: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows, and fields of ``SFTConfig``, by which training takes each row once in exactly so many steps.

    Arms of equal tokens have different numbers of rows; the batch size is what makes their steps as many. Where no
    batch size does so exactly, the last rows are left out, or the first ones come again: fewer than half of the steps,
    so that it is next to nothing with several times as many rows as steps.

    Args:
        rows: In training order, with ids.
        sft: Fields of the training; ``per_device_train_batch_size`` bounds the rows that are in memory at once.
        steps: Optimizer steps.

    Raises:
        InputError: There are fewer rows than half of the steps.
    """
    if 2 * len(rows) < steps:
        raise InputError(
            f"{len(rows)} rows were chosen, too few for {steps} steps: choose more rows, or take fewer steps"
        )
    at_once = rows_a_step({**sft, "gradient_accumulation_steps": 1})
    parts = math.ceil(len(rows) / (steps * at_once))
    ways = []
    for size in {max(1, len(rows) // (steps * parts)), math.ceil(len(rows) / (steps * parts))}:
        most = steps * parts * size
        ways.append((min(max(len(rows), most - parts * size + 1), most), size))
    count, size = min(ways, key=lambda way: abs(way[0] - len(rows)))
    fields = {
        "per_device_train_batch_size": size,
        "gradient_accumulation_steps": parts,
        "num_train_epochs": 1,
        "max_steps": -1,
    }
    again = ({**rows[i % len(rows)], "id": f"{rows[i % len(rows)]['id']}, again"} for i in range(len(rows), count))
    return [*rows[:count], *again], fields


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
