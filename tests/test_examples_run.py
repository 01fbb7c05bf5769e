"""Every script under examples/ runs as it is, in a directory of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs_and_says_something(script: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "100", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) >= 3
    _check(script.stem, done.stdout)


def _check(name: str, printed: str) -> None:
    """What an example promises in its docstring, where it can be read off its output."""
    if name == "resume":
        assert "the first shard is the one from before: True" in printed
    if name == "verify_your_own_model":
        verdicts = [line.split(":")[0].strip() for line in printed.splitlines() if "exact: " in line]
        assert verdicts == ["exact", "NOT exact", "NOT exact"]
    if name == "track_your_own_trainer":
        assert "the same weights without the tracker, to the bit: True" in printed
    if name == "before_and_after_training":
        line = next(line for line in printed.splitlines() if line.startswith("mean loss"))
        before, after = (float(word) for word in line.split() if word.replace(".", "").isdigit())
        assert after < before
