"""Callbacks on their own: what they count, store in checkpoints and say."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
from torch import nn
from transformers import TrainerControl, TrainerState, TrainingArguments

from headprint.base.errors import InputError
from headprint.training import callbacks
from headprint.training.callbacks import LossMeter, ProgressCallback, StopOnDivergence, TokenCounter, check_result
from support.toy_models import toy_model

CPU = torch.device("cpu")


def begin(callback, tmp_path, model: nn.Module | None = None, *, step: int = 0, stored: dict | None = None) -> None:
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    state = TrainerState(global_step=step, stateful_callbacks=stored or {}, max_steps=9, is_world_process_zero=True)
    callback.on_train_begin(args, state, TrainerControl(), model=model)


def test_tokens_are_counted_in_training_passes_and_taken_up_from_a_checkpoint(tmp_path) -> None:
    model, counter = toy_model("llama"), TokenCounter()
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])
    labels = torch.tensor([[5, -100, 7, 8], [-100, -100, -100, 12]])  # the first of a row is predicted by nothing
    begin(counter, tmp_path, model)
    model(input_ids=ids, labels=labels)
    with torch.no_grad():
        model(input_ids=ids, labels=labels)
    model(input_ids=ids)
    assert (counter.rows, counter.tokens) == (2, 3)
    counter.on_train_end()
    model(input_ids=ids, labels=labels)
    assert counter.over_ranks(CPU) == (2, 3)

    resumed = TokenCounter()
    begin(resumed, tmp_path, model, step=4, stored={"TokenCounter": counter.state()})
    model(input_ids=ids, labels=labels)
    resumed.close()
    assert resumed.over_ranks(CPU) == (4, 6)
    begin(resumed, tmp_path, model, step=0, stored={"TokenCounter": counter.state()})
    resumed.close()
    assert (resumed.rows, resumed.tokens) == (0, 0)


def test_the_loss_is_added_up_over_a_resumption(tmp_path) -> None:
    losses = torch.rand(6, generator=torch.Generator().manual_seed(0))
    whole, first, second = LossMeter(), LossMeter(), LossMeter()
    begin(whole, tmp_path)
    begin(first, tmp_path)
    for loss in losses:
        whole.add(loss)
    for loss in losses[:4]:
        first.add(loss)
    begin(second, tmp_path, step=2, stored={"LossMeter": first.state()})
    for loss in losses[4:]:
        second.add(loss)
    assert second.mean(3, CPU) == whole.mean(3, CPU) == pytest.approx(losses.double().sum().item() / 3, rel=1e-12)


def test_a_loss_that_is_not_finite_ends_training(tmp_path) -> None:
    args, control, stop = (
        TrainingArguments(output_dir=str(tmp_path), use_cpu=True),
        TrainerControl(),
        StopOnDivergence(),
    )
    for step, logs in ((2, {"loss": 3.0}), (3, {"eval_loss": float("nan")}), (4, None)):
        stop.on_log(args, TrainerState(global_step=step), control, logs)
    with pytest.raises(InputError, match="diverged: the loss is inf between steps 2 and 6: lower learning_rate"):
        stop.on_log(args, TrainerState(global_step=6), control, {"loss": float("inf")})


def test_a_result_that_is_not_finite_is_refused() -> None:
    model = nn.Linear(2, 2)
    check_result(model, 1.0, 5)
    with pytest.raises(InputError, match="the mean loss of 5 steps is nan"):
        check_result(model, float("nan"), 5)
    with torch.no_grad():
        model.bias[1] = float("inf")
    with pytest.raises(InputError, match="bias is not finite after step 5"):
        check_result(model, 1.0, 5)
    model.bias.requires_grad_(False)
    check_result(model, 1.0, 5)


def test_progress_starts_where_a_resumed_run_does(tmp_path, monkeypatch) -> None:
    shown = []

    @contextmanager
    def progress(label, total, *, enabled, unit):
        shown.append((label, total, enabled, unit))
        yield shown.append

    monkeypatch.setattr(callbacks, "progress", progress)
    bar = ProgressCallback(enabled=True)
    begin(bar, tmp_path, step=4)
    bar.on_step_end()
    bar.on_train_end()
    assert shown == [("train", 9, True, "steps"), 4, 1]
