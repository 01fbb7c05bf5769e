"""The jobs of a study: who trains on what, and what each exhibit reads.

For each model and seed, every task is fine-tuned once with its probes tracked; all patterns come from
these runs. The two applications then train in two stages, a first one on rows that a mixture or a
selection chose and a second one on the target's own rows, exactly as the arm that has no first stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from headprint.data.rows import fingerprint
from headprint.study.config import Sizes, StudyConfig, TaskConfig
from headprint.study.jobs import Job
from headprint.study.rows import one_source

Key = tuple[str, ...]

_READING = ("data", "test", "train_split", "test_split", "prompt", "completion", "columns", "keep")
"""The fields of a task that decide its rows."""


@dataclass
class Plan:
    """The jobs whose results the exhibits read, each under what it is of.

    Attributes:
        models: By model.
        tuned: Training of a task, by model, task, seed.
        before: Evaluation of the untrained model, likewise.
        after: Evaluation of the tuned model, likewise.
        patterns: Table 1, figures 1 and 5, likewise.
        ablations: By model, task, mode, seed.
        correlations: By model, seed.
        fits: By model, target, method, seed.
        arms: Of table 2: choice of rows and final evaluation, by model, target, arm, seed.
        methods: Of table 3, likewise.
    """

    models: dict[str, Job] = field(default_factory=dict)
    tuned: dict[Key, Job] = field(default_factory=dict)
    before: dict[Key, Job] = field(default_factory=dict)
    after: dict[Key, Job] = field(default_factory=dict)
    patterns: dict[Key, Job] = field(default_factory=dict)
    ablations: dict[Key, Job] = field(default_factory=dict)
    correlations: dict[Key, Job] = field(default_factory=dict)
    fits: dict[Key, Job] = field(default_factory=dict)
    arms: dict[Key, tuple[Job, Job]] = field(default_factory=dict)
    methods: dict[Key, tuple[Job, Job]] = field(default_factory=dict)

    def jobs(self) -> list[Job]:
        """All of them, seed by seed: a killed study of many seeds has finished some."""
        single = (self.tuned, self.before, self.after, self.patterns, self.correlations, self.fits, self.ablations)
        found = [(key[-1], job) for part in single for key, job in part.items()]
        found += [(key[-1], job) for part in (self.arms, self.methods) for key, pair in part.items() for job in pair]
        seeds = list(dict.fromkeys(seed for seed, _ in found))
        found.sort(key=lambda each: seeds.index(each[0]))
        return [*self.models.values(), *(job for _, job in found)]


def plan(config: StudyConfig) -> Plan:
    """Lay out a study.

    Raises:
        InputError: A task's rows are not there.
    """
    laid = Plan()
    sources = _Sources()
    for name in config.models:
        for seed in config.seeds:
            _Run(config, laid, sources, name, seed).lay()
    return laid


class _Sources:
    """Jobs that deal rows, known by what the rows hash to, so that a changed file is another study.

    Rows to train on, probes and tests are jobs of their own: more tests do not train anything again.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}

    def own(self, task: TaskConfig, name: str, seed: int, sizes: Sizes, train: int, reserve: int | None) -> Job:
        """Rows to train on, and those to draw mixtures from."""
        parts = {"train": train, "reserve": reserve}
        held = {"probe": sizes.probe, "test": sizes.test} if one_source(task) else {}  # they share the source
        return self._job(task, name, seed, {**parts, **held}, list(parts), held_out=False)

    def probes(self, task: TaskConfig, name: str, seed: int, sizes: Sizes) -> Job:
        """Rows whose patterns are measured."""
        own = {"test": sizes.test} if one_source(task) else {}
        return self._job(task, name, seed, {"probe": sizes.probe, **own}, ["probe"], held_out=True)

    def tests(self, task: TaskConfig, name: str, seed: int, sizes: Sizes) -> Job:
        """Rows whose answers are judged: those after the probes."""
        return self._job(task, name, seed, {"probe": sizes.probe, "test": sizes.test}, ["test"], held_out=True)

    def _job(
        self, task: TaskConfig, name: str, seed: int, sizes: dict[str, int | None], parts: list[str], *, held_out: bool
    ) -> Job:
        settings = {
            "task": {field: getattr(task, field) for field in _READING},
            "name": name,
            "seed": seed,
            **sizes,
            "parts": parts,
            "content": self._content(task.data, task.train_split),
            "held_out": self._content(task.test or task.data, task.test_split) if held_out else None,
        }
        return Job("rows", f"{name} · {', '.join(parts)} · seed {seed}", settings)

    def _content(self, source: str, split: str) -> str:
        if (source, split) not in self._known:
            self._known[source, split] = fingerprint(source, split=split)
        return self._known[source, split]


