"""Does what is not done yet, in this process or in several.

A result is a folder that is written beside its place and renamed, so a killed run loses only what was under way.
"""

from __future__ import annotations

import errno
import gc
import os
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

from headprint.base.errors import InputError
from headprint.base.files import write_json
from headprint.base.provenance import versions
from headprint.study.pipeline.cache import DONE, Cache
from headprint.study.pipeline.jobs import Job, Stage, in_order

_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class DoneJob:
    """A job that is done.

    Attributes:
        job: Which.
        seconds: How long it took.
        cached: Whether it was done before.
    """

    job: Job
    seconds: float
    cached: bool


@dataclass(frozen=True)
class _Task:
    """A job as plain types, which travel to another process."""

    module: str
    stage: str
    label: str
    settings: dict[str, Any]
    needs: dict[str, str]
    out: str

    @classmethod
    def of(cls, job: Job, cache: Cache) -> _Task:
        return cls(
            module=job.stage.work.__module__,
            stage=job.stage.name,
            label=job.label,
            settings=dict(job.settings),
            needs={name: str(cache.of(need)) for name, need in job.needs.items()},
            out=str(cache.of(job)),
        )


def run(
    wanted: Iterable[Job],
    cache: Cache,
    *,
    workers: int = 1,
    started: Callable[[Job], None] = lambda job: None,
    finished: Callable[[DoneJob], None] = lambda done: None,
) -> list[DoneJob]:
    """Do what is not done yet.

    Args:
        wanted: Jobs; those that they need are done, too.
        cache: Where results are, and go.
        workers: Processes; the processor's cores are shared among them. 1 works in this process.
        started: Called with each job that begins.
        finished: Called with each job that is done now, or was before.

    Returns:
        All jobs, in the order in which they were done.

    Raises:
        InputError: A job found the user's input wrong, or the disk full: which job. The others that were under way are
            finished first.
    """
    jobs = in_order(wanted)
    cache.folder.mkdir(parents=True, exist_ok=True)
    found: list[DoneJob] = []

    def done(job: Job, *, cached: bool) -> None:
        found.append(DoneJob(job, cache.seconds(job), cached))
        finished(found[-1])

    waiting = []
    for job in jobs:
        if cache.has(job):
            done(job, cached=True)
        else:
            waiting.append(job)
    if workers == 1:
        for job in waiting:
            started(job)
            _do(_Task.of(job, cache))
            done(job, cached=False)
    elif waiting:
        _in_parallel(waiting, cache, workers, started, lambda job: done(job, cached=False))
    return found


def _in_parallel(
    waiting: list[Job], cache: Cache, workers: int, started: Callable[[Job], None], done: Callable[[Job], None]
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
                    under_way[pool.submit(_do, _Task.of(job, cache))] = job
            ready, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in ready:
                try:
                    future.result()
                except BrokenProcessPool as error:
                    names = " or ".join(str(job) for job in under_way.values())
                    raise InputError(
                        f"a worker process was killed, most likely for want of memory, while it did {names}: run the "
                        "same command again with fewer --workers; finished jobs are not repeated"
                    ) from error
                job = under_way.pop(future)
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


def _do(task: _Task) -> None:
    stage: Stage = getattr(import_module(task.module), task.stage)
    out = Path(task.out)
    part = out.with_name(f"{out.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        start = time.perf_counter()
        stage.work(part, {name: Path(folder) for name, folder in task.needs.items()}, **task.settings)
        _free_memory()
        record = {
            "stage": task.stage,
            "version": stage.version,
            "label": task.label,
            "settings": task.settings,
            "needs": {name: Path(folder).name for name, folder in task.needs.items()},
            "seconds": time.perf_counter() - start,
            "versions": versions(),
        }
        write_json(part / DONE, record)
        shutil.rmtree(out, ignore_errors=True)  # one without its record: not ours to trust
        part.rename(out)
    except Exception as error:
        name = f"{task.stage} ({task.label})"
        if isinstance(error, InputError):
            raise InputError(f"{name}: {error}") from error
        if _disk_is_full(error):
            shutil.rmtree(part, ignore_errors=True)
            raise InputError(
                f"{name}: the disk of {out.parent} is full: free some space and run the same command again; "
                "finished jobs are not repeated"
            ) from error
        raise RuntimeError(f"{name}: {type(error).__name__}: {error}") from error


def _disk_is_full(error: BaseException | None) -> bool:
    """Whether an error says so, by its number or in the words of a library in another language."""
    while error is not None:
        if getattr(error, "errno", None) in _FULL or os.strerror(errno.ENOSPC) in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _free_memory() -> None:
    """Objects of a trainer refer to one another: without this a GPU may hold the last job's model beside the next's."""
    if "torch" in sys.modules and (cuda := sys.modules["torch"].cuda).is_initialized():
        gc.collect()
        cuda.empty_cache()
