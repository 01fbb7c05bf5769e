"""Heat maps, statistics and heads in the terminal, by rich; :mod:`headprint.plotting.figures` makes files.

Patterns are drawn on a sequential scale from 0, changes (and signed patterns) on a diverging one
around 0, both linear. Layer 0 is at the top. A layer without attention shows as ``·``, never as a
zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from headprint.patterns.pattern import Head, Pattern
from headprint.plotting.colors import Scale, unit

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

__all__ = [
    "HeatMap",
    "Scale",
    "most_active",
    "most_changed",
    "statistics_of",
    "terminal",
    "terminal_change",
    "unit",
]

_NO_ATTENTION = "·"
_WIDEST_CELL = 4
_LEGEND_CELLS = 21
_GAP = 3


def statistics_of(pattern: Pattern) -> dict[str, float | int | None]:
    """Gini, CV, kurtosis and the number of examples; None where there is none of it."""
    signed = bool((pattern.values < 0).any())
    return {
        "gini": None if signed or pattern.kind == "change" else pattern.gini(),
        "cv": pattern.cv(),
        "kurtosis": pattern.kurtosis(),
        "examples": pattern.provenance.get("examples"),
    }


def most_active(pattern: Pattern, k: int) -> list[Head]:
    """The k largest heads; of signed values the k furthest from 0."""
    return pattern.top(k, by="absolute" if Scale.of(pattern).diverging else "value")


def most_changed(change: Pattern, k: int) -> tuple[list[Head], list[Head]]:
    """The k heads that a change raises most and the k that it lowers most, if so many."""
    raised = [head for head in change.top(k) if head.value > 0]
    lowered = [head._replace(value=-head.value) for head in (change * -1.0).top(k) if head.value > 0]
    return raised, lowered


@dataclass(frozen=True)
class HeatMap:
    """Layers (rows) and heads (columns) for a rich console.

    Cells are coloured where the console has 256 colours or more, and shaded by characters elsewhere
    (in files, pipes, under ``NO_COLOR``). Heads that do not fit beside each other continue below.

    Attributes:
        pattern: What is drawn.
        scale: What the colours mean.
    """

    pattern: Pattern
    scale: Scale

    @property
    def narrowest(self) -> int:
        """Columns that it needs to have all heads beside each other."""
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


def _painter(console: Console, scale: Scale) -> Callable[[float, int], Text]:
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    coloured = console.color_system in ("256", "truecolor") and not console.no_color

    def paint(value: float, width: int) -> Text:
        if np.isnan(value):
            return Text(_NO_ATTENTION.center(width), style="dim")
        position = scale.position(float(value))
        if coloured:
            return Text(" " * width, Style(bgcolor=Color.from_rgb(*scale.colour(position))))
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
            table.add_row(*map(_heading, self.names))
            table.add_row(before, after, change)
            yield table
            yield _legend(levels, self.before)
        else:
            yield _heading(self.names[2])
            yield change
        yield _legend(change.scale, self.change)


def terminal(pattern: Pattern, *, width: int | None = None, title: str | None = None, top: int = 5) -> RenderableType:
    """A pattern for a rich console: heat map, legend, statistics and the most active heads.

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
        *([_heading(title)] if title else []),
        HeatMap(pattern, scale),
        _legend(scale, pattern),
        "",
        _statistics_table({pattern.kind: pattern}),
        "",
        _heads_table({"most active heads": most_active(pattern, top)}),
    ]
    return Constrain(Group(*parts), width)


def terminal_change(
    before: Pattern,
    after: Pattern,
    change: Pattern,
    *,
    names: tuple[str, str, str] = ("before", "after", "change"),
    width: int | None = None,
    top: int = 5,
) -> RenderableType:
    """Two patterns and their change for a rich console.

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
        _statistics_table(dict(zip(names, (before, after, change), strict=True))),
        "",
        _heads_table({"most raised": raised, "most lowered": lowered}),
    ]
    return Constrain(Group(*parts), width)


def _heading(text: str) -> Text:
    from rich.text import Text

    return Text(text, style="bold")


def _legend(scale: Scale, pattern: Pattern) -> _Legend:
    gaps = f", {_NO_ATTENTION} no attention" if np.isnan(pattern.values).any() else ""
    return _Legend(scale, unit(pattern) + gaps)


def _statistics_table(patterns: Mapping[str, Pattern]) -> Table:
    from rich.table import Table

    table = Table("", box=None, pad_edge=False, header_style="dim")
    for name in ("Gini", "CV", "kurtosis", "examples"):
        table.add_column(name, justify="right")
    for name, pattern in patterns.items():
        *shape, examples = statistics_of(pattern).values()
        count = "–" if examples is None else f"{examples:,}"
        table.add_row(name, *("–" if x is None else f"{x:.3f}" for x in shape), count)
    return table


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
