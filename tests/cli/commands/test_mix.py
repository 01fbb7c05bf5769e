"""``headprint mix`` from a decomposition: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from headprint.cli.app import run
from support.toy_tokenizers import toy_tokenizer


def rows(task, n):
    return [{"prompt": f"{task} {i}: ", "completion": f"answer {'so ' * i}{i}"} for i in range(n)]


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for task in ("math", "code"):
        (tmp_path / f"{task}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(task, 30)))
    (tmp_path / "d.json").write_text(json.dumps({"weights": {"math": {"value": 0.6}, "code": {"value": 0.3}}}))
    return ["mix", "--from=math=math.jsonl", "--from=code=code.jsonl", "--out=mixed.jsonl"]


def test_command(files, tmp_path, capsys):
    assert run([*files, "d.json", "--total=30"]) == 0
    shown = capsys.readouterr().out
    assert [line.split() for line in shown.splitlines() if line.startswith(("math", "code"))] == [
        ["math", "0.67", "–", "20", "–", "30"],
        ["code", "0.33", "–", "10", "–", "30"],
    ]
    mixed = [json.loads(line) for line in (tmp_path / "mixed.jsonl").read_text().splitlines()]
    assert Counter(row["task"] for row in mixed) == {"math": 20, "code": 10}
    assert run([*files, "--random", "--total=30", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["random"]
    assert found == {"out": "mixed.jsonl", **json.loads((tmp_path / "mixed.mix.json").read_text())}
    toy_tokenizer("bos").save_pretrained(tmp_path / "tokenizer")
    assert run([*files, "d.json", "--tokens=300", "--tokenizer=tokenizer", "--json"]) == 0
    sizes = {task: part["size"] for task, part in json.loads(capsys.readouterr().out)["tasks"].items()}
    assert sizes == {"math": pytest.approx(200, abs=20), "code": pytest.approx(100, abs=20)}


def test_command_refuses(files, capsys):
    for more, message in (
        (["--total=3"], "--random for the baseline"),
        (["d.json", "--random", "--total=3"], "not both"),
        (["d.json"], "either --total"),
        (["d.json", "--tokens=9"], "belong together"),
        (["d.json", "--tokens=9", "--tokenizer=./nothing"], "./nothing does not exist: give a directory"),
        (["d.json", "--total=90"], "math: 60 asked for, 30 available"),
        (["d.json", "--total=9", "--from=cod=code.jsonl"], "did you mean 'code'"),
        (["d.json", "--total=9", "--from=code.jsonl"], "TASK=DATA"),
        (["d.json", "--total=9", "--set=code=sets"], "give it, too (--model)"),
    ):
        assert run([*files, *more]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
