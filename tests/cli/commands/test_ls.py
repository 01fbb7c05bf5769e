"""``headprint ls``: every kind of thing that headprint writes, finished or not, and what is somebody else's."""

from __future__ import annotations

import json

import numpy as np
from safetensors.numpy import save_file

from headprint.cli.app import run
from headprint.cli.commands import ls
from headprint.patterns.pattern import Pattern
from headprint.patterns.storage.manifest import MANIFEST
from headprint.study.run import STUDY
from headprint.training.run_directory import TRAINING_RUN
from support.command_line import refusal
from support.pattern_sets import around, fill, random_pattern


def test_what_is_there_is_listed(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    origin = {"model": {"id": "toy"}, "data": {"source": "math.jsonl"}}
    levels = around(random_pattern(0), n=7, **origin)
    levels.save("runs/math/before")
    before = levels.pattern()
    after = Pattern(before.values * 0.5, {**before.provenance, "model": {"id": "tuned"}})
    (after - before).save("runs/change.safetensors")
    fill(tmp_path / "runs/stopped", [0, 1], close=False)
    fill(tmp_path / "runs/damaged", [0, 1])
    next((tmp_path / "runs/damaged").glob("*.parquet")).unlink()
    files = {
        "sft/config.yaml": "format: headprint train 1\nmodel: toy\ndata: math.jsonl\n",
        "sft/trained.json": '{"steps": 1200}',
        "sft/model/config.json": "{}",
        "sft-stopped/config.yaml": "format: headprint train 1\nmodel: toy\ndata: math.jsonl\n",
        "paper/config.yaml": "name: small\nmodels: {}\ntasks: {}\n",
        "paper/results.json": '{"complete": true}',
        "half/config.yaml": "name: small\nmodels: {}\ntasks: {}\n",
        "other/config.yaml": "learning_rate: 3",
        "other/manifest.json": '{"icons": []}',
        "broken/config.yaml": "{",
    }
    for name, text in files.items():
        path = tmp_path / "runs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    save_file({"w": np.ones(3, np.float32)}, "runs/sft/model/model.safetensors")
    save_file({"w": np.ones(3, np.float32)}, "runs/foreign.safetensors")
    capsys.readouterr()
    assert run(["ls", "--json"]) == 0
    found = {each.pop("path"): each for each in json.loads(capsys.readouterr().out)["found"]}
    damage = found["runs/damaged"].pop("of")
    assert "missing" in damage or "no such file" in damage.lower()
    assert {path: tuple(each.values()) for path, each in found.items()} == {
        "runs/change.safetensors": ("change", "4 × 6", "tuned on math.jsonl - toy on math.jsonl"),
        "runs/damaged": ("pattern set", "damaged"),
        "runs/half": ("study", "unfinished", "small"),
        "runs/math/before": ("pattern set", "7 examples", "toy on math.jsonl"),
        "runs/paper": ("study", "finished", "small"),
        "runs/sft": ("fine-tune", "1,200 steps", "toy on math.jsonl"),
        "runs/sft-stopped": ("fine-tune", "unfinished", "toy on math.jsonl"),
        "runs/stopped": ("pattern set", "6 examples, unfinished", "? on ?"),
    }
    assert run(["ls", "runs/math"]) == 0
    shown = capsys.readouterr().out
    assert "runs/math/before" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_nothing_to_list(tmp_path, capsys) -> None:
    assert run(["ls", str(tmp_path)]) == 0
    assert "holds nothing that headprint wrote" in capsys.readouterr().err
    assert "is not a directory" in refusal(capsys, "ls", tmp_path / "absent")


def test_the_files_that_mark_a_run_are_those_that_it_writes() -> None:
    from headprint.study.results import RESULTS

    assert (MANIFEST, TRAINING_RUN.record, TRAINING_RUN.result) == (ls.MANIFEST, ls.CONFIG, ls.TRAINED)
    assert (STUDY.record, RESULTS) == (ls.CONFIG, ls.RESULTS)
