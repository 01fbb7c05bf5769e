"""What an exhibit shows, apart from how it looks.

A chapter describes its exhibits with these plain dataclasses. :mod:`headprint.study.report` makes a page of them,
:mod:`headprint.study.render.png` pictures and :mod:`headprint.study.render.csv` tables, so that an exhibit is
described once. The renderers know no exhibit, and nothing here knows HTML, matplotlib or CSV.

A :class:`Figure` has one drawing and any number of tables. A :class:`Drawing` is a set of panels, one for each
combination of its choosers' values (model, task, seed, ...); the page shows one panel at a time, paper and pictures
show several. A :class:`Panel` is plots side by side, all of one kind: :class:`HeatMap`, :class:`Dots`, :class:`Lines`
or :class:`Frames`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, TypeAlias

from headprint.study.estimates import Estimate, Number

Matrix: TypeAlias = Sequence[Sequence[float | None]]
"""Rows of numbers; None where there is none (a layer without attention)."""
Cell: TypeAlias = str | bool | Estimate | float | Sequence[str] | None
"""An entry of a table; a sequence is written as ``a + b``."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The meaning of a heat map's colors. Maps of one panel that have equal scales share one range.

    Attributes:
        label: Quantity and unit.
        diverging: Whether the colors run around 0 instead of up from 0.
        limit: The largest value; None: that of the maps.
    """

    label: str
    diverging: bool = False
    limit: float | None = None


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """A matrix as colors: layers × heads, or labeled rows × columns.

    Attributes:
        title: Above the map.
        values: One number per cell.
        scale: Of the colors.
        low: Lower ends of the cells' intervals.
        high: Upper ends.
        labels: Of the rows, and of the columns, of a square matrix, whose numbers are then written into the cells.
            None: the rows are layers and the columns heads.
        columns: Of the columns, where they are not those of the rows.
        rate_of: Title of the panel's map that this one's values are changes of: the page can show them as rates.
    """

    title: str
    values: Matrix
    scale: Scale
    low: Matrix | None = None
    high: Matrix | None = None
    labels: Sequence[str] | None = None
    columns: Sequence[str] | None = None
    rate_of: str | None = None


@dataclass(frozen=True, kw_only=True)
class Series:
    """A name, and one number per row of :class:`Dots`, or per position of :class:`Lines`.

    Attributes:
        name: For the legend.
        points: The numbers.
        x: Positions along the axis (:class:`Lines` only).
    """

    name: str
    points: Sequence[Number]
    x: Sequence[float] = ()


@dataclass(frozen=True, kw_only=True)
class Dots:
    """Points with intervals: a row per label, a point per series.

    Attributes:
        title: The measure.
        rows: Labels, from top to bottom.
        series: Each with a point per row.
        marked: Rows that stand out.
        reference: A value that the others are compared with, drawn as a line.
        joined: Whether a row's points are joined, as for before and after.
        percent: Whether the numbers are shares.
        limits: Ends of the axis; intervals may go beyond (with two seeds they are enormous).
    """

    title: str
    rows: Sequence[str]
    series: Sequence[Series]
    marked: Sequence[str] = ()
    reference: float | None = None
    joined: bool = False
    percent: bool = False
    limits: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Series along an axis, with bands, on a logarithmic axis of positions.

    Attributes:
        title: The measure.
        series: Each with its positions.
        xlabel: What the positions count.
        ylabel: The measure, where the title is something else.
        percent: Whether the numbers are shares.
    """

    title: str
    series: Sequence[Series]
    xlabel: str
    ylabel: str = ""
    percent: bool = False


@dataclass(frozen=True, kw_only=True)
class Frames:
    """A matrix of layers × heads that changes along training: a slider on the page, small maps on paper.

    Attributes:
        title: Above the map.
        steps: Of training, one per matrix.
        values: The matrices.
        scale: Of their colors.
        readings: Numbers that go with each step, by name.
    """

    title: str
    steps: Sequence[int]
    values: Sequence[Matrix]
    scale: Scale
    readings: Mapping[str, Sequence[Number]]


