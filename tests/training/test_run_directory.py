"""Configurations of fine-tunes: paths in them, what a stopped run says about itself, and errors of a full disk."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import yaml

from headprint.base.errors import InputError
from headprint.training import run_directory
from headprint.training.run_directory import arguments, how_to_go_on, last_checkpoint, source_name, write_error


def test_relative_paths_are_relative_to_the_configuration(tmp_path, monkeypatch) -> None:
    home, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    for directory in (home / "configs", home / "models/toy", home / "rows", elsewhere):
        directory.mkdir(parents=True)
    for name in ("train.jsonl", "probes.jsonl"):
        (home / "rows" / name).write_text("{}\n")
        (elsewhere / name).write_text("{}\n")
    (home / "configs/train.yaml").write_text(
        yaml.safe_dump(
            {
                "model": "../models/toy",
                "data": "../rows/train.jsonl",
                "eval_data": "missing.jsonl",
                "track": {"probes": {"a": "../rows/probes.jsonl", "b": "lab:math", "c": "org/name"}},
            }
        )
    )
    expected = {
        "model": str(home / "models/toy"),
        "data": str(home / "rows/train.jsonl"),
        "eval_data": str(home / "configs/missing.jsonl"),  # so that the error names the place
        "track": {"probes": {"a": str(home / "rows/probes.jsonl"), "b": "lab:math", "c": "org/name"}},
    }
    for here, path in ((elsewhere, home / "configs/train.yaml"), (home, Path("configs/train.yaml"))):
        monkeypatch.chdir(here)
        assert arguments(path) == expected


def test_names_that_are_no_paths_stay(tmp_path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "train.yaml").write_text("model: lab\ndata: lab:math\ntrack: {probes: lab:facts}\n")
    found = arguments(tmp_path / "train.yaml")
    assert found == {"model": "lab", "data": "lab:math", "track": {"probes": "lab:facts"}}


def test_an_unknown_entry_and_a_broken_file(tmp_path) -> None:
    path = tmp_path / "train.yaml"
    for text, message in (
        ("modell: lab", "a fine-tune has no 'modell': did you mean 'model'"),
        ("sft: [", r"train\.yaml:1: broken YAML"),
        ("- lab", "not the configuration of a fine-tune"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            arguments(path)


def test_paths_are_written_as_absolute_ones(tmp_path, monkeypatch) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n")
    monkeypatch.chdir(tmp_path)
    sources: dict = {}
    assert source_name("rows.jsonl", "data.jsonl", sources) == str(tmp_path / "rows.jsonl")
    assert source_name("lab:math", "data.jsonl", sources) == "lab:math"
    assert sources == {}
    assert source_name([{"text": "a"}], "data.jsonl", sources) == "data.jsonl"
    assert sources == {"data.jsonl": [{"text": "a"}]}


def test_what_a_stopped_run_has(tmp_path) -> None:
    assert how_to_go_on(tmp_path).endswith("the same command starts from the beginning")
    (tmp_path / "tracking/a/step-00000000").mkdir(parents=True)
    assert "pattern sets are kept" in how_to_go_on(tmp_path)
    assert how_to_go_on(tmp_path).endswith("the same command with --resume starts from the beginning")
    for step, state in ((9, json.dumps({"global_step": 9})), (10, '{"global_step": 1'), (100, None)):
        (tmp_path / f"checkpoints/checkpoint-{step}").mkdir(parents=True)
        if state is not None:
            (tmp_path / f"checkpoints/checkpoint-{step}/trainer_state.json").write_text(state)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoints/checkpoint-9"
    assert how_to_go_on(tmp_path) == "checkpoint-9 is complete: the same command with --resume goes on from there"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (Exception("Error while serializing: I/O error: No space left on device (os error 28)"), "No space left"),
        (RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/0"), "could not be written"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
        (FileNotFoundError(errno.ENOENT, "No such file"), None),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), None),
    ],
)
def test_errors_of_writing_are_recognised(tmp_path, error, reason) -> None:
    found = write_error(error, tmp_path)
    assert (found is None) == (reason is None)
    if reason:
        assert f"cannot write to {tmp_path}: " in str(found)
        assert reason in str(found)


def test_the_first_cause_is_named(tmp_path) -> None:
    error = RuntimeError("PytorchStreamWriter failed writing file data/0")
    error.__context__ = OSError(errno.ENOSPC, "No space left on device")
    assert "No space left on device" in str(write_error(error, tmp_path))


def test_versions_are_recorded_and_not_compared() -> None:
    config = {"model": "lab", "sft": {"seed": 1}, "versions": {"torch": "2"}}
    assert run_directory.comparable(config) == {"model": "lab", "sft": {"seed": 1}}
    assert yaml.safe_load(run_directory.to_yaml(config)) == {"format": run_directory.FORMAT, **config}
