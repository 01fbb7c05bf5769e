"""``headprint evaluate``: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import headprint
from headprint import models
from headprint.cli.app import run
from headprint.cli.commands import evaluate as command
from headprint.evaluation.scorers import SCORERS
from headprint.measure.likelihood import HeldOut
from headprint.patterns.pattern import Pattern
from support.toy_rows import small, text_rows
from support.toy_tokenizers import toy_tokenizer


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A toy model in a directory, and rows in a file."""
    folder = tmp_path_factory.mktemp("evaluate")
    small(dtype=torch.float32).save_pretrained(folder / "model")
    toy_tokenizer().save_pretrained(folder / "model")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in text_rows(6)))
    return folder


def test_the_command_gives_what_the_function_does(saved, capsys) -> None:
    model, tokenizer = models.load_model(str(saved / "model"))
    wanted = headprint.evaluate(model, tokenizer, saved / "rows.jsonl", scorer="final", limit=5, max_new_tokens=6)
    capsys.readouterr()
    command = ["evaluate", str(saved / "model"), str(saved / "rows.jsonl"), "--scorer", "final", "--limit", "5"]
    command += ["--max-new-tokens", "6", "--out", str(saved / "answers.jsonl")]
    assert run([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 5
    assert found["loss"] == pytest.approx(wanted.to_dict()["loss"])
    assert found["accuracy"] == wanted.to_dict()["accuracy"]
    lines = [json.loads(line) for line in (saved / "answers.jsonl").read_text().splitlines()]
    assert [line["output"] for line in lines] == [x.output for x in wanted.results]
    assert run(command) == 0
    shown = capsys.readouterr().out
    assert f"right answers  {wanted.interval()}  (5 rows)" in shown
    assert f"loss in nats   {wanted.loss_interval()}  (5 rows)" in shown


def test_the_command_takes_mathbench(saved, capsys) -> None:
    files = str(Path(__file__).parents[2] / "support" / "mathbench")
    command = ["evaluate", str(saved / "model"), "--mathbench", files, "--how", "likelihood", "--max-new-tokens", "4"]
    assert run([*command, "--out", str(saved / "mathbench.json"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 7
    assert found["circular"]["value"] <= found["plain"]["value"]
    assert json.loads((saved / "mathbench.json").read_text()) == found
    assert run(command) == 0
    assert "primary/cloze_en, circular" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["rows.jsonl"], "say with --scorer what makes an answer right: exact, final"),
        ([], "give one of DATA, --mathbench and --harness"),
        (["rows.jsonl", "--mathbench", "x", "--scorer", "exact"], "give one of DATA"),
        (["rows.jsonl", "--scorer", "lab"], "rows.jsonl:1: not a row of the laboratory"),
        (["gone.jsonl", "--scorer", "exact"], "gone.jsonl"),
        (["rows.jsonl", "--scorer", "exact", "--out", "gone/x.jsonl"], "gone is not a directory: make it"),
        (["--mathbench", "gone.jsonl"], "gone.jsonl"),
        (["--harness", "arc"], "pip install '.[eval]'"),
    ],
)
def test_the_commands_mistakes_are_one_line_and_exit_code_2(saved, capsys, monkeypatch, options, said) -> None:
    monkeypatch.chdir(saved)
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    assert run(["evaluate", "model", *options]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in error
    assert error.startswith("headprint: error: ")


def test_help_names_the_packages_own_scorers() -> None:
    assert command.SCORER_NAMES.split(", ") == SCORERS.names()


def test_an_interrupted_command_says_what_is_true(saved, capsys, monkeypatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(HeldOut, "losses", interrupted)
    model, rows = str(saved / "model"), str(saved / "rows.jsonl")
    Pattern(np.random.default_rng(0).random((3, 4))).save(saved / "pattern.safetensors")
    for arguments in (
        ["evaluate", model, rows, "--scorer", "none", "--out", str(saved / "new.jsonl")],
        ["ablate", model, rows, "--pattern", str(saved / "pattern.safetensors"), "--out", str(saved / "new.json")],
    ):
        assert run(arguments) == 130
        assert "interrupted; nothing was written, and the same command starts over" in capsys.readouterr().err
    assert not list(saved.glob("new*"))
