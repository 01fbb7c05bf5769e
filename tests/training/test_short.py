"""The lean training loop against TRL's trainer, and batches of equal tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from headprint import lab, load_model, train
from headprint.base.errors import InputError
from headprint.data import read_rows
from headprint.measure.likelihood import examples_of
from headprint.training.short import Weights, in_steps
from headprint.training.short import train as train_lean

ROWS = lab.task_rows("coref", n=4)


def test_the_loop_trains_as_trl_does(tmp_path: Path) -> None:
    model, tokenizer = load_model("lab", dtype="float32")
    start = {name: value.clone() for name, value in model.state_dict().items()}
    sft = {
        "learning_rate": 1e-3, "per_device_train_batch_size": len(ROWS), "max_steps": 10, "warmup_steps": 1,
        "lr_scheduler_type": "linear",
    }  # fmt: skip
    theirs = train("lab", ROWS, tmp_path / "run", sft=sft).model
    model.requires_grad_(True)
    examples = examples_of(list(read_rows(ROWS)), tokenizer)

    train_lean(model, [examples] * 10, rate=1e-3, warmup=0.1)

    moved = 0.0
    for name, value in theirs.state_dict().items():
        step = (value - start[name]).abs().max()
        moved = max(moved, float(step))
        torch.testing.assert_close(model.state_dict()[name], value, atol=2e-2 * float(step) + 1e-7, rtol=0)
    assert moved > 1e-3


def test_every_step_has_as_many_tokens() -> None:
    _, tokenizer = load_model("lab", dtype="float32")
    examples = examples_of(list(read_rows(lab.task_rows("math", n=30))), tokenizer)
    longest = max(example.supervised for example in examples)

    batches = in_steps(examples, 2000, 10, seed=0)

    sizes = [sum(example.supervised for example in batch) for batch in batches]
    assert len(batches) == 10
    assert all(abs(size - 200) <= longest for size in sizes)
    assert abs(sum(sizes) - 2000) <= longest
    seen = [example.id for batch in batches for example in batch]
    assert len(set(seen[: len(examples)])) == len(examples)  # a whole pass before any row comes again
    assert seen != [example.id for batch in in_steps(examples, 2000, 10, seed=1) for example in batch]


def test_more_steps_than_rows_are_refused() -> None:
    _, tokenizer = load_model("lab", dtype="float32")
    examples = examples_of(list(read_rows(ROWS)), tokenizer)

    with pytest.raises(InputError, match="leave a step without a row"):
        in_steps(examples, 30, 20, seed=0)


def test_weights_are_set_back() -> None:
    model, tokenizer = load_model("lab", dtype="float32")
    model.requires_grad_(True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    start = Weights(model)
    train_lean(model, [examples_of(list(read_rows(ROWS)), tokenizer)] * 2, rate=1e-3)
    assert any(not torch.equal(value, before[name]) for name, value in model.state_dict().items())

    start.restore()

    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
