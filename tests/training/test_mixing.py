"""From rows to rows: the pieces put together by hand, the cache, and what is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

import headprint
from headprint.analysis.bootstrap import Bootstrap
from headprint.analysis.decomposition import decompose
from headprint.base.errors import InputError
from headprint.cli.app import run
from headprint.measure import extraction
from headprint.measure.extraction import extract
from headprint.patterns import PatternSet
from headprint.training.mixing import mix_for
from support.command_line import refusal
from support.toy_models import toy_model
from support.toy_tokenizers import toy_tokenizer

SOURCES = {
    "sums": [{"id": f"s{i}", "prompt": f"{i} + {i} =", "completion": f" {2 * i}"} for i in range(20)],
    "names": [{"id": f"n{i}", "prompt": f"Question {i}: who?", "completion": " Anna" * (1 + i % 3)} for i in range(25)],
}
TARGET = [{"id": f"t{i}", "prompt": f"{i} + 1 =", "completion": f" {i + 1}"} for i in range(12)]


@pytest.fixture
def model(tmp_path: Path) -> str:
    directory = tmp_path / "toy"
    tokenizer = toy_tokenizer("bos")
    toy_model("llama", vocab_size=len(tokenizer)).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return str(directory)


def written(directory: Path) -> None:
    for name, rows in {**SOURCES, "target": TARGET}.items():
        (directory / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_mixture_is_that_of_its_pieces(model: str) -> None:
    loaded, tokenizer = headprint.load_model(model)
    mixed = mix_for(TARGET, SOURCES, model=loaded, tokenizer=tokenizer, tokens=60, seed=3)
    sets = {name: extract(loaded, tokenizer, rows, sketch=0) for name, rows in {"t": TARGET, **SOURCES}.items()}
    basics = {name: sets[name] for name in SOURCES}
    found = decompose(sets["t"], basics, by="gradients", permutations=0, seed=3, bootstrap=Bootstrap(draws=0))
    shares = {task: share.value for task, share in found.mixture.shares.items()}
    assert mixed.provenance["weights"] == pytest.approx(shares, abs=1e-5)
    for task, share in shares.items():
        taken = mixed.provenance["tasks"].get(task, {"size": 0})["size"]
        assert taken == pytest.approx(60 * share, abs=7)  # half of the longest row
    json.dumps(mixed.provenance, allow_nan=False)
    given = {"model": loaded, "tokenizer": tokenizer, "sets": basics, "seed": 3}
    assert mix_for(sets["t"], SOURCES, tokens=60, **given).rows == mixed.rows
    fit = mix_for(sets["t"], SOURCES, total=10, weights="fit", **given)
    assert fit.provenance["weights"] == pytest.approx({task: weight.value for task, weight in found.weights.items()})
    assert len(fit.rows) == 10


def test_command(model: str, tmp_path: Path, monkeypatch, capsys) -> None:
    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    command = ["mix", "target.jsonl", "--from=sums=sums.jsonl", "--from=names=names.jsonl", "--model", model]
    assert run([*command, "--total=15", "--out=mixture.jsonl", "--measured=15"]) == 0
    shown = capsys.readouterr().out
    assert "12 rows of the target; R² on held-out heads" in shown
    assert max(map(len, shown.splitlines())) <= 80
    rows = [json.loads(line) for line in (tmp_path / "mixture.jsonl").read_text().splitlines()]
    about = json.loads((tmp_path / "mixture.mix.json").read_text())
    counts = Counter(row["task"] for row in rows)
    assert counts == {task: part["rows"] for task, part in about["tasks"].items()}
    assert about["decomposition"]["examples"] == {"the target": 12, "sums": 15, "names": 15}
    assert sorted(path.name.partition("-")[0] for path in (tmp_path / "headprint-sets").iterdir()) == [
        "names",
        "sums",
        "target",
    ]

    def never(*_, **__):
        raise AssertionError("measured again")

    monkeypatch.setattr(extraction.Engine, "run", never)
    again = [*command, "--total=15", "--out=again.jsonl", "--measured=15", "--json"]
    assert run(again) == 0
    assert (tmp_path / "again.jsonl").read_text() == (tmp_path / "mixture.jsonl").read_text()
    assert json.loads(capsys.readouterr().out)["target"] == "target.jsonl"


def test_wrong_input(model: str, tmp_path: Path, monkeypatch, capsys) -> None:
    loaded, tokenizer = headprint.load_model(model)
    known = extract(loaded, tokenizer, TARGET, sketch=2)
    bare = PatternSet(known.values, known.ids, known.losses, known.tokens, known.provenance)
    origin = {**known.provenance, "model": {"id": "other", "weights": "ab"}}
    other = PatternSet(known.values, known.ids, known.losses, known.tokens, origin, known.sketches)
    for target, given, message in (
        (known, {"total": 5, "tokens": 5}, "either the rows of the mixture"),
        (known, {"total": 5, "sets": {"code": known}}, "there are no rows of 'code', whose pattern set is given"),
        (known[:3], {"total": 5, "sets": {"sums": known, "names": known}}, "the target has 3 rows, which say little"),
        (other, {"total": 5}, "the target and the rows are of different models"),
        (bare, {"total": 5, "sets": {"sums": known, "names": known}}, "the target has no head gradients"),
    ):
        with pytest.raises(InputError, match=message):
            mix_for(target, SOURCES, model=loaded, tokenizer=tokenizer, **given)
    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    command = ["mix", "nothing.jsonl", "--from=sums=sums.jsonl", "--model", model, "--out=m.jsonl", "--total=5"]
    assert "nothing.jsonl" in refusal(capsys, *command)
    assert headprint.mix_for is mix_for
