"""Three kinds of matplotlib panels: heat maps, points with intervals, lines with bands.

Colours are those of Okabe and Ito (2008), told apart by the colour-blind; points also differ in shape, lines in dashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from headprint.study.estimates import ends_of, value_of

Axes: TypeAlias = Any  # matplotlib is imported only where it draws
Matrix: TypeAlias = Sequence[Sequence[float | None]]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
_SHAPES = ("o", "D", "s", "^", "v", "P", "X", "*")
_DASHES = ("-", "--", "-.", ":")
_OFFSET = 0.22


class Points(NamedTuple):
    """One series: an estimate (or None) per line of the panel."""

    name: str
    estimates: Sequence[Any]


class Line(NamedTuple):
    """One series along an axis."""

    name: str
    x: Sequence[float]
    estimates: Sequence[Any]


def heat(ax: Axes, matrix: Matrix, high: float, *, diverging: bool, title: str = "", low: float | None = None) -> Any:
    """A heat map on a shared scale: from 0 (or ``low``), or around 0; grey where there is nothing.

    Returns:
        The image, for a colour bar.
    """
    import matplotlib as mpl
    from matplotlib.ticker import MaxNLocator

    colours = mpl.colormaps["RdBu_r" if diverging else "viridis"].with_extremes(bad="0.8")
    values = np.ma.masked_invalid(np.array(matrix, dtype=np.float64))
    bottom = -high if diverging else 0.0
    image = ax.imshow(
        values, cmap=colours, vmin=bottom if low is None else low, vmax=high or 1.0, interpolation="nearest"
    )
    ax.set_title(title, fontsize=9)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    ax.tick_params(labelsize=7)
    return image


def largest(matrices: Sequence[Matrix]) -> float:
    """The largest size of an entry, for a shared scale."""
    every = [np.abs(np.array(matrix, dtype=np.float64)).ravel() for matrix in matrices]
    return float(np.nanmax(np.concatenate([*every, np.zeros(1)])))


def squares(ax: Axes, tasks: Sequence[str], matrix: Matrix, *, title: str) -> Any:
    """A task × task matrix of correlations with its numbers written in."""
    image = heat(ax, matrix, 1.0, diverging=True, title=title)
    places = range(len(tasks))
    ax.set_xticks(places, tasks, rotation=60, ha="right", fontsize=7)
    ax.set_yticks(places, tasks, fontsize=7)
    for i in places:
        for j in places:
            value = value_of(matrix[i][j])
            if i != j and value is not None and len(tasks) <= 12:
                ink = "white" if abs(value) > 0.6 else "black"
                ax.text(j, i, f"{value:.2f}".replace("0.", ".", 1), ha="center", va="center", fontsize=6, color=ink)
    return image


def points(ax: Axes, labels: Sequence[str], series: Sequence[Points], *, title: str = "", joined: bool = False) -> None:
    """One line per label, one point with its interval per series.

    Args:
        ax: Where.
        labels: From top to bottom.
        series: Each with as many estimates.
        title: Above.
        joined: A thin line between a label's points, for before and after.
    """
    spread = np.linspace(-_OFFSET, _OFFSET, len(series)) if len(series) > 1 and not joined else np.zeros(len(series))
    for index, (name, estimates) in enumerate(series):
        colour, shown = COLOURS[index % len(COLOURS)], False
        for line, estimate in enumerate(estimates):
            value, ends = value_of(estimate), ends_of(estimate)
            if value is None:
                continue
            y = line + spread[index]
            if ends:
                ax.plot(ends, (y, y), color=colour, linewidth=1.2, solid_capstyle="butt")
            ax.plot(value, y, _SHAPES[index % len(_SHAPES)], color=colour, markersize=5, label=None if shown else name)
            shown = True
    if joined:
        for line in range(len(labels)):
            known = [x for each in series if (x := value_of(each.estimates[line])) is not None]
            ax.plot(
                [min(known), max(known)] if known else [], [line, line] if known else [], "-", color="0.8", zorder=0
            )
    ax.set_yticks(range(len(labels)), labels, fontsize=8)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_title(title, fontsize=9)
    ax.grid(axis="x", linewidth=0.4, alpha=0.6)
    ax.tick_params(axis="x", labelsize=7)


def lines(ax: Axes, series: Sequence[Line], *, title: str = "", xlabel: str = "", logarithmic: bool = True) -> None:
    """Series along an axis that is logarithmic from 1 on, with 0 in its place, and their intervals as bands."""
    for index, (name, x, estimates) in enumerate(series):
        colour = COLOURS[index % len(COLOURS)]
        known = [(at, value_of(each), ends_of(each)) for at, each in zip(x, estimates, strict=True)]
        known = [each for each in known if each[1] is not None]
        ax.plot(
            [each[0] for each in known],
            [each[1] for each in known],
            _DASHES[index // len(COLOURS) % len(_DASHES)],
            marker=_SHAPES[index % len(_SHAPES)],
            markersize=3,
            linewidth=1.2,
            color=colour,
            label=name,
        )
        banded = [(at, ends) for at, _, ends in known if ends]
        if banded:
            low, high = zip(*(ends for _, ends in banded), strict=True)
            ax.fill_between([at for at, _ in banded], low, high, color=colour, alpha=0.15, linewidth=0)
    if logarithmic:
        ax.set_xscale("symlog", base=2, linthresh=1)
        ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.set_title(title, fontsize=9)
    ax.set_xlabel(xlabel, fontsize=8)
    ax.grid(linewidth=0.4, alpha=0.6)
    ax.tick_params(labelsize=7)
