"""A study from its config to its report, in one directory that can be killed, resumed and replayed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from headprint.base.errors import InputError
from headprint.base.files import without_nan, write_atomically
from headprint.base.provenance import processor, versions
from headprint.study.config import StudyConfig
from headprint.study.config import load as load_config
from headprint.study.exhibits import exhibits
from headprint.study.jobs import Job, Stage, in_order
from headprint.study.jobs import run as run_jobs
from headprint.study.plan import Plan, plan
from headprint.study.results import FORMAT, RESULTS, Results

CONFIG = "config.yaml"


def study(
    config: StudyConfig | str | Path = "lab",
    out: str | Path = "runs/study",
    *,
    workers: int | None = None,
    seeds: list[int] | None = None,
    show_progress: bool = False,
) -> dict[str, Any]:
    """Run a study, or what is left of it.

    Args:
        config: What to do; a YAML file; or the name of a config that comes with headprint.
        out: Directory. Finished jobs in ``out/cache`` are kept and used again, whatever else changed in the config.
        workers: Processes; None: :func:`sensible_workers`.
        seeds: In the place of the config's.
        show_progress: Show a progress bar on stderr.

    Returns:
        The results: what ``out/results.json`` holds.

    Raises:
        InputError: The config or the data is wrong, or another process works in ``out``.
    """
    given = config if isinstance(config, StudyConfig) else load_config(config)
    if seeds:
        given = replace(given, seeds=seeds)
    out = Path(out)
    _check_home(out)
    laid = plan(given)  # before anything is made: it finds missing data
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            return _run(given, laid, out, workers or sensible_workers(), show_progress)
    except Timeout as error:
        raise InputError(f"{out}: another process works here: wait for it, or choose another directory") from error


def sensible_workers() -> int:
    """How many processes are fast: small models on a CPU gain more from two processes than from two threads."""
    import os

    import torch

    return 1 if torch.cuda.is_available() else max(1, min(4, os.cpu_count() or 1))


def _run(given: StudyConfig, laid: Plan, out: Path, workers: int, show_progress: bool) -> dict[str, Any]:
    from headprint.study.render import write_pictures, write_tables
    from headprint.study.report import write as write_report

    start, cache = time.perf_counter(), out / "cache"
    write_atomically(out / CONFIG, yaml.safe_dump(given.to_dict(), sort_keys=False, allow_unicode=True).encode())
    head = _head(given)
    _save(out, {**head, "complete": False, "stages": [], "missing": len(in_order(laid.jobs()))})
    jobs = in_order(laid.jobs())
    stages: list[Stage] = []
    with _bar(len(jobs), show_progress) as (started, finished):

        def note(stage: Stage) -> None:
            stages.append(stage)
            _save(out, {**head, "complete": False, "stages": _told(stages), "missing": len(jobs) - len(stages)})
            finished(stage)

        run_jobs(laid.jobs(), cache, workers=workers, started=started, finished=note)
    found = exhibits(given, laid, cache)
    models = {name: json.loads((cache / job.id / "model.json").read_text()) for name, job in laid.models.items()}
    content = {
        **head,
        "complete": True,
        "seconds": round(time.perf_counter() - start, 1),
        "workers": workers,
        "models": models,
        "stages": _told(stages),
        "exhibits": found,
    }
    results = Results.from_json(without_nan(content)).concluded()
    results.write(out)
    figures = results.figures()
    write_tables(figures, out / "tables")
    write_pictures(figures, out / "figures")
    write_report(results, out / "report.html")
    return results.to_json()


def _head(given: StudyConfig) -> dict[str, Any]:
    import torch

    tasks = {
        name: {
            "kind": task.kind,
            "description": task.description,
            "train": task.train or given.sizes.train,
            "probe": given.sizes.probe,
            "test": given.sizes.test,
            "scorer": task.scorer,
            "parts": task.parts,
        }
        for name, task in given.tasks.items()
    }
    cuda = torch.cuda.is_available()
    return {
        "format": FORMAT,
        "name": given.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": given.to_dict(),
        "versions": versions(),
        "machine": {
            "processor": processor(),
            "threads": torch.get_num_threads(),
            "device": torch.cuda.get_device_name() if cuda else "cpu",
        },
        "seeds": given.seeds,
        "tasks": tasks,
    }


def _told(stages: list[Stage]) -> list[dict[str, Any]]:
    return [
        {
            "job": stage.job.kind,
            "id": stage.job.id,
            "about": stage.job.about,
            "seconds": round(stage.seconds, 2),
            "cached": stage.cached,
        }
        for stage in stages
    ]


def _save(out: Path, results: dict[str, Any]) -> None:
    text = json.dumps(without_nan(results), ensure_ascii=False, allow_nan=False)
    write_atomically(out / RESULTS, (text + "\n").encode())


def _check_home(out: Path) -> None:
    if out.is_file():
        raise InputError(f"{out} is a file: choose a directory")
    if out.is_dir() and any(out.iterdir()) and not (out / CONFIG).is_file() and not (out / ".lock").is_file():
        raise InputError(f"{out} holds something else than a study: choose another directory, or empty it")


class _bar:
    """A progress bar of jobs, with what is under way beside it."""

    def __init__(self, total: int, enabled: bool) -> None:
        self.total, self.enabled = total, enabled
        self.under_way: dict[str, str] = {}

    def __enter__(self) -> tuple[Callable[[Job], None], Callable[[Stage], None]]:
        if not self.enabled:
            self.screen: Any = nullcontext()
            return (lambda job: None), (lambda stage: None)
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self.screen = Progress(
            TextColumn("study"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
        )
        self.screen.__enter__()
        self.task = self.screen.add_task("", total=self.total)
        return self._started, self._finished

    def __exit__(self, *error: Any) -> None:
        self.screen.__exit__(*error)

    def _started(self, job: Job) -> None:
        self.under_way[job.id] = f"{job.kind} {job.about}"
        self._show()

    def _finished(self, stage: Stage) -> None:
        self.under_way.pop(stage.job.id, None)
        self.screen.advance(self.task)
        self._show()

    def _show(self) -> None:
        self.screen.update(self.task, description=next(iter(reversed(self.under_way.values())), ""))
