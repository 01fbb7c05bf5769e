"""Two studies side by side: verdicts, differences of the numbers in their tables, heat maps, and settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from headprint.base.settings import leaves
from headprint.study.estimates import Estimate, difference
from headprint.study.report.tables import Shown, ShownTable, cell
from headprint.study.results import Results
from headprint.study.verdicts import Finding
from headprint.study.views import Cell, Drawing, Figure, HeatMap, Panel, Plot, Table

Names = tuple[str, str]


@dataclass(frozen=True)
class Claim:
    """A claim and what each of the two studies found; None where one has no such chapter."""

    claim: str
    findings: tuple[Finding | None, Finding | None]


@dataclass(frozen=True)
class Comparison:
    """The page of two studies.

    Attributes:
        names: Of the studies, with A and B.
        runs: The studies.
        claims: Every claim of either.
        drawings: Title of the figure, and maps of both, by name.
        tables: Differences of the numbers that both have.
        missing: What only one of them has.
        settings: What their configs differ in.
    """

    names: Names
    runs: tuple[Results, Results]
    claims: list[Claim]
    drawings: dict[str, tuple[str, Drawing]]
    tables: list[ShownTable]
    missing: list[str]
    settings: ShownTable | None


def compare(first: Results, second: Results) -> Comparison:
    """Put two studies side by side. Studies of one model each are compared whatever the models are called."""
    names = (f"A: {first.name}", f"B: {second.name}")
    both = _figures(first), _figures(second)
    shared = [(both[0][name], both[1][name]) for name in both[0] if name in both[1]]
    return Comparison(
        names,
        (first, second),
        _claims(first, second),
        {a.name: (a.title, drawing) for a, b in shared if (drawing := _drawing(a, b))},
        [table for a, b in shared for table in _tables(a, b, names)],
        _missing(first, second, names),
        _settings(first, second, names),
    )


def _figures(results: Results) -> dict[str, Figure]:
    return {figure.name: figure for figure in results.figures()}


def _claims(first: Results, second: Results) -> list[Claim]:
    a, b = ({finding.key: finding for finding in results.findings} for results in (first, second))
    return [Claim((a.get(key) or b[key]).claim, (a.get(key), b.get(key))) for key in dict.fromkeys((*a, *b))]


def _tables(a: Figure, b: Figure, names: Names) -> Iterator[ShownTable]:
    of_b = {table.title: table for table in b.tables}
    for table in a.tables:
        other = of_b.get(table.title)
        if other is None or not table.keys:
            continue
        keys = [index for index in range(table.keys) if not (_is_context(table, index) and _is_context(other, index))]
        rows = list(_differences(table, other, keys))
        if rows:
            title = a.title if table is a.tables[0] else f"{a.title}: {table.title}"
            yield ShownTable(title, [*(table.columns[i].name for i in keys), "Number", *names, "B − A"], rows)


def _is_context(table: Table, index: int) -> bool:
    """Whether a column, such as the only model, tells no rows apart."""
    return table.columns[index].is_context and len({str(row[index]) for row in table.rows}) == 1


def _differences(a: Table, b: Table, keys: Sequence[int]) -> Iterator[list[Shown]]:
    """A row for each number with an interval that two tables share."""
    rows = {tuple(str(row[i]) for i in keys): row for row in b.rows}
    at = {column.name: index for index, column in enumerate(b.columns)}
    for row in a.rows:
        other = rows.get(tuple(str(row[i]) for i in keys))
        if other is None:
            continue
        for column, x in zip(a.columns, row, strict=True):
            y: Cell = other[at[column.name]] if column.name in at else None
            if isinstance(x, Estimate) and isinstance(y, Estimate) and x.value is not None and y.value is not None:
                change = cell(difference(y, x), replace(column, signed=True))
                both = [cell(each, column)._replace(strong=False) for each in (x, y)]
                yield [*(Shown(str(row[i])) for i in keys), Shown(column.name), *both, change]


def _drawing(a: Figure, b: Figure) -> Drawing | None:
    """The maps of both in one panel, so that they share their scales."""
    if not (a.drawing and b.drawing and a.drawing.compared):
        return None
    places = range(len(a.drawing.choosers))
    fixed = {i for i in places if all(len({panel.at[i] for panel in d.panels}) == 1 for d in (a.drawing, b.drawing))}
    wanted = [i for i in places if i not in fixed]

    def by_place(drawing: Drawing) -> dict[tuple[str, ...], Panel]:
        return {tuple(panel.at[i] for i in wanted): panel for panel in drawing.panels}

    of_b = by_place(b.drawing)
    panels = []
    for at, panel in by_place(a.drawing).items():
        if other := of_b.get(at):
            both = zip("AB", (panel, other), strict=True)
            plots = [_of_study(plot, name) for name, each in both for plot in each.plots]
            panels.append(Panel(plots=plots, at=at, columns=len(panel.plots)))
    return Drawing(panels=panels, choosers=[a.drawing.choosers[i] for i in wanted]) if panels else None


def _of_study(plot: Plot, name: str) -> Plot:
    titled = replace(plot, title=f"{name}: {plot.title}")
    # As rates, the maps of two studies would no longer share a scale.
    return replace(titled, rate_of=None) if isinstance(titled, HeatMap) else titled


def _missing(first: Results, second: Results, names: Names) -> list[str]:
    lines = []
    for one, other, name in ((first, second, names[0]), (second, first, names[1])):
        parts: tuple[tuple[str, Mapping[str, object], Mapping[str, object]], ...] = (
            ("exhibits", _figures(one), _figures(other)),
            ("tasks", one.tasks, other.tasks),
            ("models", one.models, other.models),
        )
        for what, of, others in parts:
            only = [each for each in of if each not in others]
            if only:
                lines.append(f"{what} in {name} only: {', '.join(only)}")
    return lines


def _settings(first: Results, second: Results, names: Names) -> ShownTable | None:
    a, b = dict(leaves(first.config)), dict(leaves(second.config))
    rows = [
        [Shown(name), Shown(a.get(name, "not set")), Shown(b.get(name, "not set"))]
        for name in dict.fromkeys((*a, *b))
        if a.get(name) != b.get(name)
    ]
    return ShownTable("Settings that differ", ["Setting", *names], rows) if rows else None
