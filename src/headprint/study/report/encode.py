"""Drawings as the plain types that the page's script draws from: what is seen, rounded, and nothing else.

The shape of the JSON follows :mod:`headprint.study.views`: ``{"choosers": [{"label", "paper"}], "panels": [{"at",
"columns", "plots": [{"kind", "title", ...}]}]}``. A number with an interval is ``[value, low, high]``, and a missing
one is null.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any, TypeAlias

from headprint.study.estimates import Number, ends_of, value_of
from headprint.study.views import Dots, Drawing, Frames, HeatMap, Lines, Matrix, Scale, Series

Json: TypeAlias = Any

_DIGITS = 4
"""More than an eye can tell, and a third of the bytes."""


def encoded(drawing: Drawing) -> dict[str, Json]:
    """A drawing for the page's script."""
    return {
        "choosers": [{"label": chooser.label, "paper": chooser.on_paper} for chooser in drawing.choosers],
        "panels": [
            {"at": panel.at, "columns": panel.columns, "plots": [_plot(plot) for plot in panel.plots]}
            for panel in drawing.panels
        ],
    }


def rounded(number: Number) -> float | None:
    """A number without its interval, to the digits that can be seen."""
    value = value_of(number)
    return None if value is None else float(f"{value:.{_DIGITS}g}")


def triple(number: Number) -> list[float | None] | None:
    """``[value, low, high]``; None where there is no number."""
    value = rounded(number)
    return None if value is None else [value, *map(rounded, ends_of(number) or (None, None))]


def _matrix(matrix: Matrix) -> list[list[float | None]]:
    return [[rounded(x) for x in row] for row in matrix]


def _scale(scale: Scale) -> dict[str, Json]:
    return {"label": scale.label, "diverging": scale.diverging, "limit": scale.limit}


def _series(series: Series) -> dict[str, Json]:
    return {"name": series.name, "points": [triple(point) for point in series.points]}


@singledispatch
def _plot(plot: Any) -> dict[str, Json]:
    raise TypeError(f"{type(plot).__name__} is no plot")


@_plot.register
def _(plot: HeatMap) -> dict[str, Json]:
    optional: dict[str, Json] = {"labels": plot.labels, "columns": plot.columns, "rate_of": plot.rate_of}
    optional |= {"low": plot.low and _matrix(plot.low), "high": plot.high and _matrix(plot.high)}
    known = {name: value for name, value in optional.items() if value is not None}
    return {"kind": "heat", "title": plot.title, "values": _matrix(plot.values), "scale": _scale(plot.scale), **known}


@_plot.register
def _(plot: Dots) -> dict[str, Json]:
    return {
        "kind": "dots",
        "title": plot.title,
        "rows": plot.rows,
        "series": [_series(series) for series in plot.series],
        "marked": plot.marked,
        "reference": rounded(plot.reference),
        "joined": plot.joined,
        "percent": plot.percent,
        "limits": plot.limits,
    }


@_plot.register
def _(plot: Lines) -> dict[str, Json]:
    series = [{**_series(series), "x": series.x} for series in plot.series]
    return {"kind": "lines", "title": plot.title, "series": series, "xlabel": plot.xlabel, "percent": plot.percent}


@_plot.register
def _(plot: Frames) -> dict[str, Json]:
    return {
        "kind": "frames",
        "title": plot.title,
        "steps": plot.steps,
        "values": [_matrix(matrix) for matrix in plot.values],
        "scale": _scale(plot.scale),
        "readings": {name: [rounded(number) for number in numbers] for name, numbers in plot.readings.items()},
    }
