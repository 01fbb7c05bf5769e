"""Heat maps, statistics and heads in the terminal, by rich; :mod:`headprint.plotting.figures` makes files.

Patterns are drawn on a sequential scale from 0, changes (and signed patterns) on a diverging one
around 0, both linear. Layer 0 is at the top. A layer without attention shows as ``·``, never as a
zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING, Literal

import numpy as np

from headprint.patterns.pattern import Head, Pattern
from headprint.plotting.colors import Scale, unit

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text


_NO_ATTENTION = "·"
_WIDEST_CELL = 4
_LEGEND_CELLS = 21
_GAP = 3
_COLUMN_GAP = 2


def statistics_of(pattern: Pattern) -> dict[str, float | int | None]:
    """Return Gini coefficient, CV, kurtosis, mean loss in nats and number of examples; None for what does not exist."""
    signed = bool((pattern.values < 0).any())
    return {
        "gini": None if signed or pattern.kind == "change" else pattern.gini(),
        "cv": pattern.cv(),
        "kurtosis": pattern.kurtosis(),
        "loss": pattern.provenance.get("mean_loss"),
        "examples": pattern.provenance.get("examples"),
    }


def statistics_change(before: Pattern, after: Pattern) -> dict[str, float | int | None]:
    """Return by how much each statistic of :func:`statistics_of` rises, as ``headprint compare`` has it."""
    found: dict[str, float | int | None] = {"examples": None}
    for name, first in statistics_of(before).items():
        last = statistics_of(after)[name]
        if name != "examples":
            found[name] = None if first is None or last is None else last - first
    return found


def most_active(pattern: Pattern, k: int) -> list[Head]:
    """Return the k largest heads; of signed values, the k furthest from 0."""
    return pattern.top(k, by="absolute" if Scale.of(pattern).diverging else "value")


def most_changed(change: Pattern, k: int) -> tuple[list[Head], list[Head]]:
    """Return the k heads that a change raises most and the k that it lowers most, or fewer if there are fewer."""
    raised = [head for head in change.top(k) if head.value > 0]
    lowered = [head._replace(value=-head.value) for head in (change * -1.0).top(k) if head.value > 0]
    return raised, lowered


@dataclass(frozen=True)
class HeatMap:
    """Layers (rows) and heads (columns) for a rich console.

    Cells are colored where the console has 256 colors or more, and shaded by characters elsewhere
    (in files, pipes, under ``NO_COLOR``). Heads that do not fit beside each other continue below.

    Attributes:
        pattern: What is drawn.
        scale: What the colors mean.
    """

    pattern: Pattern
    scale: Scale

    @property
    def narrowest(self) -> int:
        """Columns needed to show all heads side by side."""
        return self._margin + self.pattern.shape[1]

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement

        widest = self._margin + _WIDEST_CELL * self.pattern.shape[1]
        return Measurement(self.narrowest, widest).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        paint = _painter(console, self.scale)
        heads = self.pattern.shape[1]
        room = max(1, options.max_width - self._margin)
        cell = max(1, min(_WIDEST_CELL, room // heads))
        for first in range(0, heads, room):
            shown = range(first, min(first + room, heads))
            yield Text("head".ljust(self._margin) + _axis(shown, cell), style="dim", no_wrap=True)
            for layer, row in enumerate(self.pattern.values):
                label = Text(f"{layer:>{self._margin - 1}} ", style="dim", no_wrap=True)
                yield label.append_text(Text().join(paint(row[head], cell) for head in shown))

    @property
    def _margin(self) -> int:
        return max(len("head"), len(str(self.pattern.shape[0] - 1))) + 1


@dataclass(frozen=True)
class _Legend:
    scale: Scale
    note: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        paint = _painter(console, self.scale)
        values = np.linspace(self.scale.low, self.scale.high, _LEGEND_CELLS)
        bar = Text().join(paint(value, 1) for value in values)
        yield Text.assemble(f"{self.scale.low:.3g} ", bar, f" {self.scale.high:.3g}  {self.note}")


@dataclass(frozen=True)
class Line:
    """A line that is broken between words only: a path or a name that is too long overflows.

    Attributes:
        text: As it is, without markup.
        style: A rich style.
    """

    text: str
    style: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        width = options.max_width
        for line in wrap(self.text, width, break_long_words=False, break_on_hyphens=False) or [""]:
            yield Text(line, self.style, no_wrap=True, overflow="ignore")


@dataclass(frozen=True)
class WideTable:
    """A table whose columns continue below where they do not fit beside each other. No cell is broken.

    Attributes:
        columns: Their headers; the first column names the rows, and is repeated.
        rows: Cells, in the order of the columns; a cell may have several lines.
        justify: Of all columns but the first.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    justify: Literal["left", "right"] = "left"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.cells import cell_len
        from rich.table import Table

        count = len(self.columns)
        lines = [[line for row in (self.columns, *self.rows) for line in row[at].split("\n")] for at in range(count)]
        widths = [max(map(cell_len, column)) for column in lines]
        rest = list(range(1, count))
        while True:
            shown: list[int] = []
            room = options.max_width - widths[0]
            while rest and (not shown or room >= widths[rest[0]] + _COLUMN_GAP):
                shown.append(rest.pop(0))
                room -= widths[shown[-1]] + _COLUMN_GAP
            table = Table(box=None, pad_edge=False, padding=(0, _COLUMN_GAP, 0, 0), header_style="dim")
            for at in (0, *shown):
                table.add_column(
                    self.columns[at],
                    justify=self.justify if at else "left",
                    no_wrap=True,
                    overflow="ignore",
                    min_width=widths[at],
                )
            for row in self.rows:
                table.add_row(*(row[at] for at in (0, *shown)))
            yield table
            if not rest:
                return
            yield ""


