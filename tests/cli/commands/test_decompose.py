"""``headprint decompose``: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json

import pytest

from headprint.analysis.mixture import load_weights
from headprint.cli.app import run
from support.pattern_sets import planted


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Options of the command for a planted target, and the directory that they are in."""
    target, basics = planted(tasks=("math", "code", "facts"))
    for name, pair in {"target": target, **basics}.items():
        for when, levels in zip(("before", "after"), pair, strict=True):
            levels.save(tmp_path / f"{name}-{when}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    options = [f"--basic={name}={name}-before,{name}-after" for name in basics]
    return [
        "decompose",
        "--target=math_code=target-before,target-after",
        *options,
        "--permutations=20",
        "--bootstrap=30",
    ]


def test_command(files, tmp_path, capsys):
    assert run([*files, "--subsets", "--out=d.json"]) == 0
    shown = capsys.readouterr()
    assert max(map(len, shown.out.splitlines())) <= 80
    for words in ("math + code", "best above median", "R² on held-out heads", "permuted within layers"):
        assert words in shown.out
    assert shown.err == "headprint: wrote d.json\n"
    assert run([*files, "--subsets", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "d.json").read_text())
    assert found["weights"]["math"]["low"] < 0.7 < found["weights"]["math"]["high"]
    assert 0 <= found["weights"]["facts"]["low"] < found["weights"]["facts"]["high"] < 0.2
    assert load_weights("d.json").keys() == {"math", "code", "facts"}


def test_command_discovers(files, capsys):
    assert run([*files, "--discover=3", "--hold-out=layers", "--out=d.json"]) == 0
    assert "a growing basis" in capsys.readouterr().out
    assert load_weights("d.json").keys() == {"math", "code"}


def test_command_says_when_there_are_no_intervals(files, capsys):
    assert run(["diff", "target-before", "target-after", "--out", "change.safetensors", "--json"]) == 0
    files[1] = "--target=math_code=change.safetensors"
    capsys.readouterr()
    assert run(files) == 0
    assert "no intervals" in capsys.readouterr().err


def test_command_refuses(files, capsys):
    for more, message in (
        (["--basic=math=a,b"], "no file or directory"),
        (["--basic=code"], "does not name a task"),
        (["--basic=math=math-before,math-after"], "same name"),
        (["--folds=1"], "folds"),
        (["--subsets", "--discover=2"], "one of the two"),
        (["--confidence=2"], "confidence"),
    ):
        assert run([*files, *more]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
