"""A graph of jobs whose results are cached by content, run by a few worker processes.

A job's id is a hash of all that decides its result: its kind, its settings, and the ids of the jobs
it needs. A result is a folder of that name, written beside and renamed, so a killed run loses only
what was under way, and a changed config redoes only what it touches.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

from headprint.base.errors import InputError
from headprint.base.files import write_atomically
from headprint.base.provenance import versions

DONE = "done.json"
EDITION = 1
"""Raised when the work itself changes its results: what older code left is then done again."""

Work = Callable[[dict[str, Any], dict[str, Path], Path], None]
"""Does a job: its settings, the results of the jobs it needs, the folder to fill."""


@dataclass(frozen=True, eq=False)
class Job:
    """One step of a study.

    Attributes:
        kind: The name of the function in `headprint.study.work` that does it.
        about: For people: model, task, seed. Does not decide the result.
        settings: JSON-able; decides the result.
        needs: Jobs whose results it reads, by the name that the function knows them by.
    """

    kind: str
    about: str
    settings: Mapping[str, Any]
    needs: Mapping[str, Job] = field(default_factory=dict)

    @cached_property
    def id(self) -> str:
        """Kind and hash."""
        content = [EDITION, self.kind, self.settings, {name: job.id for name, job in self.needs.items()}]
        text = json.dumps(content, sort_keys=True, ensure_ascii=False)
        return f"{self.kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Stage:
    """A job that is done."""

    job: Job
    seconds: float
    cached: bool


def in_order(wanted: Iterable[Job]) -> list[Job]:
    """All jobs that are needed, each after those it needs, equal ones once."""
    found: dict[str, Job] = {}

    def visit(job: Job) -> None:
        if job.id not in found:
            for need in job.needs.values():
                visit(need)
            found[job.id] = job

    for job in wanted:
        visit(job)
    return list(found.values())


def run(
    wanted: Iterable[Job],
    cache: Path,
    *,
    workers: int = 1,
    module: str = "headprint.study.work",
    started: Callable[[Job], None] = lambda job: None,
    finished: Callable[[Stage], None] = lambda stage: None,
) -> list[Stage]:
    """Do what is not done yet.

    Args:
        wanted: Jobs; those they need are done, too.
        cache: Folder of results.
        workers: Processes; the processor's cores are shared among them. 1 works in this process.
        module: Where the functions are.
        started: Told of each job that begins.
        finished: Told of each job that is done or was.

    Returns:
        All stages, in the order in which they were done.

    Raises:
        InputError: A job found the user's input wrong; says which. The others that were under way are finished first.
    """
    jobs = in_order(wanted)
    cache.mkdir(parents=True, exist_ok=True)
    stages: list[Stage] = []

    def done(job: Job, *, cached: bool) -> None:
        stages.append(Stage(job, json.loads((cache / job.id / DONE).read_text())["seconds"], cached))
        finished(stages[-1])

    waiting = []
    for job in jobs:
        if (cache / job.id / DONE).is_file():
            done(job, cached=True)
        else:
            waiting.append(job)
    if workers == 1:
        for job in waiting:
            started(job)
            _do(module, job.kind, _task(job, cache))
            done(job, cached=False)
        return stages
    _in_parallel(waiting, cache, workers, module, started, lambda job: done(job, cached=False))
    return stages


def _in_parallel(
    waiting: list[Job],
    cache: Path,
    workers: int,
    module: str,
    started: Callable[[Job], None],
    done: Callable[[Job], None],
) -> None:
    left = {job.id for job in waiting}
    threads = max(1, (os.cpu_count() or 1) // workers)
    under_way: dict[Future[None], Job] = {}
    # Spawned, not forked: torch's threads do not survive a fork.
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin, initargs=(threads,)) as pool:
        while waiting or under_way:
            for job in list(waiting):
                if len(under_way) < workers and left.isdisjoint(need.id for need in job.needs.values()):
                    waiting.remove(job)
                    started(job)
                    under_way[pool.submit(_do, module, job.kind, _task(job, cache))] = job
            ready, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in ready:
                job = under_way.pop(future)
                future.result()
                left.discard(job.id)
                done(job)


def _begin(threads: int) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()  # first: it may die while torch is imported
    import torch
    from transformers.utils import logging

    torch.set_num_threads(threads)
    logging.disable_progress_bar()  # the study has its own
    logging.set_verbosity_error()
    if not os.environ.get("HEADPRINT_DEBUG"):
        warnings.simplefilter("ignore")  # as the command line does
    sys.stdout = sys.stderr  # the study's results have stdout to themselves


def _end_with_parent() -> None:
    """Leave when the study is killed: a worker that goes on would write where the resumed study works."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def _task(job: Job, cache: Path) -> dict[str, Any]:
    """The job as plain types that travel to another process."""
    return {
        "about": job.about,
        "settings": dict(job.settings),
        "needs": {name: str(cache / need.id) for name, need in job.needs.items()},
        "out": str(cache / job.id),
    }


def _do(module: str, kind: str, task: dict[str, Any]) -> None:
    work: Work = getattr(import_module(module), kind)
    out = Path(task["out"])
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    start = time.perf_counter()
    try:
        work(task["settings"], {name: Path(folder) for name, folder in task["needs"].items()}, part)
    except InputError as error:
        raise InputError(f"{kind} ({task['about']}): {error}") from error
    _free_memory()
    record = {**task, "seconds": time.perf_counter() - start, "versions": versions()}
    write_atomically(part / DONE, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())
    shutil.rmtree(out, ignore_errors=True)  # one without its mark: not ours to trust
    part.rename(out)


def _free_memory() -> None:
    """Objects of a trainer refer to one another: without this a GPU may hold the last job's model beside the next's."""
    if "torch" in sys.modules and (cuda := sys.modules["torch"].cuda).is_initialized():
        gc.collect()
        cuda.empty_cache()