def _painter(console: Console, scale: Scale) -> Callable[[float, int], Text]:
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    colored = console.color_system in ("256", "truecolor") and not console.no_color

    def paint(value: float, width: int) -> Text:
        if np.isnan(value):
            return Text(_NO_ATTENTION.center(width), style="dim")
        position = scale.position(float(value))
        if colored:
            return Text(" " * width, Style(bgcolor=Color.from_rgb(*scale.color(position))))
        return Text(scale.shade(position) * width)

    return paint


def _axis(shown: range, cell: int) -> str:
    """Head numbers over cells of some width, as many as fit."""
    widest = len(str(shown[-1])) + 1
    step = next(n for n in (1, 2, 5, 10, 20) if n * cell >= widest)
    axis = ""
    for head in shown:
        at = (head - shown[0]) * cell
        if head % step == 0 and at + len(str(head)) <= len(shown) * cell:
            axis = axis.ljust(at) + str(head)
    return axis


@dataclass(frozen=True)
class _Beside:
    """Before, after and change beside each other where their heads fit, else the change alone."""

    before: Pattern
    after: Pattern
    change: Pattern
    names: tuple[str, str, str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.table import Table

        levels = Scale.of(self.before, self.after)
        before, after = HeatMap(self.before, levels), HeatMap(self.after, levels)
        change = HeatMap(self.change, Scale.of(self.change))
        if before.narrowest + after.narrowest + change.narrowest + 3 * _GAP <= options.max_width:
            table = Table.grid(padding=(0, _GAP, 0, 0))
            table.add_row(*(Line(name, "bold") for name in self.names))
            table.add_row(before, after, change)
            yield table
            yield _legend(levels, self.before)
        else:
            yield Line(self.names[2], "bold")
            yield change
        yield _legend(change.scale, self.change)


def pattern_view(
    pattern: Pattern, *, width: int | None = None, title: str | None = None, top: int = 5
) -> RenderableType:
    """Return a pattern for a rich console: heat map, legend, statistics and the most active heads.

    Args:
        pattern: (L, H); up to about 75 heads fit beside each other on 80 columns.
        width: Columns; those of the console if None.
        title: First line.
        top: Heads named.
    """
    from rich.console import Group
    from rich.constrain import Constrain

    scale = Scale.of(pattern)
    parts: list[RenderableType] = [
        *([Line(title, "bold")] if title else []),
        HeatMap(pattern, scale),
        _legend(scale, pattern),
        "",
        _statistics_table({pattern.kind: statistics_of(pattern)}),
        "",
        _heads_table({"most active heads": most_active(pattern, top)}),
    ]
    return Constrain(Group(*parts), width)


def change_view(
    before: Pattern,
    after: Pattern,
    change: Pattern,
    *,
    names: tuple[str, str, str] = ("before", "after", "change"),
    width: int | None = None,
    top: int = 5,
) -> RenderableType:
    """Return two patterns and their change for a rich console: heat maps, statistics and the heads changed most.

    The last row of the statistics is by how much each rises from before to after, not a statistic of the change.

    Args:
        before: (L, H).
        after: (L, H).
        change: (L, H), absolute or relative.
        names: What the three are called.
        width: Columns; those of the console if None.
        top: Heads named, raised and lowered.
    """
    from rich.console import Group
    from rich.constrain import Constrain

    raised, lowered = most_changed(change, top)
    parts: list[RenderableType] = [
        _Beside(before, after, change, names),
        "",
        _statistics_table(
            {
                names[0]: statistics_of(before),
                names[1]: statistics_of(after),
                f"{names[1]} - {names[0]}": statistics_change(before, after),
            }
        ),
        "",
        _heads_table({"most raised": raised, "most lowered": lowered}),
    ]
    return Constrain(Group(*parts), width)


def _legend(scale: Scale, pattern: Pattern) -> _Legend:
    gaps = f", {_NO_ATTENTION} no attention" if np.isnan(pattern.values).any() else ""
    return _Legend(scale, unit(pattern) + gaps)


def _statistics_table(rows: Mapping[str, Mapping[str, float | int | None]]) -> WideTable:
    cells = [
        [
            name,
            *("–" if (x := found[key]) is None else f"{x:.3f}" for key in ("gini", "cv", "kurtosis", "loss")),
            "–" if (count := found["examples"]) is None else f"{count:,}",
        ]
        for name, found in rows.items()
    ]
    return WideTable(["", "Gini", "CV", "kurtosis", "loss (nats)", "examples"], cells, justify="right")


def _heads_table(columns: Mapping[str, Sequence[Head]]) -> Table:
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False, padding=(0, 4, 0, 0), header_style="dim")
    named = [
        [f"{f'layer {layer} head {head}':<18} {value:>#9.3g}" for layer, head, value in heads]
        for heads in columns.values()
    ]
    for row in zip_longest(*named, fillvalue=""):
        table.add_row(*row)
    return table
