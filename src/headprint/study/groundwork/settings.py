"""The fields of a config that no single chapter owns: models, tasks, sizes, and how to train."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from headprint.base.errors import InputError, did_you_mean
from headprint.study.bounds import Count, CountOrNone, Distinct, Name, Seed, Tokens
from headprint.study.records import STRICT

Kind: TypeAlias = Literal["basic", "complex"]
Block = TypeVar("Block")


def rows_a_step(sft: Mapping[str, Any]) -> int:
    """Rows behind one optimizer step, by fields of ``SFTConfig``; one that it would refuse counts as its default."""
    return _count(sft, "per_device_train_batch_size", 8) * _count(sft, "gradient_accumulation_steps", 1)


def steps_of(sft: Mapping[str, Any], rows: int) -> int:
    """Optimizer steps of a training on so many rows, by fields of ``SFTConfig``."""
    epochs = sft.get("num_train_epochs", 3)
    once = math.ceil(rows / rows_a_step(sft))
    return _count(sft, "max_steps", 0) or math.ceil(once * (epochs if isinstance(epochs, int | float) else 3))


def _count(sft: Mapping[str, Any], name: str, default: int) -> int:
    given = sft.get(name)
    return given if isinstance(given, int) and given > 0 else default


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelConfig:
    """One model.

    Attributes:
        model: Directory, hub id, or ``lab``.
        dtype: Of the weights: ``auto`` as stored, ``float32``, ``bfloat16`` ...
        attn_implementation: Attention kernel; None is the model's default.
        sft: Fields of TRL's ``SFTConfig`` for this model, over those of the study.
        lora: Fields of PEFT's ``LoraConfig``; None tunes all weights.
        trust_remote_code: Run code that comes with the model.
    """

    model: str
    dtype: str = "auto"
    attn_implementation: str | None = None
    sft: dict[str, Any] = field(default_factory=dict)
    lora: dict[str, Any] | None = None
    trust_remote_code: bool = False


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TaskConfig:
    """One task and where its rows are.

    Attributes:
        data: Rows: a file, a folder, a hub id (``name`` or ``name:config``), or ``lab:TASK``.
        kind: ``basic``, or ``complex``: one that others may compose.
        test: Where held-out rows are, if not in another split of ``data``. A single file is divided at random, and so
            is a split that is named for both.
        train_split: Split of ``data`` to train on.
        test_split: Split that probes and tests come from.
        prompt: Jinja template of a row's columns; None: the row has ``prompt`` or ``messages`` already.
        completion: Likewise.
        columns: More columns by Jinja expression, such as ``answer: "choices.label.index(answerKey)"``.
        keep: Jinja expression: the rows that are taken.
        train: Rows to train on, if not the study's own number. A scarce task has few.
        scorer: How an answer is scored (:data:`headprint.evaluation.scorers.SCORERS`); None measures the loss only.
        parts: Of a complex task: the basic tasks that people say it is made of.
        description: For the report.
    """

    data: str
    kind: Kind = "basic"
    test: str | None = None
    train_split: str = "train"
    test_split: str = "test"
    prompt: str | None = None
    completion: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    keep: str | None = None
    train: Count | None = None
    scorer: str | None = None
    parts: list[str] | None = None
    description: str = ""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Sizes:
    """Rows of each task.

    Attributes:
        train: To train on.
        reserve: To draw mixtures from, those to train on among them; None: all that there are.
        probe: Held-out rows whose patterns are measured.
        test: Other held-out rows, whose answers are scored.
    """

    train: Count = 1000
    reserve: CountOrNone | None = None
    probe: Count = 100
    test: Count = 200


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BaseConfig:
    """The fields that all chapters share; :class:`headprint.study.config.StudyConfig` adds the chapters' own.

    Attributes:
        name: For the report.
        models: By name.
        tasks: By name.
        seeds: Of rows, training and draws; every exhibit is made for each.
        sizes: Rows of each task.
        sft: Fields of TRL's ``SFTConfig``.
        scarce_sft: The same for complex tasks, over ``sft``: few rows want more epochs.
        track: Steps at which patterns are taken: ``dense``, a list, or every so many.
        batch_tokens: Tokens per batch of measuring; None finds a budget. Decides no result.
        max_new_tokens: Of an answer.
    """

    name: str
    models: Annotated[dict[Name, ModelConfig], Field(min_length=1)]
    tasks: Annotated[dict[Name, TaskConfig], Field(min_length=1)]
    seeds: Distinct[Seed] = field(default_factory=lambda: [0])
    sizes: Sizes = field(default_factory=Sizes)
    sft: dict[str, Any] = field(default_factory=dict)
    scarce_sft: dict[str, Any] = field(default_factory=dict)
    track: Literal["dense"] | Count | Distinct[CountOrNone] = "dense"
    batch_tokens: Tokens | None = None
    max_new_tokens: Count = 64

    def block(self, kind: type[Block]) -> Block | None:
        """The settings of a chapter by their type; None if the config leaves the chapter out."""
        return next((value for value in vars(self).values() if isinstance(value, kind)), None)

    def train_rows(self, task: str) -> int:
        """Rows that a task is trained on."""
        return self.tasks[task].train or self.sizes.train

    def sft_for(self, model: str, task: str | None = None, *, step_1: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fields of ``SFTConfig`` for one training, merged.

        Args:
            model: Name of the model.
            task: That is trained on; None for rows of several.
            step_1: Over all others: the fields of the first of two steps.
        """
        scarce = self.scarce_sft if task is not None and self.tasks[task].kind == "complex" else {}
        return {**self.sft, **scarce, **self.models[model].sft, **(step_1 or {})}

    def check_tasks(self, where: str, names: Iterable[str] | None) -> None:
        """Refuse names that no task has.

        Raises:
            InputError: With the place in the config, and the nearest name.
        """
        for name in names or ():
            if name not in self.tasks:
                raise InputError(f"{where}: there is no task {name!r}; {did_you_mean(name, self.tasks)}")
