"""Running commands: in this process, or in one of their own; and files for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from headprint.cli.app import run
from headprint.patterns.pattern import Pattern

LAYERS, HEADS = 3, 4


def headprint_process(*arguments: object, **options) -> subprocess.Popen:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "80"}
    environment.pop("HEADPRINT_DEBUG", None)
    return subprocess.Popen(
        [sys.executable, "-m", "headprint", *map(str, arguments)],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def finished(process: subprocess.Popen) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=240)
    return process.returncode, stdout, stderr


def refusal(capsys, *arguments: object) -> str:
    """Run what must be refused: exit code 2, nothing on stdout, one line on stderr."""
    assert run([str(argument) for argument in arguments]) == 2
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    (line,) = stderr.splitlines()
    assert line.startswith("headprint: error: ")
    return line


def write_rows(path: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"prompt": f"Question: {rng.integers(999)} eggs?\nAnswer:", "completion": f" {'left ' * rng.integers(1, 9)}."}
        for _ in range(count)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")


def saved_with(path: Path, pattern: Pattern, **provenance) -> Path:
    Pattern(pattern.values, {**pattern.provenance, **provenance}).save(path)
    return path
