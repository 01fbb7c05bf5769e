"""Tables as the page shows them: numbers with their intervals in words, and what each cell is sorted by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from headprint.study.estimates import Estimate, number, value_of, written
from headprint.study.verdicts import judged
from headprint.study.views import Cell, Column, Table

_SHORT = 12
"""Rows up to which the first table of a figure is unfolded."""


class Shown(NamedTuple):
    """A cell: what is written, the number to sort by (None: the text), and whether it stands out."""

    text: str
    sort: float | None = None
    strong: bool = False


@dataclass(frozen=True)
class ShownTable:
    """A table of the page; columns of numbers are aligned right.

    Attributes:
        title: Above it.
        columns: Names.
        rows: A cell per column.
        note: Below it.
        is_open: Whether it is unfolded at first.
    """

    title: str
    columns: list[str]
    rows: list[list[Shown]]
    note: str = ""
    is_open: bool = False

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers."""
        return [any(row[i].sort is not None for row in self.rows) for i in range(len(self.columns))]


def shown_tables(tables: Sequence[Table]) -> list[ShownTable]:
    """The tables of a figure that the page shows: those with rows that are no details."""
    found = [table for table in tables if table.rows and not table.is_detail]
    return [shown(table, is_first=index == 0) for index, table in enumerate(found)]


def shown(table: Table, *, is_first: bool = False) -> ShownTable:
    """A table in words, without columns that are empty, or that are context and the same in all rows."""
    cells = [[cell(of, column) for of, column in zip(row, table.columns, strict=True)] for row in table.rows]

    def is_shown(index: int) -> bool:
        texts = {row[index].text for row in cells}
        return not texts <= {"", "–"} and not (table.columns[index].is_context and len(texts) == 1)

    wanted = [index for index in range(len(table.columns)) if is_shown(index)]
    return ShownTable(
        table.title,
        [table.columns[index].name for index in wanted],
        [[row[index] for index in wanted] for row in cells],
        table.note,
        table.is_open or (is_first and len(cells) <= _SHORT),
    )


def cell(of: Cell, column: Column) -> Shown:
    """One cell in words."""
    if of is None or isinstance(of, str):
        return Shown(of or "–")
    if isinstance(of, bool):
        return Shown("yes" if of else "no")
    if isinstance(of, Estimate):
        text = written(of, column.digits, percent=column.percent, signed=column.signed)
        return Shown(text, value_of(of), strong=column.signed and judged(of) is not None)
    if isinstance(of, int):
        return Shown(number(of, 0, signed=column.signed), of)
    if isinstance(of, float):
        return Shown(number(of, column.digits, percent=column.percent, signed=column.signed), value_of(of))
    return Shown(" + ".join(of))
