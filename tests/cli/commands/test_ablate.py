"""``headprint ablate``: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import headprint
from headprint import models
from headprint.cli.app import run
from headprint.evaluation import ablate
from headprint.patterns.pattern import Pattern
from support.toy_rows import small, text_rows
from support.toy_tokenizers import toy_tokenizer


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A toy model in a directory, rows in a file, a pattern and a change."""
    folder = tmp_path_factory.mktemp("ablate")
    small("llama", torch.float32).save_pretrained(folder / "model")
    toy_tokenizer().save_pretrained(folder / "model")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in text_rows(6)))
    rng = np.random.default_rng(0)
    Pattern(rng.random((3, 4))).save(folder / "pattern.safetensors")
    Pattern(rng.normal(size=(3, 4)), kind="change").save(folder / "change.safetensors")
    return folder


def test_the_command_gives_what_the_function_does(saved, capsys, monkeypatch) -> None:
    monkeypatch.chdir(saved)
    pattern, change = headprint.load("pattern.safetensors"), headprint.load("change.safetensors")
    model, tokenizer = models.load_model("model")
    rankings = {"active": pattern.top(3), "changed": change.top(3, by="absolute")}
    wanted = ablate(model, tokenizer, "rows.jsonl", rankings=rankings, ks=(1, 3), mode="mean", random=4, seed=5)
    command = ["ablate", "model", "rows.jsonl", "--pattern", "pattern.safetensors", "--change", "change.safetensors"]
    command += ["-k", "1,3", "--mode", "mean", "--random", "4", "--seed", "5", "--out", "ablation.json"]
    capsys.readouterr()
    assert run([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert json.loads(Path("ablation.json").read_text()) == found
    for ours, theirs in zip(found["rows"], wanted.to_dict()["rows"], strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"])
        assert (ours["ranking"], ours["k"], ours["p_value"]) == (theirs["ranking"], theirs["k"], theirs["p_value"])
    assert run([*command, "--scorer", "final", "--max-new-tokens", "3", "--layer-matched", "2"]) == 0
    shown = capsys.readouterr().out
    assert "all 12 heads on: loss" in shown
    assert "over draws (2, 4)" in " ".join(shown.split())
    assert "random:active" in shown
    assert "accuracy" in shown


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "say which heads: --pattern for the most active"),
        (["--pattern", "change.safetensors"], "is a change, and --pattern needs a pattern"),
        (["--change", "pattern.safetensors"], "is a pattern, and --change needs a change"),
        (["--pattern", "gone.safetensors"], "gone.safetensors"),
        (["--pattern", "pattern.safetensors", "-k", "one"], "-k is 'one'; give numbers of heads, such as 1,2,4,8"),
        (["--pattern", "pattern.safetensors", "-k", "0"], "-k is '0'"),
        (["--pattern", "pattern.safetensors", "--out", "gone/x.json"], "gone is not a directory: make it"),
        (["--pattern", "pattern.safetensors", "--scorer", "exakt"], "unknown scorer 'exakt': did you mean 'exact'?"),
        (["--pattern", "pattern.safetensors", "-k", "13"], "the numbers of heads are [13], and the model has 12 heads"),
    ],
)
def test_the_commands_mistakes_are_one_line_and_exit_code_2(saved, capsys, monkeypatch, options, said) -> None:
    monkeypatch.chdir(saved)
    assert run(["ablate", "model", "rows.jsonl", *options]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Two models of one shape and one of another, saved with the patterns that were measured on each."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in text_rows(4)))
    torch.manual_seed(0)
    for name, extra in (("base", {}), ("tuned", {}), ("deeper", {"num_hidden_layers": 4})):
        model = small("llama", torch.float32, **extra)
        if name == "tuned":
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.01 * torch.randn_like(parameter))
        model.save_pretrained(folder / name)
        toy_tokenizer().save_pretrained(folder / name)
        loaded, tokenizer = models.load_model(str(folder / name))
        headprint.extract(loaded, tokenizer, folder / "rows.jsonl").pattern().save(folder / f"{name}.safetensors")
    change = headprint.load(folder / "tuned.safetensors") - headprint.load(folder / "base.safetensors")
    change.save(folder / "change.safetensors")
    (change / headprint.load(folder / "base.safetensors")).save(folder / "relative.safetensors")
    return folder


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("tuned", ["--pattern", "tuned.safetensors"], None),
        ("base", ["--change", "change.safetensors"], None),
        ("tuned", ["--pattern", "tuned.safetensors", "--change", "relative.safetensors"], None),
        ("tuned", ["--pattern", "tuned.safetensors", "--dtype", "bfloat16"], None),
        ("tuned", ["--pattern", "base.safetensors"], "the ranking 'active' is a pattern of other weights"),
        ("tuned", ["--pattern", "base.safetensors", "--dtype", "bfloat16"], "of other weights"),
        ("tuned", ["--pattern", "base.safetensors", "--other-model"], None),
        ("deeper", ["--change", "change.safetensors"], "a change of 3 layers of 4 heads, and the model has 4 layers"),
        ("base", ["--pattern", "deeper.safetensors", "--other-model"], "a pattern of 4 layers of 4 heads"),
    ],
)
def test_patterns_of_another_model_are_refused(measured, capsys, monkeypatch, model, options, said) -> None:
    monkeypatch.chdir(measured)
    command = ["ablate", str(measured / model), "rows.jsonl", "-k", "2", "--random", "2", *options]
    assert run(command) == (2 if said else 0)
    printed = capsys.readouterr()
    if said:
        assert said in printed.err.strip().splitlines()[-1]
    else:
        assert "all 12 heads on" in printed.out
