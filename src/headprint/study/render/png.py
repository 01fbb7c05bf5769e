"""Figures as pictures: SVG and PNG of each drawing, by matplotlib. The same figures give the same SVG, byte for byte.

Series have the colors of Okabe and Ito (2008), which the color-blind can tell apart; points also differ in shape, lines
in dashes. A gray cell of a heat map is a head without attention, never a zero.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from headprint.base.files import make_directory, write_atomically
from headprint.study.estimates import ends_of, value_of
from headprint.study.views import (
    Chooser,
    Dots,
    Drawing,
    Figure,
    Frames,
    HeatMap,
    Lines,
    Matrix,
    Panel,
    Plot,
    Scale,
    Series,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

Axes: TypeAlias = Any  # matplotlib is imported only where it draws

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
_SHAPES = ("o", "D", "s", "^", "v", "P", "X", "*")
_DASHES = ("-", "--", "-.", ":")
_OFFSET = 0.22  # of the outermost of several points in one row
_MOST_COLUMNS = 5
_WRITTEN = 12  # rows up to which the numbers fit into the cells
_SUFFIXES: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".png": {}}  # else the date goes into the file


def write_pictures(figures: Iterable[Figure], folder: str | Path) -> list[Path]:
    """Draw every figure that has a drawing.

    Args:
        figures: Of one study.
        folder: Made if it does not exist.

    Returns:
        The files: ``FIGURE.svg`` and ``FIGURE.png``; of several models ``FIGURE-MODEL.svg`` and so on.

    Raises:
        InputError: They cannot be written there.
    """
    import matplotlib as mpl

    folder = make_directory(folder)
    written = []
    for figure in figures:
        for picture in _pictures(figure.drawing) if figure.drawing else ():
            canvas = _draw(picture.panels, picture.heading)
            canvas.draw_without_rendering()
            canvas.set_layout_engine("none")  # laid out once, not again for each file
            for kind, metadata in _SUFFIXES.items():
                path, drawn = folder / f"{figure.name}{picture.suffix}{kind}", BytesIO()
                with mpl.rc_context({"svg.hashsalt": "headprint"}):
                    canvas.savefig(drawn, format=kind[1:], dpi=150, metadata=metadata)
                write_atomically(path, drawn.getbuffer())
                written.append(path)
    return written


@dataclass(frozen=True)
class _Picture:
    """One file: what is added to its name, its heading, and its panels from top to bottom, each with its own title."""

    suffix: str
    heading: str
    panels: list[tuple[str, Panel]]


def _pictures(drawing: Drawing) -> Iterator[_Picture]:
    choosers = drawing.choosers

    def at(panel: Panel, kind: str) -> tuple[str, ...]:
        return tuple(value for value, of in zip(panel.at, choosers, strict=True) if of.on_paper == kind)

    files = list(dict.fromkeys(at(panel, "file") for panel in drawing.panels))
    for file in files:
        panels = [panel for panel in drawing.panels if at(panel, "file") == file]
        firsts: dict[tuple[str, ...], Panel] = {}
        for panel in panels:
            firsts.setdefault(at(panel, "all"), panel)
        titles = {key: ", ".join(key) if len(firsts) > 1 else "" for key in firsts}
        yield _Picture(
            "" if len(files) == 1 else "-" + "-".join(re.sub(r"[^A-Za-z0-9._-]+", "_", value) for value in file),
            _heading(choosers, panels),
            [(titles[key], panel) for key, panel in firsts.items()],
        )


def _heading(choosers: Sequence[Chooser], panels: Sequence[Panel]) -> str:
    """Which of several values the first panel has, of choosers that only the first is shown of."""
    several = [
        f"{chooser.label}: {panels[0].at[place]}"
        for place, chooser in enumerate(choosers)
        if chooser.on_paper == "first" and len({panel.at[place] for panel in panels}) > 1
    ]
    return " · ".join(several)


def _draw(panels: Sequence[tuple[str, Panel]], heading: str) -> Canvas:
    """One picture: a row of plots for each panel; panels of one plot stand beside each other."""
    from matplotlib.figure import Figure as Canvas

    rows = list(_rows(panels))
    columns = max(map(len, rows))
    sizes = [[_size(plot) for _, plot, _ in row] for row in rows]
    widths = [max(row[j][0] for row in sizes if j < len(row)) for j in range(columns)]
    heights = [max(height for _, height in row) for row in sizes]
    canvas = Canvas(figsize=(sum(widths) + 0.3, sum(heights) + 0.5), layout="constrained")
    axes = canvas.subplots(
        len(rows), columns, squeeze=False, width_ratios=widths, height_ratios=heights, sharey=_shared(rows)
    )
    for row, line in zip(axes, rows, strict=True):
        images: dict[Scale, tuple[Any, list[Axes]]] = {}
        for ax in row[len(line) :]:
            ax.remove()
        for ax, (title, plot, panel) in zip(row, line, strict=False):
            image = _DRAWERS[type(plot)](ax, plot, _limits(panel))
            ax.set_title(title, fontsize=9)
            if isinstance(plot, HeatMap | Frames):
                images.setdefault(plot.scale, (image, []))[1].append(ax)
        for scale, (image, of) in images.items():
            bar = canvas.colorbar(image, ax=of, shrink=0.9)
            bar.set_label(scale.label, fontsize=7)
            bar.ax.tick_params(labelsize=6)
    if heading:
        canvas.suptitle(heading, fontsize=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    if len(handles) > 1:
        options = {"ncols": min(5, len(labels)), "fontsize": 8, "frameon": False}
        canvas.legend(handles, labels, loc="outside lower center", **options)
    return canvas


def _rows(panels: Sequence[tuple[str, Panel]]) -> Iterator[list[tuple[str, Plot, Panel]]]:
    """Title, plot and panel of each place of a picture, row by row."""
    every = [
        [(": ".join(filter(None, (about, plot.title))), plot, panel) for plot in _unfolded(panel.plots)]
        for about, panel in panels
    ]
    if all(len(plots) == 1 for plots in every):
        every = [[plot for plots in every for plot in plots]]
    for plots in every:
        columns = plots[0][2].columns or min(len(plots), _MOST_COLUMNS)
        yield from (plots[start : start + columns] for start in range(0, len(plots), columns))


def _unfolded(plots: Sequence[Plot]) -> Iterator[Plot]:
    """Plots that stand still: frames become a map of the change at each step."""
    for plot in plots:
        if not isinstance(plot, Frames):
            yield plot
            continue
        first = _array(plot.values[0])
        changes = [
            (step, (_array(matrix) - first).tolist()) for step, matrix in zip(plot.steps, plot.values, strict=True)
        ]
        scale = Scale(label=f"change since step {plot.steps[0]}", diverging=True)
        yield from (HeatMap(title=f"step {step}", values=change, scale=scale) for step, change in changes[1:])


def _shared(rows: Sequence[Sequence[tuple[str, Plot, Panel]]]) -> Literal["row", "none"]:
    """Dots beside each other that have the same rows name them once."""
    dots = [[plot for _, plot, _ in row if isinstance(plot, Dots)] for row in rows]
    return "row" if all(line and len({tuple(plot.rows) for plot in line}) == 1 for line in dots) else "none"


def _size(plot: Plot) -> tuple[float, float]:
    """Width and height in inches."""
    if isinstance(plot, Dots):
        spread = 1 if plot.joined else len(plot.series)
        return 4.5, 1.1 + max(0.25, 0.14 * spread) * len(plot.rows)
    if isinstance(plot, Lines):
        return 3.4, 2.8
    if isinstance(plot, HeatMap) and plot.labels is not None:
        width, height = (max(2.4, 0.33 * len(names)) + 0.8 for names in (plot.columns or plot.labels, plot.labels))
        return width, height
    matrix = plot.values if isinstance(plot, HeatMap) else plot.values[0]
    cell = min(0.2, 3.2 / max(len(matrix), len(matrix[0])))
    return max(1.2, cell * len(matrix[0])) + 0.9, max(1.2, cell * len(matrix)) + 0.45


def _limits(panel: Panel) -> Mapping[Scale, float]:
    """The largest size of a number on each scale of a panel."""
    found: dict[Scale, float] = {}
    for plot in _unfolded(panel.plots):
        if isinstance(plot, HeatMap):
            sizes = np.abs(_array(plot.values))
            largest = float(np.nanmax(sizes)) if np.isfinite(sizes).any() else 0.0
            found[plot.scale] = plot.scale.limit or max(largest, found.get(plot.scale, 0.0))
    return found


def _array(matrix: Matrix) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(matrix, dtype=np.float64)


def _heat_map(ax: Axes, plot: HeatMap, limits: Mapping[Scale, float]) -> Any:
    import matplotlib as mpl
    from matplotlib.ticker import MaxNLocator

    colors = mpl.colormaps["RdBu_r" if plot.scale.diverging else "viridis"].with_extremes(bad="0.8")
    high = limits[plot.scale] or 1.0
    low = -high if plot.scale.diverging else 0.0
    values = np.ma.masked_invalid(_array(plot.values))
    image = ax.imshow(values, cmap=colors, vmin=low, vmax=high, interpolation="nearest")
    ax.tick_params(labelsize=7)
    if plot.labels is not None:
        _label(ax, plot, plot.labels)
        return image
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    ax.set_xlabel("head", fontsize=7)
    if ax.get_subplotspec().is_first_col():
        ax.set_ylabel("layer", fontsize=7)
    return image


def _label(ax: Axes, plot: HeatMap, labels: Sequence[str]) -> None:
    columns = plot.columns or labels
    ax.set_xticks(range(len(columns)), columns, rotation=60, ha="right", fontsize=7)
    ax.set_yticks(range(len(labels)), labels, fontsize=7)
    for i, j in itertools.product(range(len(labels)), range(len(columns))):
        value = value_of(plot.values[i][j])
        is_trivial = plot.columns is None and i == j
        if not is_trivial and value is not None and len(labels) <= _WRITTEN:
            ink = "white" if abs(value) > 0.6 * (plot.scale.limit or 1) else "black"
            ax.text(j, i, f"{value:.2f}".replace("0.", ".", 1), ha="center", va="center", fontsize=6, color=ink)


def _dots(ax: Axes, plot: Dots, _: Mapping[Scale, float]) -> None:
    several = len(plot.series) > 1 and not plot.joined
    spread = np.linspace(-_OFFSET, _OFFSET, len(plot.series)) if several else np.zeros(len(plot.series))
    for index, series in enumerate(plot.series):
        _points(ax, series, index, spread[index])
    if plot.joined:
        for line in range(len(plot.rows)):
            known = [x for series in plot.series if (x := value_of(series.points[line])) is not None]
            if known:
                ax.plot([min(known), max(known)], [line, line], "-", color="0.8", zorder=0)
    if plot.reference is not None:
        ax.axvline(plot.reference, color="0.4", linewidth=0.8, linestyle="--", zorder=0)
    ax.set_yticks(range(len(plot.rows)), [f"● {row}" if row in plot.marked else row for row in plot.rows], fontsize=8)
    ax.set_ylim(len(plot.rows) - 0.5, -0.5)
    if plot.limits is not None:
        low, high = ax.get_xlim()
        ax.set_xlim(max(low, plot.limits[0]), min(high, plot.limits[1]))
    if plot.percent:
        ax.xaxis.set_major_formatter(lambda x, _: _share(x))
    ax.grid(axis="x", linewidth=0.4, alpha=0.6)
    ax.tick_params(axis="x", labelsize=7)


def _share(x: float) -> str:
    return f"{100 * x:g} %".replace("-", "−")


def _points(ax: Axes, series: Series, index: int, offset: float) -> None:
    color, label = COLORS[index % len(COLORS)], series.name
    for line, point in enumerate(series.points):
        value, ends = value_of(point), ends_of(point)
        if value is None:
            continue
        y = line + offset
        if ends:
            ax.plot(ends, (y, y), color=color, linewidth=1.2, solid_capstyle="butt")
        ax.plot(value, y, _SHAPES[index % len(_SHAPES)], color=color, markersize=5, label=label)
        label = "_"  # one entry in the legend is enough


def _lines(ax: Axes, plot: Lines, _: Mapping[Scale, float]) -> None:
    for index, series in enumerate(plot.series):
        color = COLORS[index % len(COLORS)]
        known = [(x, point) for x, point in zip(series.x, series.points, strict=True) if value_of(point) is not None]
        ax.plot(
            [x for x, _ in known],
            [value_of(point) for _, point in known],
            _DASHES[index // len(COLORS) % len(_DASHES)],
            marker=_SHAPES[index % len(_SHAPES)],
            markersize=3,
            linewidth=1.2,
            color=color,
            label=series.name,
        )
        banded = [(x, ends) for x, point in known if (ends := ends_of(point)) is not None]
        if banded:
            low, high = zip(*(ends for _, ends in banded), strict=True)
            ax.fill_between([x for x, _ in banded], low, high, color=color, alpha=0.15, linewidth=0)
    ax.set_xscale("symlog", base=2, linthresh=1)  # logarithmic from 1 on, with 0 in its place
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    if plot.percent:
        ax.yaxis.set_major_formatter(lambda y, _: _share(y))
    ax.set_xlabel(plot.xlabel, fontsize=8)
    if ax.get_subplotspec().is_first_col():
        ax.set_ylabel(plot.ylabel, fontsize=8)
    ax.grid(linewidth=0.4, alpha=0.6)
    ax.tick_params(labelsize=7)


_DRAWERS: dict[type, Callable[[Axes, Any, Mapping[Scale, float]], Any]] = {
    HeatMap: _heat_map,
    Dots: _dots,
    Lines: _lines,
}
