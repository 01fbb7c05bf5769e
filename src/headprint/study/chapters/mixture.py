"""Application 1: mix rows of basic tasks by pattern weights, to train on before a task with few rows (Table 2)."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from headprint.study.chapters.arms import ArmRow, MeanArm
from headprint.study.chapters.chapter import Chapter
from headprint.study.records import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PublishedArms:
    """The paper's own accuracies on MathBench, in percent."""

    model: str
    base: float
    target: float
    random: float
    mixture: float


PUBLISHED = [
    PublishedArms(model="Llama-7B", base=28.68, target=31.78, random=33.82, mixture=36.82),
    PublishedArms(model="Llama2-7B", base=29.07, target=34.50, random=36.75, mixture=38.50),
    PublishedArms(model="Llama3-8B", base=46.12, target=49.22, random=50.10, mixture=52.33),
]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Table2:
    """Every arm of every target; ``arms`` says in words what each one does."""

    title: str = "Mixtures of basic tasks before a task with few rows"
    caption: str = (
        "Held-out accuracy and loss of the target. Every first stage has as many supervised tokens as "
        "the mixture; the second stage is the same for all."
    )
    arms: dict[str, str]
    rows: list[ArmRow]
    summary: list[MeanArm]
    paper: list[PublishedArms]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    table2: Table2


CHAPTER = Chapter("mixture", Exhibit)
