"""Figures as CSV files: for spreadsheets and other people's plots.

Each drawing is one file in long form, a line per number: the choosers' values, the plot, the place in the plot, and the
number. Each table is another file. An interval fills three columns (``loss``, ``loss_low``, ``loss_high``), a missing
number is an empty field, and numbers have all their digits.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import singledispatch
from pathlib import Path
from typing import Any, TypeAlias

from headprint.base.files import make_directory, write_atomically
from headprint.study.estimates import Estimate, Number, ends_of, value_of
from headprint.study.views import Cell, Dots, Drawing, Figure, Frames, HeatMap, Lines, Table

Line: TypeAlias = dict[str, Any]


def write_tables(figures: Iterable[Figure], folder: str | Path) -> list[Path]:
    """Write every figure's numbers.

    Args:
        figures: Of one study.
        folder: Made if it does not exist.

    Returns:
        The files: ``FIGURE.csv`` of each drawing, and ``FIGURE_TABLE.csv`` of each of its tables.

    Raises:
        InputError: They cannot be written there.
    """
    folder = make_directory(folder)
    written = []
    for figure in figures:
        parts = {figure.name: drawn(figure.drawing)} if figure.drawing else {}
        parts |= {f"{figure.name}_{slug(table.title)}": tabulated(table) for table in figure.tables}
        for name, lines in parts.items():
            text = as_csv(lines)
            if text:
                path = folder / f"{name}.csv"
                write_atomically(path, text.encode())
                written.append(path)
    return written


def slug(name: str) -> str:
    """A name for a column or a file: ``R² of the best pair`` becomes ``r2_of_the_best_pair``."""
    return "_".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFKD", name.lower())))


def as_csv(lines: Iterable[Line]) -> str:
    """CSV of lines whose columns may differ, in the order in which the columns are first met; nothing without lines."""
    lines = list(lines)
    if not lines:
        return ""
    columns = dict.fromkeys(column for line in lines for column in line)
    file = io.StringIO()
    writer = csv.DictWriter(file, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return file.getvalue()


def tabulated(table: Table) -> Iterator[Line]:
    """The rows of a table."""
    names = [slug(column.name) for column in table.columns]
    bounded = {name for row in table.rows for name, cell in zip(names, row, strict=True) if isinstance(cell, Estimate)}
    for row in table.rows:
        line: Line = {}
        for name, cell in zip(names, row, strict=True):
            line |= _with_ends(name, cell) if name in bounded else {name: _plain(cell)}
        yield line


def drawn(drawing: Drawing) -> Iterator[Line]:
    """The numbers of a drawing, a line each."""
    names = [slug(chooser.label) for chooser in drawing.choosers]
    for panel in drawing.panels:
        at = dict(zip(names, panel.at, strict=True))
        for plot in panel.plots:
            for place in places(plot):
                yield {**at, "plot": plot.title, **place}


def _plain(cell: Cell) -> Any:
    if isinstance(cell, Estimate | float):
        return value_of(cell)
    return "+".join(cell) if isinstance(cell, list | tuple) else cell


def _with_ends(name: str, cell: Any) -> Line:
    low, high = ends_of(cell) or (None, None)
    return {name: _plain(cell), f"{name}_low": low, f"{name}_high": high}


def _numbered(number: Number) -> Line:
    low, high = ends_of(number) or (None, None)
    return {"value": value_of(number), "low": low, "high": high}


@singledispatch
def places(plot: Any) -> Iterator[Line]:
    """Each number of a plot with its place in it."""
    raise TypeError(f"{type(plot).__name__} is no plot")


@places.register
def _(plot: HeatMap) -> Iterator[Line]:
    for i, row in enumerate(plot.values):
        for j, value in enumerate(row):
            labels = plot.labels
            where = (
                {"layer": i, "head": j} if labels is None else {"row": labels[i], "column": (plot.columns or labels)[j]}
            )
            if plot.low is None or plot.high is None:
                yield {**where, "value": value_of(value)}
            else:
                yield {
                    **where,
                    "value": value_of(value),
                    "low": value_of(plot.low[i][j]),
                    "high": value_of(plot.high[i][j]),
                }


@places.register
def _(plot: Dots) -> Iterator[Line]:
    for series in plot.series:
        for row, point in zip(plot.rows, series.points, strict=True):
            yield {"row": row, "series": series.name, **_numbered(point)}


@places.register
def _(plot: Lines) -> Iterator[Line]:
    for series in plot.series:
        for x, point in zip(series.x, series.points, strict=True):
            yield {"series": series.name, slug(plot.xlabel): x, **_numbered(point)}


@places.register
def _(plot: Frames) -> Iterator[Line]:
    for step, matrix in zip(plot.steps, plot.values, strict=True):
        for i, row in enumerate(matrix):
            for j, value in enumerate(row):
                yield {"step": step, "layer": i, "head": j, "value": value_of(value)}
