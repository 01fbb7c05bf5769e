"""Online tracking: exact against extract() at the same weights, training unmoved to the bit, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch import nn
from transformers import Trainer, TrainingArguments

from headprint.base.errors import InputError
from headprint.measure.extraction import extract
from headprint.models.heads import locate
from headprint.patterns.pattern_set import load
from headprint.training.online import RunningPattern, TrainingTap
from headprint.training.tracker import PatternTracker
from support import training
from support.numerics import FLOAT32, error
from support.toy_models import toy_model
from support.training import KINDS, ROWS, Watch, build, fit, same, trainer_logs, weights


@pytest.fixture
def added(monkeypatch) -> list[torch.Tensor]:
    """The levels that online tracking reads, micro-batch by micro-batch."""
    found: list[torch.Tensor] = []
    own = RunningPattern.add

    def add(self, levels):
        found.append(levels)
        own(self, levels)

    monkeypatch.setattr(RunningPattern, "add", add)
    return found


def reference(model: nn.Module, watch: Watch, **options) -> list[torch.Tensor]:
    """What extract() says of each micro-batch, at the weights that it was run with."""
    out = []
    for step, (before, batches) in enumerate(zip(watch.weights, watch.batches, strict=True)):
        model.load_state_dict(before)
        for number, batch in enumerate(batches):
            rows = training.rows_of(batch, f"{step}.{number}")
            out.append(torch.from_numpy(extract(model, None, rows, **options).values))
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_levels_are_those_of_extract_at_the_same_weights(tmp_path, added, kind) -> None:
    watch, tracker = Watch(), PatternTracker(online=True)
    trainer = fit(build(kind, dropout=False), tmp_path, [watch, tracker], **KINDS[kind][2])
    expected = reference(trainer.model, watch)
    assert len(added) == len(expected) == 5 * KINDS[kind][2].get("gradient_accumulation_steps", 1)
    assert error(torch.cat(added), torch.cat(expected)) <= FLOAT32


@pytest.mark.parametrize("placement", ["token", "none"])
def test_other_placements(tmp_path, added, placement) -> None:
    watch, tracker = Watch(), PatternTracker(online=5, placement=placement)
    trainer = fit(build("plain", dropout=False), tmp_path, [watch, tracker])
    expected = torch.cat(reference(trainer.model, watch, placement=placement))
    assert error(torch.cat(added), expected) <= FLOAT32
    assert error(torch.tensor(tracker.online_patterns[5].values), expected.mean(0)) <= FLOAT32


def test_a_mixture_of_experts_and_rows_without_loss(tmp_path, added) -> None:
    unlearned = [{**row, "labels": [-100] * len(row["labels"])} for row in ROWS[:4]]
    watch, model = Watch(), toy_model("qwen3_moe", attention="sdpa")
    trainer = fit(
        model, tmp_path, [watch, PatternTracker(online=True)], data=ROWS + unlearned,
        router_aux_loss_coef=0.0, dataset_kwargs={"skip_prepare_dataset": True},
    )  # fmt: skip
    expected = reference(trainer.model, watch)
    assert sum(map(len, expected)) < 15  # three a step, were it not for those without loss
    assert error(torch.cat(added), torch.cat(expected)) <= FLOAT32


@pytest.mark.parametrize("accumulated", [1, 2])
def test_the_plain_trainer_of_transformers(tmp_path, added, accumulated) -> None:
    """Its loss is the model's own, with the step's token count passed in."""
    watch, model = Watch(), toy_model("llama", attention="sdpa")
    rows = [
        {"input_ids": row["input_ids"][:5], "labels": [-100] * (1 + n % 3) + row["input_ids"][1 + n % 3 : 5]}
        for n, row in enumerate(ROWS)
    ]
    rows = [{**row, "attention_mask": [1] * 5} for row in rows]
    args = TrainingArguments(
        output_dir=str(tmp_path), max_steps=3, per_device_train_batch_size=2, learning_rate=1e-2, report_to="none",
        gradient_accumulation_steps=accumulated, use_cpu=True, disable_tqdm=True, save_strategy="no",
    )  # fmt: skip
    Trainer(model, args, train_dataset=Dataset.from_list(rows), callbacks=[watch, PatternTracker(online=True)]).train()
    assert error(torch.cat(added), torch.cat(reference(model, watch))) <= FLOAT32


@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_the_same_way_to_the_bit(tmp_path, kind) -> None:
    settings = KINDS[kind][2]
    alone = fit(build(kind, dropout=True), tmp_path / "a", **settings)
    followed = fit(build(kind, dropout=True), tmp_path / "b", [PatternTracker(online=True)], **settings)
    assert same(weights(alone.model), weights(followed.model))
    assert trainer_logs(alone) == trainer_logs(followed)
    undropped = fit(build(kind, dropout=False), tmp_path / "c", **settings)
    assert not same(weights(alone.model), weights(undropped.model))  # so there was chance in it


def test_windows_are_means_over_their_examples_and_are_logged_and_kept(tmp_path, added) -> None:
    watch, tracker = Watch(), PatternTracker(online=2, out=tmp_path / "tracks")
    trainer = fit(build("plain", dropout=False), tmp_path, [watch, tracker])
    assert list(tracker.online_patterns) == [2, 4, 5]
    levels = torch.cat(added)
    for step, window in ((2, levels[:6]), (4, levels[6:12]), (5, levels[12:])):
        pattern = tracker.online_patterns[step]
        assert error(torch.tensor(pattern.values), window.abs().mean(0)) <= FLOAT32
        assert pattern.provenance["examples"] == len(window)
        assert np.array_equal(load(tmp_path / f"tracks/train/step-{step:08d}.safetensors").values, pattern.values)
    assert tracker.metrics["train"][2]["correlation"] == pytest.approx(1)
    told = {step: logs for step, logs in watch.logs if "headprint/train/gini" in logs}
    assert list(told) == [2, 4, 5]
    assert told[5]["headprint/train/mse"] == tracker.online_patterns[5].mse(tracker.online_patterns[2])
    assert [log["step"] for log in trainer.state.log_history if "headprint/train/cv" in log] == [2, 4, 5]


def test_nothing_stays_on_the_model(tmp_path) -> None:
    def hooks(model: nn.Module) -> int:
        return sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.modules())

    model = build("plain", dropout=False)
    before = hooks(model)
    fit(model, tmp_path, [PatternTracker(online=True)])
    assert hooks(model) == before
    assert not any("_headprint_gate" in vars(module) for module in model.modules())

    bad, tracker = [{"input_ids": [5, 10_000, 5], "labels": [5, 5, 5]}], PatternTracker(online=True)
    with pytest.raises(IndexError):
        fit(model, tmp_path, [tracker], data=bad)
    tracker.close()
    assert hooks(model) == before


def test_an_overflow_is_left_out() -> None:
    model = toy_model("llama")
    running = RunningPattern(locate(model), "example")
    levels = torch.randn(4, 3, 4)
    broken = levels.clone()
    broken[1, 0, 0] = torch.inf
    running.add(broken)
    mean, examples = running.take(torch.device("cpu"))
    assert examples == 3
    assert error(mean, levels[[0, 2, 3]].abs().mean(0)) <= FLOAT32
    assert running.take(torch.device("cpu"))[1] == 0


REFUSED = {
    "packing": ({"packing": True, "max_length": 32}, "packing and padding_free to false"),
    "label smoothing": ({"label_smoothing_factor": 0.1}, "without labels"),
    "token weights": ({"loss_type": "dft"}, "weighs one token"),
    "compiled": ({"torch_compile": True}, "compiled model"),
}


@pytest.mark.parametrize("reason", REFUSED)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_read_is_refused(tmp_path, reason) -> None:
    settings, message = REFUSED[reason]
    with pytest.raises(InputError, match=message):
        fit(build("accumulated", dropout=False), tmp_path, [PatternTracker(online=True)], **settings)


def test_a_balancing_loss_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="router_aux_loss_coef"):
        fit(toy_model("qwen3_moe", attention="sdpa"), tmp_path, [PatternTracker(online=True)], router_aux_loss_coef=0.1)


def test_packed_rows_by_another_trainer_are_seen_by_their_inputs() -> None:
    model, ids = toy_model("llama"), torch.tensor([[5, 6, 7, 8]])
    with TrainingTap(model), pytest.raises(InputError, match="packed"):
        model(input_ids=ids, labels=ids, position_ids=torch.tensor([[0, 1, 0, 1]]))


def test_a_loss_that_is_not_the_models_is_refused() -> None:
    model, ids = toy_model("llama"), torch.tensor([[5, 6, 7, 8]])
    with TrainingTap(model) as tap:
        model(input_ids=ids, labels=ids).logits.square().mean().backward()
        with pytest.raises(InputError, match="token losses"):
            tap.read()
