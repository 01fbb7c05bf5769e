"""Descriptions of exhibits: every field of a record becomes a column."""

from __future__ import annotations

from dataclasses import dataclass, field

from headprint.study.estimates import Estimate
from headprint.study.views import details


@dataclass
class Shape:
    gini: Estimate


@dataclass
class Run:
    task: str
    seed: int
    loss: Estimate | None
    before: Shape
    named: list[str] | None = None
    weights: dict[str, float] | None = None
    over: dict[str, Shape] = field(default_factory=dict)
    steps: list[int] = field(default_factory=list)


def test_details_have_a_column_for_every_field() -> None:
    shape = Shape(Estimate(0.5, 0.4, 0.6))
    runs = [
        Run("math", 0, Estimate(1.0), shape, named=["a", "b"], weights={"code": 0.25}, over={"random": shape}),
        Run("code", 1, None, shape, steps=[1, 2]),
    ]
    table = details("Every run", runs)
    assert table.is_detail
    assert [column.name for column in table.columns] == [
        "task", "seed", "loss", "before gini", "named", "weights code", "over random gini",
    ]  # fmt: skip
    assert table.rows[0] == ["math", 0, Estimate(1.0), shape.gini, ["a", "b"], 0.25, shape.gini]
    assert table.rows[1] == ["code", 1, None, shape.gini, None, None, None]
