"""A study from its config to its report, in one directory that can be killed, resumed and replayed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from headprint.base.errors import InputError
from headprint.base.files import read_json, write_atomically
from headprint.base.progress import progress
from headprint.base.provenance import processor, versions
from headprint.base.run_directory import RunDirectory, RunKind
from headprint.study.chapters.ablation import check_heads
from headprint.study.config import StudyConfig
from headprint.study.config import load as load_config
from headprint.study.groundwork.evaluation import check_rows
from headprint.study.pipeline import Cache, DoneJob, Explanation, Job, explain, in_order
from headprint.study.pipeline import run as run_jobs
from headprint.study.plan import Plan, plan
from headprint.study.results import RESULTS, JobRecord, Machine, ModelFacts, Results, TaskFacts

CONFIG = "config.yaml"
CACHE = "cache"


def _config_there(path: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not the config of a study: {error}") from error
    return found if isinstance(found, dict) else {}


STUDY = RunKind(
    name="study",
    record=CONFIG,
    read=_config_there,
    progress=(f"{CACHE}/*/done.json",),
    leftovers=(CACHE, RESULTS),
)


def study(
    config: StudyConfig | str | Path = "lab",
    out: str | Path = "runs/study",
    *,
    workers: int | None = None,
    seeds: list[int] | None = None,
    show_progress: bool = False,
) -> Results:
    """Run a study, or what is left of it.

    Args:
        config: What to do; a YAML file; or the name of a config that comes with headprint.
        out: Directory. Finished jobs in ``out/cache`` are kept and used again, whatever else changed in the config.
        workers: Processes; None: :func:`sensible_workers`.
        seeds: In the place of the config's.
        show_progress: Report progress on stderr.

    Returns:
        The results: what ``out/results.json`` holds.

    Raises:
        InputError: The config or the data is wrong, or another process works in ``out``.
    """
    given = _resolved(config, seeds)
    directory = RunDirectory(out, STUDY)
    directory.check()
    planned = plan(given)  # before anything is made: it finds missing data
    planned.check()
    record = yaml.safe_dump(given.to_dict(), sort_keys=False, allow_unicode=True).encode()
    with directory.begin(record):
        write_atomically(directory.record, record)  # of a resumed study, too: its config may have changed
        results = _run(given, planned, directory.path, workers or sensible_workers(), show_progress)
        directory.finish()
        return results


def explain_study(
    config: StudyConfig | str | Path = "lab", out: str | Path = "runs/study", *, seeds: list[int] | None = None
) -> list[Explanation]:
    """Say what a study would do, and why; nothing is written.

    Args:
        config: As for :func:`study`.
        out: The directory whose cache is looked at; it need not exist.
        seeds: In the place of the config's.

    Returns:
        One explanation a job, each after those of the jobs that it needs.

    Raises:
        InputError: The config or the data is wrong.
    """
    planned = plan(_resolved(config, seeds))
    planned.check()
    return explain(planned.readers(), Cache(Path(out) / CACHE))


def sensible_workers() -> int:
    """How many processes are fast: small models on a CPU gain more from two processes than from two threads."""
    import torch

    return 1 if torch.cuda.is_available() else max(1, min(4, os.cpu_count() or 1))


def _resolved(config: StudyConfig | str | Path, seeds: list[int] | None) -> StudyConfig:
    """The config, with paths that hold from everywhere."""
    given = config if isinstance(config, StudyConfig) else load_config(config)
    return (replace(given, seeds=seeds) if seeds else given).resolved(Path.cwd())


def _run(config: StudyConfig, planned: Plan, out: Path, workers: int, show_progress: bool) -> Results:
    from headprint.study.render import write_pictures, write_tables
    from headprint.study.report import write as write_report

    start, cache = time.perf_counter(), Cache(out / CACHE)
    jobs = in_order(planned.jobs())
    head = _head(config)
    done: dict[str, DoneJob] = {}

    def save() -> None:
        records = [_record(each) for each in done.values()]
        replace(head, jobs=records, missing=len(jobs) - len(done)).write(out)

    save()
    with _reporting(len(jobs), show_progress) as (started, finished):

        def note(each: DoneJob) -> None:
            if each.job.id not in done:
                done[each.job.id] = each
                save()
                finished(each)

        # Rows, then models: what is wrong with them is found before the first training, and before a model is loaded.
        # They take seconds, which is less than starting a worker does.
        for early in ("rows", "model"):
            early_jobs = [job for job in jobs if job.stage.name == early]
            run_jobs(early_jobs, cache, started=started, finished=note)
            {"rows": check_rows, "model": check_heads}[early](jobs, cache)
        run_jobs(planned.jobs(), cache, workers=workers, started=started, finished=note)
    exhibits = planned.collect(cache)
    results = replace(
        head,
        complete=True,
        seconds=round(time.perf_counter() - start, 1),
        workers=workers,
        models={
            run.name: ModelFacts(**read_json(cache.of(run.described) / "model.json")) for run in reversed(planned.runs)
        },
        jobs=[_record(each) for each in done.values()],
        exhibits=exhibits,
    ).concluded()
    results.write(out)
    figures = results.figures()
    write_tables(figures, out / "tables")
    write_pictures(figures, out / "figures")
    write_report(results, out / "report.html")
    return results


def _head(config: StudyConfig) -> Results:
    """What is known of the results before the first job."""
    import torch

    tasks = {
        name: TaskFacts(
            kind=task.kind,
            description=task.description,
            train=config.train_rows(name),
            probe=config.sizes.probe,
            test=config.sizes.test,
            scorer=task.scorer,
            parts=task.parts,
        )
        for name, task in config.tasks.items()
    }
    return Results(
        name=config.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        config=config.to_dict(),
        versions=versions(),
        machine=Machine(
            processor=processor(),
            threads=torch.get_num_threads(),
            device=torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        ),
        seeds=config.seeds,
        tasks=tasks,
    )


def _record(done: DoneJob) -> JobRecord:
    return JobRecord(
        stage=done.job.stage.name,
        id=done.job.id,
        label=done.job.label,
        seconds=round(done.seconds, 2),
        cached=done.cached,
    )


@contextmanager
def _reporting(total: int, enabled: bool) -> Iterator[tuple[Callable[[Job], None], Callable[[DoneJob], None]]]:
    """Progress in jobs, with the one that began last beside it."""
    with progress("study", total, enabled=enabled, unit="jobs") as advance:
        yield (lambda job: advance(0, under_way=str(job))), (lambda done: advance(1))
