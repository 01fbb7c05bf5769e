"""``headprint diff``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from headprint.cli.app import run
from headprint.patterns.pattern import Pattern
from support.command_line import HEADS, LAYERS, refusal, saved_with


@pytest.mark.parametrize("relative", [False, True])
def test_diff_is_the_librarys(patterns, tmp_path, capsys, relative) -> None:
    out, flags = tmp_path / "change.safetensors", ["--relative"] * relative
    assert run(["diff", *map(str, patterns), "--out", str(out), "--json", "--top", "3", *flags]) == 0
    stdout, stderr = capsys.readouterr()
    before, after = map(Pattern.load, patterns)
    change = (after - before) / before if relative else after - before
    told = json.loads(stdout)
    assert "warning" not in stderr
    assert told["pearson"] == before.correlation(after)
    assert told["spearman"] == before.correlation(after, "spearman")
    assert told["mse"] == before.mse(after)
    assert told["before"]["gini"] == before.gini()
    assert told["after"]["kurtosis"] == after.kurtosis()
    for statistic in ("gini", "cv", "kurtosis"):  # as headprint compare has them
        rise = told["after"][statistic] - told["before"][statistic]
        assert told["change"][statistic] == pytest.approx(rise, abs=1e-12)
    assert np.allclose(told["change"]["values"], change.values)
    assert [head["value"] for head in told["raised"]] == sorted(v for v in change.values.ravel() if v > 0)[:-4:-1]
    assert [head["value"] for head in told["lowered"]] == sorted(v for v in change.values.ravel() if v < 0)[:3]
    saved = Pattern.load(out)
    assert saved.kind == "change"
    assert np.array_equal(saved.values, change.values)


def test_diff_says_when_the_change_only_mirrors_the_pattern_before(patterns, tmp_path, capsys) -> None:
    before = Pattern.load(patterns[0])
    collapsed = tmp_path / "collapsed.safetensors"
    own = {**before.provenance, "model": {"id": "some/model", "weights": "tuned"}}
    Pattern(before.values * np.random.default_rng(1).uniform(0.0, 0.1, before.shape), own).save(collapsed)
    assert run(["diff", str(patterns[0]), str(collapsed), "--json"]) == 0
    stdout, stderr = capsys.readouterr()
    told = json.loads(stdout)
    assert told["change"]["mirrors_before"] > 0.9
    assert told["warnings"][0].startswith("little more than -AP before training: change (r = ")
    assert told["warnings"][0] in stderr
    assert run(["diff", str(patterns[0]), str(collapsed), "--relative"]) == 0
    assert capsys.readouterr().err == ""
    assert run(["diff", *map(str, patterns), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []


def test_diff_tells_an_adapter_from_its_base(patterns, tmp_path, capsys) -> None:
    base = Pattern.load(patterns[0])
    tuned = {"id": "some/model", "weights": "other", "adapters": ["default"]}
    path = saved_with(tmp_path / "tuned.safetensors", base * 1.5, **{**base.provenance, "model": tuned, "step": 40})
    assert run(["diff", str(patterns[0]), str(path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert ": some/model on some/data" in shown
    assert ": some/model + adapter after 40 steps on some/data" in shown


def test_diff_in_the_terminal(patterns, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # a path is one word, and no word is broken
    names = [str(path.relative_to(tmp_path)) for path in patterns]
    assert run(["diff", *names, "--plot", str(tmp_path / "three.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(" ".join(lines).split()).count(": some/model on some/data ") == 2
    assert max(map(len, lines)) <= 80
    assert any("most raised" in line and "most lowered" in line for line in lines)
    assert any(line.startswith("pearson ") for line in lines)
    assert (tmp_path / "three.png").exists()


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (("lab:math", "lab:code"), ("math", "code", "code - math")),
        (("data/gsm8k/train.jsonl", "data/sgsm/train.jsonl"), ("gsm8k", "sgsm", "sgsm - gsm8k")),
        (("a/easy.parquet", "a/hard.parquet"), ("easy", "hard", "hard - easy")),
        (("train.jsonl", "train.jsonl"), ("before", "after", "change")),  # two files that cannot be told apart
        (("a" * 40, "b"), ("a" * 19 + "…", "b", "b - " + "a" * 19 + "…")),
    ],
)
def test_diff_of_two_tasks_names_them(tmp_path, monkeypatch, capsys, sources, names) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    paths = [Path("one.safetensors"), Path("other.safetensors")]
    for number, (path, source) in enumerate(zip(paths, sources, strict=True)):
        provenance = {"model": {"id": "m", "weights": "w"}, "data": {"source": source, "content": str(number)}}
        Pattern(rng.gamma(1.0, 0.1, (LAYERS, HEADS)), provenance).save(path)
    assert run(["diff", *map(str, paths), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["names"] == list(names)
    assert run(["diff", *map(str, paths)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(any(line.startswith(f"{name}:") for line in lines) for name in names[:2])
    if len(" ".join(names)) < 50:
        assert any(line.split() == " ".join(names).split() for line in lines)
    assert names == ("before", "after", "change") or "before" not in "".join(lines)
    assert max(map(len, lines)) <= 80


def test_diff_warns_of_what_should_not_be_compared(patterns, tmp_path, capsys) -> None:
    before, after = map(Pattern.load, patterns)
    other = tmp_path / "other.safetensors"

    def warnings(**provenance) -> list[str]:
        assert run(["diff", str(patterns[0]), str(saved_with(other, after, **provenance)), "--json"]) == 0
        stdout, stderr = capsys.readouterr()
        told = json.loads(stdout)["warnings"]
        assert [line.partition("warning: ")[2] for line in stderr.splitlines()] == told
        return told

    assert warnings() == []
    same_model, other_data = before.provenance["model"], {"source": "x", "content": "y"}
    assert warnings(model=same_model, data=other_data) == []  # two tasks of one model
    (told,) = warnings(loss="sum", placement="token")
    assert "loss (mean and sum)" in told
    assert "placement (example and token)" in told
    (told,) = warnings(data=other_data)
    assert "both the model and the data differ" in told
    (told,) = warnings(model=same_model)
    assert "the same in both" in told


def test_diff_refuses_other_shapes(patterns, tmp_path, capsys) -> None:
    Pattern(np.ones((2, 2))).save(tmp_path / "small.safetensors")
    assert "shapes differ" in refusal(capsys, "diff", patterns[0], tmp_path / "small.safetensors")
