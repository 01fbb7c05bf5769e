"""Do active heads matter? After fine-tuning, heads are switched off and the task is measured again."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic.dataclasses import dataclass

from headprint.study.chapters.chapter import Chapter
from headprint.study.estimates import Estimate
from headprint.study.records import STRICT

Mode: TypeAlias = Literal["zero", "mean"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AblationRow:
    """One choice of heads in one run.

    Attributes:
        model: Name in the config.
        task: What the model was fine-tuned on.
        seed: Of the run.
        mode: What the heads give instead: nothing, or their mean.
        choice: ``active``, ``changed``, ``random``, or ``same layers as active``.
        k: Heads.
        draws: Sets of heads: 1, or as many as were drawn at random.
        loss: Rise of the loss, in nats.
        accuracy: Change of accuracy; None where answers were not scored.
        p: Share of random sets, this one included, that hurt at least as much.
        p_same_layers: The same against random heads of the same layers.
    """

    model: str
    task: str
    seed: int
    mode: Mode
    choice: str
    k: int
    draws: int
    loss: Estimate
    accuracy: Estimate | None
    p: float | None
    p_same_layers: float | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Intact:
    """The same model with all of its heads."""

    model: str
    task: str
    seed: int
    loss: float | None
    accuracy: float | None
    n: int


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeanAblation:
    """Runs of one choice, averaged over seeds."""

    model: str
    task: str
    mode: Mode
    k: int
    choice: str
    seeds: int
    loss: Estimate | None
    accuracy: Estimate | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Ablated:
    """Every choice of heads of every run."""

    title: str = "Heads switched off"
    caption: str = (
        "Rise of the loss (nats) and change of accuracy after fine-tuning when the k most active, the k "
        "most changed, k random heads, or as many random heads of the same layers give nothing (zero) or their mean."
    )
    rows: list[AblationRow]
    intact: list[Intact]
    summary: list[MeanAblation]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    ablation: Ablated


CHAPTER = Chapter("ablation", Exhibit)
