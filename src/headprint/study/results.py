"""What a study found: the types of ``results.json``, written and read in one place.

Every other module of the study reads results through these types, so a renamed field is an error of the type checker
and of the reader, and never a number that silently goes missing.
"""

from __future__ import annotations

from dataclasses import field, fields, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import Field
from pydantic.dataclasses import dataclass

from headprint.base.errors import InputError
from headprint.base.files import read_json, write_json
from headprint.study.chapters import CHAPTERS, EXPERIMENTS, Chapter
from headprint.study.chapters.chapter import View
from headprint.study.records import STRICT, parsed, plain
from headprint.study.verdicts import Finding
from headprint.study.views import Figure

RESULTS = "results.json"
FORMAT = 1
"""Raised when what a field means changes: results of another format are not read."""

ExhibitT = TypeVar("ExhibitT")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Machine:
    """Where the study ran."""

    processor: str
    threads: int
    device: str


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TaskFacts:
    """A task, for readers: rows to train on, probes, test rows."""

    kind: str
    description: str
    train: int
    probe: int
    test: int
    scorer: str | None
    parts: list[str] | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelFacts:
    """A model, as it was loaded."""

    id: str
    layers: int
    heads: int
    parameters: int
    kernel: str
    fingerprint: str
    device: str


@dataclass(frozen=True, kw_only=True, config=STRICT)
class JobRecord:
    """A finished job.

    Attributes:
        stage: What kind of work it was.
        id: Folder in the cache.
        label: For people: model, task, seed.
        seconds: How long it took.
        cached: Whether it was done before this run.
    """

    stage: str = Field(validation_alias="job", serialization_alias="job")
    id: str
    label: str = Field(validation_alias="about", serialization_alias="about")
    seconds: float
    cached: bool


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Results:
    """A study's results, finished or under way.

    Attributes:
        format: Of the file.
        name: The study's name.
        created: When it was started, ISO 8601, UTC.
        config: The config, resolved, as plain types.
        versions: Of Python and of the libraries that decide numbers.
        machine: Where it ran.
        seeds: In the order of the config.
        tasks: By name.
        complete: Whether all jobs are done; without it there are no exhibits.
        missing: Jobs that are not done.
        seconds: How long the last run took; None while it is under way.
        workers: Processes of the last run.
        models: By name, as they were loaded.
        jobs: Those that are done, in the order in which they were.
        findings: Claims and verdicts.
        exhibits: By name of the chapter, its record. In the file their fields stand side by side.
    """

    format: int = FORMAT
    name: str
    created: str
    config: dict[str, Any]
    versions: dict[str, str]
    machine: Machine
    seeds: list[int]
    tasks: dict[str, TaskFacts]
    complete: bool = False
    missing: int = 0
    seconds: float | None = None
    workers: int | None = None
    models: dict[str, ModelFacts] = field(default_factory=dict)
    jobs: list[JobRecord] = Field(default_factory=list, validation_alias="stages", serialization_alias="stages")
    findings: list[Finding] = field(default_factory=list)
    exhibits: dict[str, Any] = field(default_factory=dict)

    def of(self, chapter: Chapter[ExhibitT]) -> ExhibitT | None:
        """The exhibit of a chapter; None if the study has none."""
        return cast("ExhibitT | None", self.exhibits.get(chapter.name))

    def views(self, chapter: Chapter[Any]) -> list[View]:
        """What a reader sees of a chapter; nothing if the study has no such exhibit."""
        exhibit = self.of(chapter)
        return [] if exhibit is None else list(chapter.views(exhibit, self.seeds))

    def chapters(self) -> list[Chapter[Any]]:
        """The chapters that the config asks for: by default those of the paper, and the experiments that were made."""
        only = self.config.get("chapters")
        return [
            chapter
            for chapter in CHAPTERS
            if (chapter.name in only if only else chapter.name in self.exhibits or chapter.name not in EXPERIMENTS)
        ]

    def figures(self) -> list[Figure]:
        """The figures of all chapters."""
        return [view for chapter in CHAPTERS for view in self.views(chapter) if isinstance(view, Figure)]

    def concluded(self) -> Results:
        """The same results with a finding for every claim."""
        found = [chapter.finding(self.of(chapter), self.seeds) for chapter in self.chapters()]
        return replace(self, findings=[finding for finding in found if finding is not None])

    def to_json(self) -> dict[str, Any]:
        """Plain types, as ``results.json`` holds them; an exhibit that was not made is left out."""
        found = {
            key: plain(value)
            for exhibit in self.exhibits.values()
            for key, value in vars(exhibit).items()
            if value is not None
        }
        return {**{name: value for name, value in plain(self).items() if name != "exhibits"}, "exhibits": found}

    @classmethod
    def from_json(cls, content: Any, where: str = RESULTS) -> Results:
        """Read what :meth:`to_json` wrote.

        Args:
            content: Plain types.
            where: The file, for messages.

        Raises:
            InputError: It is not a study's results, of another format, or a field is wrong: which.
        """
        if not isinstance(content, dict) or "format" not in content:
            raise InputError(f"{where} is not a study's results: give the directory that `headprint study --out` wrote")
        if content["format"] != FORMAT:
            raise InputError(
                f"{where} has format {content['format']}, and this headprint reads {FORMAT}: run the study again"
            )
        there = dict(content.get("exhibits", {}))
        found = {}
        for chapter in CHAPTERS:
            if own := {key: there.pop(key) for key in chapter.exhibits if key in there}:
                absent = {each.name: None for each in fields(chapter.exhibit)}
                found[chapter.name] = parsed(chapter.exhibit, absent | own, f"{where}: exhibits")
        if there:
            raise InputError(f"{where}: exhibits: no chapter knows {next(iter(there))!r}: a newer headprint wrote it")
        return parsed(cls, {**content, "exhibits": found}, where)

    def write(self, folder: Path) -> None:
        """Write ``results.json`` into a study's directory, whole or not at all."""
        write_json(folder / RESULTS, self.to_json(), indent=None)


def read_results(run: str | Path) -> Results:
    """Read the results of a finished study.

    Args:
        run: Its directory, or its ``results.json``.

    Raises:
        InputError: There are none, they are of an unfinished study, or of something else.
    """
    run = Path(run)
    path = run if run.is_file() else run / RESULTS
    if not path.is_file():
        where = f"{run} has no {RESULTS}" if run.is_dir() else f"there is no directory {run}"
        raise InputError(f"{where}: give the directory of a study, or run `headprint study [CONFIG] --out {run}` first")
    results = Results.from_json(read_json(path), str(path))
    if not results.complete:
        raise InputError(
            f"{path}: the study is not finished, {len(results.jobs)} jobs are done and {results.missing} missing; "
            "run `headprint study` again with the same --out and it goes on"
        )
    return results
