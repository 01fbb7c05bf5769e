"""``headprint report``: the page of a run, of two runs, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headprint.cli.app import run
from support import recorded
from support.command_line import refusal


@pytest.fixture
def study(tmp_path) -> Path:
    folder = tmp_path / "runs" / "study"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(recorded.results("real").to_json()), "utf-8")
    return folder


def test_the_command_rebuilds_the_page(study, tmp_path, capsys) -> None:
    assert run(["report", str(study)]) == 0
    assert run(["report", str(study / "results.json"), "--out", str(tmp_path / "page.html"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"out": str(tmp_path / "page.html"), "bytes": (study / "report.html").stat().st_size}


def test_the_command_compares(study, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["report", "--compare", str(study), str(study)]) == 0
    assert "Two studies side by side" in (tmp_path / "comparison.html").read_text("utf-8")


def test_wrong_numbers_of_runs(study, capsys) -> None:
    assert "2 runs given, 1 wanted" in refusal(capsys, "report", study, study)
    assert "1 run given, 2 wanted" in refusal(capsys, "report", "--compare", study)


def test_an_unfinished_study_makes_no_page(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads((study / "results.json").read_text("utf-8"))
    (study / "results.json").write_text(json.dumps({**content, "complete": False, "missing": 4}), "utf-8")
    assert "4 missing; run `headprint study` again" in refusal(capsys, "report", study)
    assert not (study / "report.html").exists()


def test_a_directory_without_results(tmp_path, capsys) -> None:
    assert "has no results.json" in refusal(capsys, "report", tmp_path)
    assert "there is no directory" in refusal(capsys, "report", tmp_path / "absent")
