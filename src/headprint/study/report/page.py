"""Writes the page: templates, style and script become one HTML file that loads nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headprint.base.files import to_json, write_atomically
from headprint.study.estimates import number
from headprint.study.report.compare import compare
from headprint.study.report.encode import encoded
from headprint.study.report.tables import ShownTable, shown, shown_tables
from headprint.study.results import JobRecord, Results
from headprint.study.verdicts import Finding
from headprint.study.views import Cell, Column, Drawing, Figure, Table, Text

if TYPE_CHECKING:
    from jinja2 import Environment

_SCRIPTS = ("base.js", "heat.js", "charts.js", "figures.js", "page.js")
VERDICTS = {
    "replicates": ("✓", "replicates", "yes"),
    "mixed": ("≈", "mixed", "partly"),
    "unclear": ("?", "unclear", "unclear"),
    "does not": ("✗", "does not replicate", "no"),
    "cannot be decided": ("?", "cannot be decided", "cannot be decided"),
    "one seed": ("1", "one seed", "one seed"),
    "not tested": ("–", "not tested", "not tested"),
}
"""Of each verdict its sign, and what it says of a claim of the paper and of a question that the paper leaves open."""


@dataclass(frozen=True)
class Section:
    """A chapter on the page.

    Attributes:
        key: Its anchor.
        title: Heading.
        question: What is asked.
        finding: What became of its claim; None if it makes none.
        views: Figures and texts; without any, one line says so.
    """

    key: str
    title: str
    question: str
    finding: Finding | None
    views: list[Figure | Text]


def write(results: Results, path: str | Path) -> None:
    """Write a study's page.

    Args:
        results: Of a finished study; exhibits may be absent.
        path: An HTML file.

    Raises:
        InputError: It cannot be written there.
    """
    sections = _sections(results)
    drawings = {
        view.name: view.drawing for part in sections for view in part.views if isinstance(view, Figure) and view.drawing
    }
    # Of all jobs: the call that finished a study may have found most of them done.
    seconds = sum(job.seconds for job in results.jobs)
    content = {"results": results, "seconds": seconds, "sections": sections, "jobs": _jobs(results.jobs)}
    _write("study.html.j2", content, drawings, path)


def write_comparison(first: Results, second: Results, path: str | Path) -> None:
    """Write two studies side by side: differences of their numbers, and the same heat maps of both.

    Args:
        first: One study.
        second: Another.
        path: An HTML file.

    Raises:
        InputError: It cannot be written there.
    """
    found = compare(first, second)
    drawings = {name: drawing for name, (_, drawing) in found.drawings.items()}
    _write("comparison.html.j2", {"comparison": found}, drawings, path)


def _sections(results: Results) -> list[Section]:
    found = {finding.key: finding for finding in results.findings}
    return [
        Section(chapter.name, chapter.title, chapter.question, found.get(chapter.name), results.views(chapter))
        for chapter in results.chapters()
    ]


def _jobs(jobs: Sequence[JobRecord]) -> list[ShownTable]:
    """Time by stage, and of each job."""
    of_stage: dict[str, list[JobRecord]] = {}
    for job in jobs:
        of_stage.setdefault(job.stage, []).append(job)
    totals: list[list[Cell]] = [
        [stage, len(of), sum(job.cached for job in of), sum(job.seconds for job in of)]
        for stage, of in of_stage.items()
    ]
    columns = [Column("Stage"), Column("Jobs"), Column("From the cache"), Column("Seconds", 1)]
    by_stage = Table(title="Time by stage", columns=columns, rows=totals)
    columns = [Column("Stage"), Column("Job"), Column("Seconds", 1), Column("From the cache"), Column("Id")]
    every: list[list[Cell]] = [[job.stage, job.label, job.seconds, job.cached, job.id] for job in jobs]
    return [shown(table) for table in (by_stage, Table(title="Every job", columns=columns, rows=every)) if table.rows]


def _write(template: str, content: Mapping[str, Any], drawings: Mapping[str, Drawing], path: str | Path) -> None:
    data = {"drawings": {name: encoded(drawing) for name, drawing in drawings.items()}}
    page = (
        _environment()
        .get_template(template)
        .render(
            **content,
            data=embedded(data),
            style=_asset("page.css"),
            script="\n".join(_asset(name) for name in _SCRIPTS),
            verdicts=VERDICTS,
        )
    )
    write_atomically(Path(path), page.encode())


def embedded(data: Any) -> str:
    """JSON that may stand inside a script element, whatever strings it holds."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    escapes = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
    for character, escape in escapes.items():
        text = text.replace(character, escape)
    return text


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("headprint.study.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "duration": _duration, "shown_tables": shown_tables}
    environment.filters["tidy_json"] = lambda value: to_json(value, indent=2)
    environment.tests["figure"] = lambda view: isinstance(view, Figure)
    return environment


def _asset(name: str) -> str:
    return files("headprint.study.report").joinpath("assets", name).read_text("utf-8")


def _duration(seconds: float) -> str:
    """``42 s``, ``8 min 32 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
