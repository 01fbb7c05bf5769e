"""``headprint train``: what it passes on, prints and refuses; two processes at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from trl import SFTTrainer

import headprint
from headprint import models
from headprint.base.errors import InputError
from headprint.cli.app import run

FIELDS = {"max_steps": 4, "per_device_train_batch_size": 2, "learning_rate": 1e-2, "logging_steps": 1}
SETTINGS = [word for name, value in FIELDS.items() for word in ("--set", f"{name}={value}")]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "eggs.jsonl"
    rows = [{"prompt": f"{n} eggs and {n * 7}?", "completion": f" {n * 8} left"} for n in range(8)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_from_rows_to_a_model_and_again_from_the_configuration(tmp_path, model, data, capsys) -> None:
    out = tmp_path / "a b"
    arguments = [str(model), str(data), "--out", str(out), *SETTINGS]
    assert run(["train", *arguments, "--track", str(data), "--track-every", "0,4", "--track-online"]) == 0
    told, _ = capsys.readouterr()
    told = " ".join(told.split())
    assert "8 rows read, 8 kept" in told
    assert "4 steps, 8 rows and " in told
    assert f"next: headprint extract '{out}/model' DATA --out DIR" in told
    assert sorted(path.name for path in (out / "tracking/eggs").iterdir()) == ["step-00000000", "step-00000004"]
    again = ["train", "--config", str(out / "config.yaml"), "--out", str(tmp_path / "again"), "--json"]
    assert run(again) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["steps"], told["rows"], told["model"]) == (4, 8, f"{tmp_path}/again/model")
    assert told["tracked"]["eggs"]["0"]["correlation"] == pytest.approx(1)
    assert told["tracked"]["train"].keys() == {"4"}
    first, second = (models.load_model(str(where / "model"))[0].state_dict() for where in (out, tmp_path / "again"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert run([*again, "--resume", "--quiet"]) == 0


def test_options_are_passed_on_over_the_configuration(tmp_path, model, data, monkeypatch, capsys) -> None:
    heard = {}

    def train(**options):
        heard.update(options)
        raise InputError("enough")

    monkeypatch.setattr(sys.modules["headprint.training.fine_tuning"], "train", train)
    config = tmp_path / "config.yaml"
    (tmp_path / "probes.jsonl").write_text(data.read_text())
    config.write_text(
        "model: other\ndata: lab:math\nsplit: test\nsft: {seed: 1, max_steps: 2}\nlora: {r: 2}\n"
        "track: {probes: {a: probes.jsonl}, limit: 3}\n"
    )
    flags = (
        "--limit 5 --eval-data lab:facts --set max_steps=3 --set optim=sgd --lora-set lora_alpha=4 --track-every 2 "
        "--track-split train --dtype bfloat16 --attn-implementation eager --trust-remote-code --resume "
        "--heads top:5% --heads-from pattern"
    )
    assert run(["train", str(model), "--config", str(config), "--out", str(tmp_path / "x"), *flags.split()]) == 2
    assert heard == {
        "model": str(model),
        "data": "lab:math",
        "out": tmp_path / "x",
        "split": "test",
        "limit": 5,
        "eval_data": "lab:facts",
        "sft": {"seed": 1, "max_steps": 3, "optim": "sgd"},
        "lora": {"r": 2, "lora_alpha": 4},
        "track": {"probes": {"a": str(tmp_path / "probes.jsonl")}, "limit": 3, "every": 2, "split": "train"},
        "dtype": "bfloat16",
        "attn_implementation": "eager",
        "trust_remote_code": True,
        "resume": True,
        "show_progress": True,
        "heads": "top:5%",
        "heads_from": Path("pattern"),
    }
    heard.clear()
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k/test.jsonl").write_text(data.read_text())
    tracks = ["--track", "lab:math", "--track", f"{tmp_path}/gsm8k/test.jsonl", "--track", f"b={data}"]
    run(["train", str(model), str(data), "--lora", "--out", str(tmp_path / "x"), *tracks, "--track-every", "dense"])
    probes = {"math": "lab:math", "gsm8k": f"{tmp_path}/gsm8k/test.jsonl", "b": str(data)}
    assert (heard["lora"], heard["track"]) == ({}, {"probes": probes, "every": "dense"})


WRONG = {
    "no model": ([], "give MODEL and DATA, or a --config"),
    "field": (["M", "D", "--set", "learning_rat=1"], "did you mean 'learning_rate'?"),
    "value": (["M", "D", "--set", "learning_rate=fast"], "learning_rate is 'fast'; it wants float"),
    "no value": (["M", "D", "--set", "learning_rate"], "write FIELD=VALUE"),
    "no YAML": (["M", "D", "--set", "optim={"], "the value is not YAML"),
    "steps": (["M", "D", "--track", "D", "--track-every", "often"], "--track-every 'often'"),
    "twice": (["M", "D", "--track", "D", "--track", "D"], "give it a name of its own"),
    "probes": (["M", "D", "--track", "D", "--track-limit", "9"], "9 rows were asked for, there are 8"),
    "nothing tracked": (["M", "D", "--track-limit", "3"], "nothing to track"),
    "data": (["M", "nowhere.jsonl"], "nowhere.jsonl: no such file"),
    "no config": (["--config", "nowhere.yaml"], "cannot read nowhere.yaml"),
    "config": (["--config", "C"], "a fine-tune has no 'modell': did you mean 'model'?"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_mistakes_are_one_line(tmp_path, model, data, capsys, wrong) -> None:
    arguments, message = WRONG[wrong]
    (tmp_path / "c.yaml").write_text("modell: lab\n")
    named = {"M": str(model), "D": str(data), "C": str(tmp_path / "c.yaml")}
    assert run(["train", *(named.get(word, word) for word in arguments), "--out", str(tmp_path / "out")]) == 2
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    (line,) = (line for line in stderr.splitlines() if line.startswith("headprint: error: "))
    assert message in line
    assert not (tmp_path / "out").exists()


def test_data_that_changed_since_are_told(tmp_path, model, data, capsys) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(data.read_text())
    assert run(["train", str(model), str(rows), "--out", str(tmp_path / "a"), *SETTINGS, "-q"]) == 0
    rows.write_text("".join(data.read_text().splitlines(keepends=True)[1:]))
    assert run(["train", "--config", str(tmp_path / "a/config.yaml"), "--out", str(tmp_path / "b"), "-q"]) == 0
    assert f"{rows} has changed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("save", "message"),
    [
        (["--set", "save_steps=2"], "interrupted; checkpoint-2 is complete: the same command with --resume"),
        ([], "interrupted; there is no checkpoint (--set save_steps=N writes them): the same command starts"),
    ],
)
def test_ctrl_c_says_what_is_saved_and_the_run_goes_on(
    tmp_path, model, data, capsys, monkeypatch, save, message
) -> None:
    own, calls = SFTTrainer.training_step, []

    def step(self, *args, **kwargs):
        calls.append(args)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return own(self, *args, **kwargs)

    monkeypatch.setattr(SFTTrainer, "training_step", step)
    command = ["train", str(model), str(data), "--out", str(tmp_path / "run"), *SETTINGS, *save]
    assert run(command) == 130
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert message in stderr
    assert run([*command, *(["--resume"] if save else []), "--json"]) == 0
    assert len(calls) == 4 + (2 if save else 4)
    assert json.loads(capsys.readouterr().out)["steps"] == 4


def test_a_configuration_is_replayed_from_another_directory(tmp_path, model, data, capsys, monkeypatch) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project/eggs.jsonl").write_text(data.read_text())
    (tmp_path / "project/train.yaml").write_text(
        f"model: {os.path.relpath(model, tmp_path / 'project')}\ndata: eggs.jsonl\nsft: {json.dumps(FIELDS)}\n"
        "track: {probes: {a: eggs.jsonl}, every: [0]}\n"
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/eggs.jsonl").write_text("not these")
    assert run(["train", "--config", "../project/train.yaml", "--out", "run", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    monkeypatch.chdir(tmp_path)
    assert run(["train", "--config", "elsewhere/run/config.yaml", "--out", "again", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["loss"] == first["loss"]


@pytest.mark.slow
def test_two_processes_train_one_model_and_one_of_them_speaks(tmp_path, model, data) -> None:
    """Two of half the batch each: the run of one process, up to the order of summation."""
    out = tmp_path / "two"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29617"]
    track = ["--track", f"a={data}", "--track-online", "--track-every", "4"]
    done = subprocess.run(
        [*command, "-m", "headprint", "train", str(model), str(data), "--out", str(out), *SETTINGS,
         "--set", "per_device_train_batch_size=1", *track, "--json"],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = done.stdout.splitlines()
    told = json.loads(line)
    alone = headprint.train(
        str(model), data, tmp_path / "one", track={"probes": {"a": str(data)}, "every": 4, "online": True},
        sft=FIELDS,
    )  # fmt: skip
    assert (told["steps"], told["rows"], told["tokens"]) == (alone.steps, alone.rows, alone.tokens)
    assert told["loss"] == pytest.approx(alone.loss, rel=1e-4)
    pattern, other = headprint.load(out / "tracking/train/step-00000004.safetensors"), alone.tracker.online_patterns[4]
    assert pattern.provenance["examples"] == other.provenance["examples"] == 8
    assert np.abs(pattern.values - other.values).max() < 1e-3 * other.values.max()
    trained, _ = models.load_model(str(out / "model"))
    for name, weight in alone.model.state_dict().items():
        assert torch.allclose(trained.state_dict()[name], weight, atol=1e-4)
