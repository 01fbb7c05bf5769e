"""Jobs are done once, in order, and survive failures and kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headprint.base.errors import InputError
from headprint.study.pipeline import Cache, DoneJob, Job
from headprint.study.pipeline import run as run_jobs
from headprint.study.pipeline.cache import DONE
from support.study_work import chain, fragile, number, tree

TESTS = Path(__file__).parents[2]


def run(wanted: list[Job], folder: Path, workers: int = 1) -> list[DoneJob]:
    return run_jobs(wanted, Cache(folder / "cache"), workers=workers)


def value(job: Job, folder: Path) -> int:
    return int(json.loads((folder / "cache" / job.id / "number.json").read_text()))


def begun(folder: Path) -> list[int]:
    """Values of the jobs that were begun, in order."""
    return [int(line.split()[0]) for line in (folder / "log").read_text().splitlines()]


def test_a_second_run_does_nothing(tmp_path: Path) -> None:
    first = run([tree()], tmp_path)
    assert value(tree(), tmp_path) == 8 + (2 + 1) + (4 + 1)
    assert [(done.job.label, done.cached) for done in first] == [
        ("root", False), ("left", False), ("right", False), ("top", False),
    ]  # fmt: skip
    again = run([tree()], tmp_path)
    assert [(done.job.label, done.cached) for done in again] == [
        ("root", True), ("left", True), ("right", True), ("top", True),
    ]  # fmt: skip
    assert [done.seconds for done in again] == [done.seconds for done in first]
    assert begun(tmp_path) == [1, 2, 4, 8]


def test_a_change_redoes_only_what_it_touches(tmp_path: Path) -> None:
    run([tree()], tmp_path)
    other = tree(left={"value": 3}, right={"seconds": 1e-9})
    assert {done.job.label for done in run([other], tmp_path) if not done.cached} == {"left", "top"}
    assert begun(tmp_path) == [1, 2, 4, 8, 3, 8]
    assert value(other, tmp_path) == 8 + (3 + 1) + (4 + 1)
    assert value(tree(), tmp_path) == 16  # and the old result is still there


def breakable(folder: Path, way: str) -> tuple[Path, Job, Job, Job]:
    """A job that fails as long as its stone is there, one beside it and one on top."""
    stone = folder / "stone"
    stone.write_text(way)
    root = number.job("root", value=1)
    side = number.job("side", {"root": root}, value=16)
    bad = fragile.job("middle", {"root": root}, value=2, stone=str(stone))
    return stone, side, bad, number.job("top", {"bad": bad}, value=4)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("way", "error", "message"),
    [
        ("wrong input", InputError, r"fragile \(middle\): stumbled over a stone; take it away"),
        ("full", InputError, r"fragile \(middle\): the disk of .* is full: free some space"),
        ("full, in Rust", InputError, r"fragile \(middle\): the disk of .* is full"),
        ("bug", RuntimeError, r"fragile \(middle\): KeyError: 'nothing of that name'"),
    ],
)
def test_a_failure_names_the_job_and_loses_nothing(
    workers: int, way: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    stone, side, bad, top = breakable(tmp_path, way)
    with pytest.raises(error, match=message) as found:
        run([side, top], tmp_path, workers=workers)
    assert "\n" not in str(found.value)
    assert set(begun(tmp_path)) <= {1, 16}
    assert (tmp_path / "cache" / bad.needs["root"].id / DONE).is_file()
    assert not (tmp_path / "cache" / bad.id).exists()
    stone.unlink()
    again = run([side, top], tmp_path)
    assert value(top, tmp_path) == 7
    assert {done.job.label for done in again if done.cached} >= {"root"}
    assert sorted(begun(tmp_path)) == [1, 2, 4, 16]  # each once


@pytest.mark.slow
def test_a_killed_worker_is_told_by_its_job(tmp_path: Path) -> None:
    _, _, _, top = breakable(tmp_path, "killed")
    with pytest.raises(InputError, match=r"killed, most likely for want of memory, .* fragile \(middle\): .* fewer"):
        run([top], tmp_path, workers=2)


def test_what_a_killed_run_left_is_done_again(tmp_path: Path) -> None:
    top = tree()
    run([top.needs["left"]], tmp_path)
    part = tmp_path / "cache" / f"{top.id}.part"
    part.mkdir()
    (part / "half").write_text("of another run")
    unmarked = tmp_path / "cache" / top.needs["right"].id
    unmarked.mkdir()
    (unmarked / "number.json").write_text("1000")
    run([top], tmp_path)
    assert value(top, tmp_path) == 16
    assert not part.exists()


def done_in(folder: Path) -> list[Path]:
    """The records of finished jobs; one in a folder not yet renamed is none."""
    return [path for path in folder.glob(f"cache/*/{DONE}") if path.parent.suffix != ".part"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_half_way_and_resumed(workers: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "support.study_work", str(tmp_path / "cache"), str(workers)]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])})
    finished: list[Path] = []
    until = time.monotonic() + 120
    while len(finished) < 3 and time.monotonic() < until:
        time.sleep(0.02)
        finished = done_in(tmp_path)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    for pid in {int(line.split()[1]) for line in (tmp_path / "log").read_text().splitlines()} - {process.pid}:
        _wait_until_gone(pid)
    kept = {path: path.stat().st_mtime_ns for path in done_in(tmp_path)}
    assert 3 <= len(kept) < 8
    again = run([chain()], tmp_path)
    assert sum(done.cached for done in again) == len(kept)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert value(chain(), tmp_path) == 11_111_111
    twice = [each for each in set(begun(tmp_path)) if begun(tmp_path).count(each) > 1]
    assert len(twice) <= 1  # what was under way
    assert not list(tmp_path.glob("cache/*.part"))


def _wait_until_gone(pid: int) -> None:
    """A worker leaves with the study that started it."""
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return  # dead; nobody here to bury it
        time.sleep(0.02)
    pytest.fail(f"worker {pid} outlives its study")
