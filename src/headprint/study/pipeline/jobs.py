"""Stages, which are kinds of work, and jobs, which are stages with settings.

A job's id is a hash of all that decides its result: its stage and that stage's version, its settings, and the ids of
the jobs that it needs. So a changed config redoes only what the change touches.

    @stage(version=1, ignores={"batch_tokens"})
    def levels(out: Path, needs: Needs, *, model: dict[str, Any], batch_tokens: int | None) -> None:
        ...                                                             # fill the folder

    job = levels.job("lab · pool", {"rows": pool}, model={...}, batch_tokens=4096)
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from headprint.base.settings import canonical

Needs: TypeAlias = Mapping[str, Path]
"""Folders of the jobs that a job needs, by the name that its stage knows them by."""

Check: TypeAlias = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, eq=False)
class Stage:
    """A kind of work.

    Attributes:
        work: A function of the folder to fill, of the folders that it needs, and of settings by keyword.
        version: Raised when the function changes its results: what older code left is then done again.
        ignores: Settings that do not decide the result, such as how much memory to use.
        check: Refuses settings that cannot work, before any job is begun.
    """

    work: Callable[..., None]
    version: int
    ignores: frozenset[str]
    check: Check | None = None

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.work.__name__

    @cached_property
    def settings(self) -> inspect.Signature:
        """What the function takes by keyword."""
        parameters = inspect.signature(self.work).parameters.values()
        return inspect.Signature([each for each in parameters if each.kind is each.KEYWORD_ONLY])

    def job(self, label: str, needs: Mapping[str, Job] | None = None, /, **settings: Any) -> Job:
        """One piece of this work.

        Args:
            label: For people.
            needs: Jobs whose results it reads.
            settings: JSON-able.

        Raises:
            TypeError: The function takes no such setting, or misses one.
        """
        self.settings.bind(**settings)
        return Job(self, label, settings, needs or {})


def stage(
    *, version: int, ignores: Collection[str] = (), check: Check | None = None
) -> Callable[[Callable[..., None]], Stage]:
    """Make a stage of a function; the arguments are the attributes of :class:`Stage`."""

    def made(work: Callable[..., None]) -> Stage:
        found = Stage(work, version, frozenset(ignores), check)
        if strange := found.ignores - set(found.settings.parameters):
            raise TypeError(f"{found.name} ignores {', '.join(sorted(strange))}, which it does not take")
        return found

    return made


@dataclass(frozen=True, eq=False)
class Job:
    """One node of the graph.

    Attributes:
        stage: What kind of work it is.
        label: For people: model, task, seed. Does not decide the result.
        settings: JSON-able; decide the result, but for those that the stage ignores.
        needs: Jobs whose results it reads, by the name that the stage knows them by.
    """

    stage: Stage
    label: str
    settings: Mapping[str, Any]
    needs: Mapping[str, Job] = field(default_factory=dict)

    @cached_property
    def key(self) -> dict[str, Any]:
        """The settings that decide the result."""
        return {name: value for name, value in self.settings.items() if name not in self.stage.ignores}

    @cached_property
    def id(self) -> str:
        """Stage, version and hash: the name of its folder in the cache."""
        content = canonical([self.key, {name: job.id for name, job in self.needs.items()}])
        return f"{self.stage.name}-v{self.stage.version}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    def __str__(self) -> str:
        """Stage and label, as messages name it."""
        return f"{self.stage.name} ({self.label})"


def in_order(wanted: Iterable[Job]) -> list[Job]:
    """All jobs that are needed, each after those that it needs, equal ones once."""
    found: dict[str, Job] = {}

    def visit(job: Job) -> None:
        if job.id not in found:
            for need in job.needs.values():
                visit(need)
            found[job.id] = job

    for job in wanted:
        visit(job)
    return list(found.values())