Plot: TypeAlias = HeatMap | Dots | Lines | Frames


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Plots side by side, all of one kind, with one legend.

    Attributes:
        plots: At least one.
        at: The values of the drawing's choosers that the panel belongs to.
        columns: Plots in a row; None: as many as fit.
    """

    plots: Sequence[Plot]
    at: tuple[str, ...] = ()
    columns: int | None = None


@dataclass(frozen=True, kw_only=True)
class Chooser:
    """What the panels of a drawing differ in.

    Attributes:
        label: Such as ``Task``.
        on_paper: Whether paper and pictures show the panels of ``all`` values one below the other, or only those of the
            ``first``; of each value a picture ``file`` of its own.
    """

    label: str
    on_paper: Literal["all", "first", "file"] = "first"


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """The panels of a figure and what they differ in.

    Attributes:
        panels: At least one.
        choosers: One per entry of a panel's ``at``.
        compared: Whether panels of two studies are worth seeing side by side (heat maps only).
    """

    panels: Sequence[Panel]
    choosers: Sequence[Chooser] = ()
    compared: bool = False


@dataclass(frozen=True)
class Column:
    """How the numbers of a table's column are written.

    Attributes:
        name: Unique in its table.
        digits: After the point; None: three significant ones.
        percent: Whether the numbers are shares.
        signed: Whether a plus is written: the numbers are differences.
        is_context: Whether the page leaves the column out where it is the same in all rows, such as the only model.
    """

    name: str
    digits: int | None = 2
    percent: bool = False
    signed: bool = False
    is_context: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """Numbers in rows.

    Attributes:
        title: Unique in its figure.
        columns: One per cell of a row.
        rows: The cells.
        keys: How many of the first columns tell the rows apart. Two studies are compared row by row through them;
            0: not at all.
        note: Below the table.
        is_open: Whether the page shows the table unfolded.
        is_detail: Whether it holds every number behind a figure instead of a summary, which only the CSV files show.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    keys: int = 0
    note: str = ""
    is_open: bool = False
    is_detail: bool = False


@dataclass(frozen=True)
class Text:
    """A sentence or two below a figure.

    Attributes:
        text: Plain text.
        is_warning: Whether it should catch the eye.
    """

    text: str
    is_warning: bool = False


@dataclass(frozen=True, kw_only=True)
class Figure:
    """An exhibit, or a part of one.

    Attributes:
        name: Of its files; unique in a study.
        title: Heading.
        caption: What is shown.
        drawing: None where only tables are there.
        tables: Any number; those without rows are left out.
        notes: On sample sizes, intervals, limits.
    """

    name: str
    title: str
    caption: str = ""
    drawing: Drawing | None = None
    tables: Sequence[Table] = ()
    notes: Sequence[Text] = ()


def details(title: str, rows: Iterable[Any]) -> Table:
    """Put every field of some dataclasses into a table for the CSV files; nested ones become columns ``outer inner``.

    Args:
        title: Of the table.
        rows: Dataclasses of one type. Fields that are matrices or sequences of numbers are left out.
    """
    lines = [dict(_fields(row)) for row in rows]
    every = dict.fromkeys(name for line in lines for name in line)
    # Where one row has no mapping, None stands in the place of its columns.
    names = [name for name in every if not any(other.startswith(f"{name} ") for other in every)]
    return Table(
        title=title,
        columns=[Column(name, None) for name in names],
        rows=[[line.get(name) for name in names] for line in lines],
        is_detail=True,
    )


def _fields(row: Any, prefix: str = "") -> Iterable[tuple[str, Cell]]:
    entries = (
        row.items() if isinstance(row, Mapping) else ((each.name, getattr(row, each.name)) for each in fields(row))
    )
    for name, value in entries:
        if isinstance(value, Estimate | str | int | float | None):
            yield f"{prefix}{name}", value
        elif isinstance(value, Mapping) or is_dataclass(value):
            yield from _fields(value, f"{prefix}{name} ")
        elif value and all(isinstance(each, str) for each in value):
            yield f"{prefix}{name}", value