def _files(model: str) -> list[list[str | int]] | None:
    """What tells one state of a model's directory from another; None for a hub id and the laboratory."""
    directory = Path(model).expanduser()
    if not directory.is_dir():
        return None
    found = ((path.name, path.stat()) for path in sorted(directory.iterdir()) if path.is_file())
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in found]


class _Run:
    """The jobs of one model and seed."""

    def __init__(self, config: StudyConfig, laid: Plan, sources: _Sources, name: str, seed: int) -> None:
        self.config, self.laid, self.sources = config, laid, sources
        self.name, self.seed = name, seed
        self.model = config.models[name]
        loading = {field: value for field, value in asdict(self.model).items() if field != "sft"}
        self.of_model = {"model": loading, "files": _files(self.model.model)}
        self.running = {**self.of_model, "batch_tokens": config.batch_tokens}
        self.judging = {**self.running, "max_new_tokens": config.max_new_tokens}
        self.drawing = {"seed": seed, "draws": config.fits.draws}
        sizes = config.sizes
        self.rows = {
            task: sources.own(each, task, seed, sizes, each.train or sizes.train, sizes.reserve)
            for task, each in config.tasks.items()
        }
        self.probes = {task: sources.probes(each, task, seed, sizes) for task, each in config.tasks.items()}
        self.tests = {task: sources.tests(each, task, seed, sizes) for task, each in config.tasks.items()}

    def lay(self) -> None:
        laid, config, name, seed = self.laid, self.config, self.name, str(self.seed)
        laid.models.setdefault(name, Job("model", name, self.of_model))
        for task in config.tasks:
            key = (name, task, seed)
            laid.tuned[key] = self._train(task, probe=True)
            laid.before[key] = self._evaluate(task, None)
            laid.after[key] = self._evaluate(task, laid.tuned[key])
            laid.patterns[key] = self._job("patterns", task, self.drawing, {"train": laid.tuned[key]})
        if len(config.tasks) > 1:
            laid.correlations[name, seed] = self._job("correlations", "all tasks", self.drawing, self._tuned())
        for target in config.targets if config.basis else ():
            for method in config.fits.methods:
                laid.fits[name, target, method, seed] = self._fit(target, method)
        self._lay_ablations()
        self._lay_mixtures()
        self._lay_selections()

    def _lay_ablations(self) -> None:
        given = self.config.ablations
        if given is None:
            return
        options = {name: getattr(given, name) for name in ("ks", "random", "same_layers")}
        options |= {"limit": given.rows, "seed": self.seed}
        for task in given.tasks or self.config.tasks:
            for mode in given.modes:
                tuned = self.laid.tuned[self.name, task, str(self.seed)]
                settings = {**self.judging, **options, "mode": mode, "scorer": self.config.tasks[task].scorer}
                needs = {"start": tuned, "rows": self.tests[task]}
                needs |= {"probe": self.probes[task]} if mode == "mean" else {}
                job = self._job("ablation", f"{task} · {mode}", settings, needs)
                self.laid.ablations[self.name, task, mode, str(self.seed)] = job

    def _lay_mixtures(self) -> None:
        given, basis = self.config.mixtures, self.config.basis
        if given is None:
            return
        for target in given.targets:
            fit = self.laid.fits.get((self.name, target, "nnls", str(self.seed))) or self._fit(target, "nnls")
            pool = {task: self.rows[task] for task in basis}
            common = {**self.of_model, "target": target, "basis": basis, "rows": given.rows, "seed": self.seed}
            parts = self.config.tasks[target].parts or []

            def chosen(arm: str, needs: Mapping[str, Job], about: str) -> Job:
                settings = {**common, "arm": arm, "parts": parts if arm == "named" else []}  # noqa: B023
                return self._job("mixture", f"{about} · {arm}", settings, {**pool, **needs})  # noqa: B023

            weighted = chosen("mixture", {"fit": fit}, target)
            for arm in given.arms:
                if arm == "named" and not parts:
                    continue
                needs = {"mixture": weighted}
                needs |= {"fit": fit} if arm == "permuted" else {}
                needs |= {"target": self.rows[target]} if arm == "longer" else {}
                first = weighted if arm == "mixture" else chosen(arm, needs, target)
                self.laid.arms[self.name, target, arm, str(self.seed)] = self._two_stages(target, first, given.first)

    def _lay_selections(self) -> None:
        given = self.config.selections
        if given is None:
            return
        none = Sizes(train=0, probe=0, test=0)
        pool = self.sources.own(given.pool, "pool", self.seed, none, given.pool_rows, 0)
        before = self._job("levels", "pool", self.running, {"rows": pool})
        for target in given.targets:
            tuned = self.laid.tuned[self.name, target, str(self.seed)]
            for method in given.methods:
                needs = {"rows": pool, "before": before, "target": tuned}
                if method.startswith("change"):
                    about = f"pool after {target}"
                    needs["after"] = self._job("levels", about, self.running, {"rows": pool, "start": tuned})
                settings = {"method": method, "rows": given.rows, "seed": self.seed}
                first = self._job("selection", f"{target} · {method}", settings, needs)
                self.laid.methods[self.name, target, method, str(self.seed)] = self._two_stages(
                    target, first, given.first
                )

    def _two_stages(self, target: str, first: Job, sft: dict[str, Any]) -> tuple[Job, Job]:
        """The rows of the first stage, and how the model does after both."""
        settings = {**self.running, "sft": {**self.config.sft, **self.model.sft, **sft}, "seed": self.seed}
        about = first.about.split(" · ", 1)[1].rsplit(" · seed", 1)[0]
        staged = self._job("train", f"{about} · first stage", settings, {"rows": first})
        tuned = self._train(target, start=staged, about=f"{about} · target")
        return first, self._evaluate(target, tuned, about=about)

    def _train(self, task: str, *, probe: bool = False, start: Job | None = None, about: str | None = None) -> Job:
        scarce = self.config.scarce_sft if self.config.tasks[task].kind == "complex" else {}
        sft = {**self.config.sft, **scarce, **self.model.sft}
        settings: dict[str, Any] = {**self.running, "sft": sft, "seed": self.seed}
        needs = {"rows": self.rows[task]}
        if probe:
            settings |= {"task": task, "track": self.config.track}
            needs["probe"] = self.probes[task]
        if start is not None:
            needs["start"] = start
        return self._job("train", about or task, settings, needs)

    def _evaluate(self, task: str, tuned: Job | None, about: str | None = None) -> Job:
        settings = {**self.judging, "scorer": self.config.tasks[task].scorer}
        needs = {"rows": self.tests[task], **({"start": tuned} if tuned else {})}
        return self._job("evaluation", about or f"{task} {'after' if tuned else 'before'}", settings, needs)

    def _fit(self, target: str, method: str) -> Job:
        fits = self.config.fits
        settings = {
            **self.drawing,
            "target": target,
            "basis": self.config.basis,
            "method": method,
            "relative": fits.relative,
            "permutations": fits.permutations,
        }
        return self._job("fit", f"{target} · {method}", settings, self._tuned())

    def _tuned(self) -> dict[str, Job]:
        return {task: self.laid.tuned[self.name, task, str(self.seed)] for task in self.config.tasks}

    def _job(self, kind: str, about: str, settings: Mapping[str, Any], needs: Mapping[str, Job]) -> Job:
        return Job(kind, f"{self.name} · {about} · seed {self.seed}", settings, needs)
