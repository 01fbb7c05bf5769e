"""Where the models start: accuracy and loss on held-out rows before and after fine-tuning."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field
from pydantic.dataclasses import dataclass

from headprint.study.chapters.chapter import Chapter
from headprint.study.estimates import Estimate
from headprint.study.records import STRICT

Phase: TypeAlias = Literal["before", "after"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BaseRate:
    """One evaluation.

    Attributes:
        model: Name in the config.
        task: Whose test rows were answered.
        seed: Of the run.
        phase: Before or after fine-tuning on the task.
        accuracy: Share of right answers; None without a scorer.
        loss: Mean completion loss in nats.
        n: Test rows.
        train_rows: Rows that the task is fine-tuned on.
    """

    model: str
    task: str
    seed: int
    phase: Phase = Field(validation_alias="stage", serialization_alias="stage")
    accuracy: Estimate | None
    loss: Estimate | None
    n: int
    train_rows: int


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeanBaseRate:
    """Evaluations of one model and task, averaged over seeds."""

    model: str
    task: str
    phase: Phase = Field(validation_alias="stage", serialization_alias="stage")
    seeds: int
    accuracy: Estimate | None
    loss: Estimate | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BaseRates:
    """Accuracy and loss of every model and task, before and after."""

    title: str = "Before and after fine-tuning"
    caption: str = "Right answers and mean completion loss (nats) on held-out rows."
    rows: list[BaseRate]
    summary: list[MeanBaseRate]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    base_rates: BaseRates


CHAPTER = Chapter("base_rates", Exhibit)
