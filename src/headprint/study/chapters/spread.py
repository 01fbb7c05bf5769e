"""Claim 1: fine-tuning spreads activation over more heads (Table 1, Figure 1)."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from headprint.study.chapters.chapter import Chapter
from headprint.study.estimates import Estimate
from headprint.study.records import STRICT, Matrix


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Shape:
    """How unevenly a pattern is spread over the heads: Gini coefficient, coefficient of variation, excess kurtosis."""

    gini: Estimate
    cv: Estimate
    kurtosis: Estimate


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ShapeRow:
    """One fine-tuning: the shape of its pattern before, after, and the change of each statistic."""

    model: str
    task: str
    seed: int
    n: int
    before: Shape
    after: Shape
    change: Shape


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeanShape:
    """Fine-tunings of one model and task, averaged over seeds."""

    model: str
    task: str
    seeds: int
    before: Shape
    after: Shape
    change: Shape


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PublishedShape:
    """The paper's own numbers: before and after."""

    model: str
    gini: tuple[float, float]
    cv: tuple[float, float]


PUBLISHED = [PublishedShape(model="Llama3-8B", gini=(0.50, 0.33), cv=(1.19, 0.71))]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Table1:
    """The shape of every pattern before and after."""

    title: str = "How evenly activation is spread over the heads"
    caption: str = (
        "Gini coefficient, coefficient of variation and excess kurtosis of the pattern of the same held-out "
        "examples before and after fine-tuning. The paper finds that all three fall."
    )
    rows: list[ShapeRow]
    summary: list[MeanShape]
    paper: list[PublishedShape]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Maps:
    """The pattern of one fine-tuning as layers × heads; the change is after minus before."""

    model: str
    task: str
    seed: int
    n: int
    before: Matrix
    after: Matrix
    change: Matrix


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Fig1:
    """The patterns themselves."""

    title: str = "Activation patterns before and after fine-tuning"
    caption: str = "Mean absolute activation level of each head; change is after minus before."
    maps: list[Maps]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    table1: Table1
    fig1: Fig1


CHAPTER = Chapter("spread", Exhibit)
