"""The jobs of a study: what each chapter reads, of each model and seed.

For each model and seed, every task is fine-tuned once with its probes tracked; all patterns come from
these runs. The two applications then train in two steps, step 1 on rows that a mixture or a
selection chose and step 2 on the target's own rows, exactly as the arm that has no step 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headprint.base.errors import InputError
from headprint.base.settings import canonical
from headprint.study.chapters import CHAPTERS, EXPERIMENTS, Chapter
from headprint.study.chapters.chapter import Planned
from headprint.study.config import StudyConfig
from headprint.study.groundwork import Run
from headprint.study.groundwork.run import Sources
from headprint.study.pipeline import Cache, Job, in_order


@dataclass(frozen=True)
class Plan:
    """A study's jobs.

    Attributes:
        runs: One of each model and seed, model by model.
        chapters: By name, the jobs of those chapters that the config asks for.
    """

    runs: list[Run]
    chapters: dict[str, list[Planned]]

    def jobs(self) -> list[Job]:
        """All jobs whose results are read: the models, then seed by seed, so that a killed study has finished some."""
        seeds = list(dict.fromkeys(run.seed for run in self.runs))
        found: list[Job] = list({run.name: run.described for run in self.runs}.values())
        for seed in seeds:
            if any(name not in EXPERIMENTS for name in self.chapters):  # experiments train by themselves
                found += [job for run in self.runs if run.seed == seed for job in run.tuned.values()]
            found += [
                job for parts in self.chapters.values() for part in parts if part.run.seed == seed
                for job in part.jobs.values()
            ]  # fmt: skip
        return found

    def readers(self) -> dict[str, list[Job]]:
        """The jobs that each exhibit reads, and those that the list of models does."""
        found = {"models": [run.described for run in self.runs]}
        for chapter in CHAPTERS:
            jobs = [job for part in self.chapters.get(chapter.name, ()) for job in part.jobs.values()]
            if jobs:
                found[" ".join(chapter.exhibits)] = jobs
        return found

    def check(self) -> None:
        """Refuse settings that some job would refuse, before any is begun.

        Raises:
            InputError: With the job.
        """
        seen = set()
        for job in in_order(self.jobs()):
            key = f"{job.stage.name} {canonical(job.settings)}"
            if job.stage.check is not None and key not in seen:
                seen.add(key)
                try:
                    job.stage.check(job.settings)
                except InputError as error:
                    raise InputError(f"{job}: {error}") from error

    def collect(self, cache: Cache) -> dict[str, Any]:
        """The exhibits by chapter, from finished jobs."""
        return {
            chapter.name: chapter.collect(self.chapters[chapter.name], cache)
            for chapter in CHAPTERS
            if chapter.name in self.chapters
        }


def plan(config: StudyConfig) -> Plan:
    """Plan a study.

    Raises:
        InputError: A task's rows are not there.
    """
    sources = Sources()
    runs = [
        Run(config, name, seed, draws=config.fits.draws, sources=sources)
        for name in config.models
        for seed in config.seeds
    ]
    chapters = {
        chapter.name: _planned(chapter, runs)
        for chapter in CHAPTERS
        if config.chapters is None or chapter.name in config.chapters
    }
    return Plan(runs, {name: parts for name, parts in chapters.items() if any(part.jobs for part in parts)})


def _planned(chapter: Chapter[Any], runs: list[Run]) -> list[Planned]:
    return [Planned(run, chapter.plan(run)) for run in runs]
