"""Stages that take no time, for the tests of the study's pipeline.

``python -m support.study_work CACHE WORKERS`` runs a chain of them in a process that a test can kill.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from headprint.base.errors import InputError
from headprint.study.pipeline import Cache, Job, Needs, run, stage


@stage(version=1, ignores={"seconds"})
def number(out: Path, needs: Needs, *, value: int, seconds: float = 0) -> None:
    """A value that depends on the settings, and on all that is needed."""
    assert not list(out.iterdir())  # what a killed run left is gone
    _log(value, out)
    (out / "half").write_text("written first")
    time.sleep(seconds)
    below = [json.loads((folder / "number.json").read_text()) for folder in needs.values()]
    (out / "number.json").write_text(json.dumps(value + sum(below)))


@stage(version=1)
def fragile(out: Path, needs: Needs, *, value: int, stone: str) -> None:
    """Fails as long as a file is there, in the way that is written in it."""
    if Path(stone).exists():
        raise_as(Path(stone).read_text())
    number.work(out, needs, value=value)
    (out / "number.json").rename(out / "fragile.json")
    (out / "number.json").write_text((out / "fragile.json").read_text())


def raise_as(way: str) -> None:
    """Fail in one of some ways."""
    if way == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if way == "full, in Rust":
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")
    if way == "bug":
        raise KeyError("nothing of that name")
    if way == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    raise InputError("stumbled over a stone; take it away")


def tree(**changed: Any) -> Job:
    """``top`` of two branches of one root: 1 + 2, 1 + 4, and 8 on top."""
    settings = {name: {"value": value} for name, value in (("root", 1), ("left", 2), ("right", 4), ("top", 8))}
    for name, more in changed.items():
        settings[name] |= more
    root = number.job("root", **settings["root"])
    left = number.job("left", {"root": root}, **settings["left"])
    right = number.job("right", {"root": root}, **settings["right"])
    return number.job("top", {"left": left, "right": right}, **settings["top"])


def chain(length: int = 8) -> Job:
    """Jobs that each need the one before, and take a moment."""
    job = number.job("0", value=1, seconds=0.15)
    for i in range(1, length):
        job = number.job(str(i), {"before": job}, value=10**i, seconds=0.15)
    return job


def _log(value: int, out: Path) -> None:
    """Each job that is begun, and by whom, beside the cache."""
    with (out.parent.parent / "log").open("a") as file:
        file.write(f"{value} {os.getpid()}\n")


if __name__ == "__main__":
    from support.study_work import chain as importable  # by the workers, which do not know __main__

    run([importable()], Cache(sys.argv[1]), workers=int(sys.argv[2]))
