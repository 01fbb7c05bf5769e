"""``headprint explain``: heads and tokens that make a row useful, and what it refuses."""

from __future__ import annotations

import json

import pytest

from headprint.cli.app import run
from support.command_line import refusal
from support.toy_rows import text_rows


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """Files of a target and of a pool, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name, number in (("target", 5), ("pool", 9)):
        lines = [json.dumps(row) for row in text_rows(number, seed=number)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    return ["target.jsonl", "pool.jsonl"]


def test_heads_and_tokens_sum_to_the_score(model, rows, tmp_path, capsys):
    command = [*rows, f"--model={model}", "--sketch=4", "--quiet"]
    assert run(["select", *command, "--top=9", "--out=chosen.jsonl", "--json"]) == 0
    chosen = json.loads(capsys.readouterr().out)["examples"]
    assert run(["explain", "r3", *command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    place, score = next((place, row["score"]) for place, row in enumerate(chosen, 1) if row["id"] == "r3")
    assert (found["rank"], found["pool_size"]) == (place, 9)
    assert found["score"] == pytest.approx(score, abs=1e-5)
    assert sum(map(sum, found["heads"])) == pytest.approx(found["score"])
    assert sum(found["by_token"]) == pytest.approx(found["score"], abs=2e-3)  # sketches in files are float16
    assert len(found["tokens"]) == len(found["by_token"])
    assert run(["explain", "r3", *command[:-1], "--plot=heads.png"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert f"r3: cosine {found['score']:.3f} with the target, {place} of 9" in shown
    assert (tmp_path / "heads.png").stat().st_size > 1000


def test_sets_need_no_model_for_heads(model, rows, capsys):
    for name in ("target", "pool"):
        assert run(["extract", str(model), f"{name}.jsonl", f"--out={name}", "--sketch=4", "--quiet"]) == 0
    assert run(["extract", str(model), "pool.jsonl", "--out=bare", "--quiet"]) == 0
    assert run(["extract", str(model), "pool.jsonl", "--out=other", "--sketch=4", "--sketch-seed=1", "--quiet"]) == 0
    assert run(["explain", "r3", "target", "pool"]) == 0
    assert "Tokens need the model and the rows" in capsys.readouterr().out
    assert run(["explain", "r3", "target", "pool", f"--model={model}", "--pool-rows=pool.jsonl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tokens"]
    assert "the pool has no row 'r33': did you mean 'r3'?" in refusal(capsys, "explain", "r33", "target", "pool")
    assert "the pool has no head gradients" in refusal(capsys, "explain", "r3", "target", "bare")
    assert "directions of query and pool differ" in refusal(capsys, "explain", "r3", "target", "other")
    other = ["explain", "r3", "target", "pool", "--model=lab", "--pool-rows=pool.jsonl"]
    assert "of different models" in refusal(capsys, *other)
