"""Claim 3: the pattern moves in the first steps of training (Figure 5)."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from headprint.study.chapters.chapter import Chapter
from headprint.study.estimates import Estimate
from headprint.study.records import STRICT, Matrix


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StepLoss:
    """A logged step of training and its loss."""

    step: int
    loss: float | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Path:
    """One fine-tuning, followed step by step.

    Attributes:
        model: Name in the config.
        task: What it was fine-tuned on.
        seed: Of the run.
        n: Probes.
        steps: S optimizer steps at which the probes were measured; the first is 0, before training.
        rows_seen: Training rows behind each of them.
        correlation: S correlations with the pattern before training.
        mse: S mean squared distances from it.
        gini: S Gini coefficients.
        half_way: The first measured step at which half of the final distance is passed.
        loss: S mean losses of the probes.
        train_loss: What the trainer logged.
        patterns: S patterns, layers × heads; of the first seed only, for the page's slider.
    """

    model: str
    task: str
    seed: int
    n: int
    steps: list[int]
    rows_seen: list[int]
    correlation: list[Estimate]
    mse: list[Estimate]
    gini: list[Estimate]
    half_way: int
    loss: list[float | None]
    train_loss: list[StepLoss]
    patterns: list[Matrix] | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeanPath:
    """The steps that all seeds of a model and task measured, averaged over seeds."""

    model: str
    task: str
    seeds: int
    steps: list[int]
    correlation: list[Estimate]
    mse: list[Estimate]
    gini: list[Estimate]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Fig5:
    """Every fine-tuning's path."""

    title: str = "Patterns along training"
    caption: str = (
        "Correlation with the pattern before training, and mean squared distance from it, of the same "
        "held-out examples, step by step."
    )
    runs: list[Path]
    summary: list[MeanPath]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    fig5: Fig5


CHAPTER = Chapter("early_change", Exhibit)
