"""The jobs of one model and seed that several chapters read: rows, trainings, evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from headprint.data.rows import fingerprint
from headprint.study.groundwork import models
from headprint.study.groundwork.evaluation import evaluation
from headprint.study.groundwork.levels import levels
from headprint.study.groundwork.models import settings_of
from headprint.study.groundwork.rows import READ_FIELDS, one_source, rows
from headprint.study.groundwork.settings import BaseConfig, Sizes, TaskConfig
from headprint.study.groundwork.training import train
from headprint.study.pipeline import Job


class Sources:
    """Jobs that draw rows, known by what the rows hash to, so that a changed file is another study.

    Rows to train on, probes and tests are jobs of their own: more tests train nothing again.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}

    def own(self, task: TaskConfig, name: str, seed: int, sizes: Sizes) -> Job:
        """Rows to train on, and those to draw mixtures from."""
        parts = {"train": task.train or sizes.train, "reserve": sizes.reserve}
        held = {"probe": sizes.probe, "test": sizes.test} if one_source(task) else {}  # they share the source
        return self._job(task, name, seed, {**parts, **held}, list(parts), held_out=False)

    def pool(self, task: TaskConfig, seed: int, size: int) -> Job:
        """Rows of a pool, from which nothing is held out."""
        return self._job(task, "pool", seed, {"train": size, "reserve": 0}, ["train", "reserve"], held_out=False)

    def probes(self, task: TaskConfig, name: str, seed: int, sizes: Sizes) -> Job:
        """Rows whose patterns are measured."""
        own = {"test": sizes.test} if one_source(task) else {}
        return self._job(task, name, seed, {"probe": sizes.probe, **own}, ["probe"], held_out=True)

    def tests(self, task: TaskConfig, name: str, seed: int, sizes: Sizes) -> Job:
        """Rows whose answers are scored: those after the probes."""
        return self._job(task, name, seed, {"probe": sizes.probe, "test": sizes.test}, ["test"], held_out=True)

    def _job(
        self, task: TaskConfig, name: str, seed: int, sizes: dict[str, int | None], parts: list[str], *, held_out: bool
    ) -> Job:
        return rows.job(
            f"{name} · {', '.join(parts)} · seed {seed}",
            task={field: getattr(task, field) for field in READ_FIELDS},
            data=task.data,
            test_data=task.test,
            content=self._content(task.data, task.train_split),
            held_out=self._content(task.test or task.data, task.test_split) if held_out else None,
            divided=one_source(task),
            name=name,
            seed=seed,
            parts=parts,
            **sizes,
        )

    def _content(self, source: str, split: str) -> str:
        if (source, split) not in self._known:
            self._known[source, split] = fingerprint(source, split=split)
        return self._known[source, split]


class Run:
    """One model and seed.

    Args:
        config: The study.
        model: Name of the model.
        seed: Of rows, training and draws.
        draws: Of every bootstrap.
        sources: Shared by the runs of a study, so that each source is read once.

    Raises:
        InputError: A task's rows are not there.
    """

    def __init__(self, config: BaseConfig, model: str, seed: int, draws: int, sources: Sources) -> None:
        self.config = config
        self.name = model
        self.seed = seed
        self.sources = sources
        self.model = {"model": settings_of(config.models[model])}
        self.measuring = {**self.model, "batch_tokens": config.batch_tokens}
        self.answering = {**self.measuring, "max_new_tokens": config.max_new_tokens}
        self.drawing = {"seed": seed, "draws": draws}
        tasks = config.tasks.items()
        self.rows = {name: sources.own(task, name, seed, config.sizes) for name, task in tasks}
        self.probes = {name: sources.probes(task, name, seed, config.sizes) for name, task in tasks}
        self.tests = {name: sources.tests(task, name, seed, config.sizes) for name, task in tasks}

    def label(self, *parts: str) -> str:
        """What a job is of, for people."""
        return " · ".join((self.name, *parts, f"seed {self.seed}"))

    @cached_property
    def described(self) -> Job:
        """What the model is."""
        return models.model.job(self.name, **self.model)

    @cached_property
    def tuned(self) -> dict[str, Job]:
        """By task, the training that all exhibits read: on its rows, with its probes tracked."""
        track = self.config.track
        return {
            task: self._train(self.label(task), task, {"probe": self.probes[task]}, {"task": task, "track": track})
            for task in self.config.tasks
        }

    def evaluate(self, task: str, tuned: Job | None, *label: str) -> Job:
        """How a training, or the model itself, does on a task's test rows."""
        needs = {"rows": self.tests[task], **({"start": tuned} if tuned else {})}
        scorer = self.config.tasks[task].scorer
        return evaluation.job(self.label(*label), needs, **self.answering, scorer=scorer)

    def levels(
        self, what: str, rows: Job, *, start: Job | None = None, sketch: int | None = None, limit: int | None = None
    ) -> Job:
        """The levels of rows to train on.

        Args:
            what: Of which rows, for people.
            rows: The job that drew them.
            start: A training, whose outcome measures them; None: the model itself.
            sketch: Directions of head gradients, 0 for as many as is usual; None: levels only.
            limit: Only the first N rows.
        """
        needs = {"rows": rows, **({"start": start} if start else {})}
        return levels.job(self.label(what), needs, **self.measuring, sketch=sketch, limit=limit)

    def two_steps(self, target: str, chosen: Job, sft: dict[str, Any], steps: int, *label: str) -> Job:
        """How the model does on a target after training on chosen rows, then on the target's own.

        Args:
            target: The task; step 2 trains on it exactly as ``tuned`` does, without the tracking.
            chosen: The job that chose the rows of step 1.
            sft: Fields of ``SFTConfig`` for step 1, over the study's.
            steps: Of step 1.
            label: What the choice is of, for people.
        """
        step_1 = train.job(
            self.label(*label, "step 1"),
            {"rows": chosen},
            **self.measuring,
            sft=self.config.sft_for(self.name, step_1=sft),
            steps=steps,
            seed=self.seed,
        )
        step_2 = self._train(self.label(*label, "step 2"), target, {"start": step_1}, {})
        return self.evaluate(target, step_2, *label)

    def _train(self, label: str, task: str, needs: Mapping[str, Job], settings: Mapping[str, Any]) -> Job:
        return train.job(
            label,
            {"rows": self.rows[task], **needs},
            **self.measuring,
            sft=self.config.sft_for(self.name, task),
            seed=self.seed,
            **settings,
        )
