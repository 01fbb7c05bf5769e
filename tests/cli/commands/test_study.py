"""``headprint study`` without running one: the list of configs, and the explanation of a graph."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from headprint.cli.app import run
from support.tiny_study import TINY


def test_configs_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["study", "--configs"]) == 0
    shown = capsys.readouterr().out
    assert {"lab", "llama-3-8b", "paper"} <= set(shown.split())
    assert "The embedded laboratory: " in shown


def test_a_graph_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(TINY))
    command = ["study", str(tmp_path / "own.yaml"), "--out", str(tmp_path / "out"), "--explain"]
    assert run(command) == 0
    text = capsys.readouterr().out
    assert "early_change-v1-" in text
    assert "to do: never done" in text
    assert "read by: fig5" in text
    assert "not in the key: batch_tokens" in text
    assert run([*command, "--json", "--seed", "7"]) == 0
    jobs = json.loads(capsys.readouterr().out)["jobs"]
    assert {job["key"].get("seed", 7) for job in jobs} == {7}
    assert {"id", "stage", "version", "label", "key", "ignores", "needs", "readers", "cached", "reason"} == set(jobs[0])
    known = {job["id"] for job in jobs}
    assert all(known >= set(job["needs"].values()) for job in jobs)
    assert not (tmp_path / "out").exists()


def test_a_wrong_config_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(TINY | {"sizes": {"train": -5}}))
    assert run(["study", str(tmp_path / "own.yaml"), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "sizes.train is -5: input should be greater than or equal to 1" in error
    assert error.count("\n") == 1
