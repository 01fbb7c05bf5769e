"""``headprint show``."""

from __future__ import annotations

import json

import numpy as np

from headprint.cli.app import run
from headprint.patterns.pattern import Pattern
from headprint.patterns.pattern_set import PatternSet
from support.command_line import HEADS, LAYERS, refusal
from support.numerics import FLOAT32, error


def test_show_of_a_file_as_json(patterns, capsys) -> None:
    assert run(["show", str(patterns[0]), "--json", "--top", "2"]) == 0
    stdout, stderr = capsys.readouterr()
    told, pattern = json.loads(stdout), Pattern.load(patterns[0])
    assert stderr == ""
    assert np.allclose(told["values"], pattern.values)
    assert told["gini"] == pattern.gini()
    assert told["cv"] == pattern.cv()
    assert told["kurtosis"] == pattern.kurtosis()
    assert (told["layers"], told["heads"], told["examples"]) == (LAYERS, HEADS, 12)
    assert told["top"] == [head._asdict() for head in pattern.top(2)]
    assert told["provenance"] == pattern.provenance


def test_show_takes_a_reading_of_a_set(levels, patterns, capsys) -> None:
    assert run(["show", str(levels), "--reading", "signed", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert error(told["values"], PatternSet.load(levels).values.mean(0)) <= FLOAT32
    assert told["gini"] is None
    assert told["unit"] == "Σ A·∂L/∂A (nats)"
    assert "extract again" in refusal(capsys, "show", levels, "--reading", "margin")
    assert "give the pattern set's directory" in refusal(capsys, "show", patterns[0], "--reading", "share")


def test_show_draws_a_picture(patterns, tmp_path, capsys) -> None:
    assert run(["show", str(patterns[0]), "--plot", str(tmp_path / "a.png"), "--json"]) == 0
    stdout, stderr = capsys.readouterr()
    assert json.loads(stdout)["kind"] == "pattern"
    assert "a.png" in stderr
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_layers_without_attention_are_null_in_json(tmp_path, capsys) -> None:
    Pattern([[1.0, 2.0], [np.nan, np.nan]]).save(tmp_path / "gaps.safetensors")
    assert run(["show", str(tmp_path / "gaps.safetensors"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["values"] == [[1.0, 2.0], [None, None]]
