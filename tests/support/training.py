"""Small trainings for the tests of train and track."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from headprint.training.sft_config import current_names
from headprint.training.tracker import PatternTracker
from support.plain import random_examples, rows
from support.toy_models import toy_model
from support.toy_tokenizers import toy_tokenizer

ROWS = rows(random_examples((9, 14, 5, 11, 12, 7, 7, 12, 6, 10, 8, 13), seed=1))
PROBES = rows(random_examples((8, 12, 6, 10), seed=2))

DROPOUT = {"gpt2": ("attn_pdrop", "resid_pdrop", "embd_pdrop"), "llama": ("attention_dropout",)}

KINDS: dict[str, tuple[str, bool, dict[str, Any]]] = {
    "plain": ("gpt2", False, {}),
    "accumulated": ("llama", False, {"gradient_accumulation_steps": 2}),
    "lora": ("llama", True, {}),
    "checkpointed": ("gpt2", False, {"gradient_checkpointing": True}),
    "checkpointed, reentrant": (
        "llama",
        False,
        {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}},
    ),
    "all of it": (
        "gpt2",
        True,
        {
            "gradient_accumulation_steps": 2,
            "gradient_checkpointing": True,
            "gradient_checkpointing_kwargs": {"use_reentrant": False},
        },
    ),
}
"""Ways to train: family, whether by an adapter, and settings."""


def build(kind: str, *, dropout: bool) -> nn.Module:
    """A random model, the same each time."""
    family, lora, _ = KINDS[kind]
    chance = dict.fromkeys(DROPOUT[family], 0.2 if dropout else 0.0)
    model: nn.Module = toy_model(family, attention="sdpa", **chance)
    if lora:
        torch.manual_seed(0)
        config = LoraConfig(
            r=4,
            lora_dropout=0.2 if dropout else 0.0,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
            init_lora_weights=False,
        )
        model = get_peft_model(model, config)
    return model


def fit(
    model: nn.Module,
    out: Path,
    callbacks: Sequence[TrainerCallback] = (),
    *,
    data: Sequence[Mapping[str, Any]] = ROWS,
    resume: str | None = None,
    **settings: Any,
) -> SFTTrainer:
    """Train a few steps on pre-tokenised rows."""
    args: dict[str, Any] = {
        "output_dir": str(out),
        "max_steps": 5,
        "per_device_train_batch_size": 3,
        "learning_rate": 1e-2,
        "logging_steps": 2,
        "save_strategy": "no",
        "report_to": "none",
        "gradient_checkpointing": False,
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
    }
    trainer = SFTTrainer(
        model,
        args=SFTConfig(**current_names(args | settings)),
        train_dataset=Dataset.from_list([{key: row[key] for key in ("input_ids", "labels")} for row in data]),
        processing_class=toy_tokenizer(),
        callbacks=list(callbacks),
    )
    for callback in callbacks:
        if isinstance(callback, PatternTracker):
            callback.attach(trainer)
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """To the bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def trainer_logs(trainer: SFTTrainer) -> list[dict[str, float]]:
    """What the trainer logs by itself, without times."""
    names = ("step", "loss", "grad_norm", "learning_rate", "mean_token_accuracy", "num_tokens")
    return [{k: v for k, v in log.items() if k in names} for log in trainer.state.log_history if "loss" in log]


class Watch(TrainerCallback):
    """Keeps the weights before each step, the micro-batches of each step, and all that is logged."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []
        self.batches: list[list[dict[str, Tensor]]] = []
        self.logs: list[tuple[int, dict[str, float]]] = []

    def on_train_begin(self, args, state, control, model, **_):
        self._handle = model.register_forward_pre_hook(self._keep, with_kwargs=True)

    def _keep(self, module, args, kwargs):
        if module.training and torch.is_grad_enabled():
            self.batches[-1].append({key: kwargs[key] for key in ("input_ids", "labels", "attention_mask")})

    def on_step_begin(self, args, state, control, model, **_):
        self.weights.append(weights(model))
        self.batches.append([])

    def on_log(self, args, state, control, logs, **_):
        self.logs.append((state.global_step, dict(logs)))

    def on_train_end(self, *_, **__):
        self._handle.remove()


def rows_of(batch: Mapping[str, Tensor], name: str) -> list[dict[str, Any]]:
    """A micro-batch as pre-tokenised rows, without its padding and without rows that carry no loss."""
    out = []
    for number, (ids, labels, mask) in enumerate(zip(*batch.values(), strict=True)):
        length = int(mask.sum())
        if (labels[1:length] != -100).any():
            ids, labels = ids[:length].tolist(), labels[:length].tolist()
            out.append({"id": f"{name}.{number}", "input_ids": ids, "labels": labels})
    return out
