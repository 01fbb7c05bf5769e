"""``headprint select``: from pattern sets, from rows, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import headprint
from headprint.analysis import selection
from headprint.analysis.selection import SelectionInputs, choose, score, select
from headprint.cli.app import run
from headprint.data.rows import fingerprint
from headprint.measure.engine import Engine
from support.command_line import refusal
from support.pattern_sets import around, of_levels, random_pattern
from support.toy_rows import text_rows


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = random_pattern(0)
    around(target, 9, 0.4).save("query")
    around(target * 0.5, 9, 0.4, seed=5).save("query-before")
    around(random_pattern(1), 12, 0.8, seed=1).save("pool")
    around(random_pattern(2), 12, 0.8, seed=2).save("pool-before")
    rows = [{"id": f"row-{i}", "prompt": f"{i}?", "completion": "!"} for i in range(12)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["select", "query", "pool", "--out=chosen.jsonl"]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_command(files, tmp_path, capsys):
    query, pool = (headprint.load(tmp_path / name) for name in ("query", "pool"))
    expected = choose(score(SelectionInputs(query.pattern(), pool)), top=4)
    assert run([*files, "--top=4"]) == 0
    assert "4 of 12 rows by correlation" in capsys.readouterr().out
    assert [row["id"] for row in lines(tmp_path / "chosen.jsonl")] == expected.ids
    assert run([*files, "--top=4", "--pool-rows=rows.jsonl", "--json"]) == 0
    assert lines(tmp_path / "chosen.jsonl") == [
        {"id": name, "prompt": f"{name[4:]}?", "completion": "!"} for name in expected.ids
    ]
    found = json.loads(capsys.readouterr().out)
    assert {"out": "chosen.jsonl", **json.loads((tmp_path / "chosen.select.json").read_text())} == found
    assert found["tokens"] == expected.tokens
    changes = ["--levels=change", "--query-before=query-before", "--pool-before=pool-before"]
    for more in (["--pick=round-robin"], ["--method=random", "--seed=3"], changes, ["--signed", "--method=cosine"]):
        assert run([*files, "--tokens=20", *more]) == 0
    signed = choose(score(SelectionInputs(query.pattern("signed"), pool, signed=True), "cosine"), tokens=20)
    assert [row["id"] for row in lines(tmp_path / "chosen.jsonl")] == signed.ids


def test_command_refuses(files, tmp_path, capsys):
    (tmp_path / "few.jsonl").write_text('{"prompt": "0?", "completion": "!"}\n')
    (headprint.load(tmp_path / "pool")).pattern().save(tmp_path / "one.safetensors")
    for more, message in (
        ([], "either a number"),
        (["--top=13"], "the pool has 12"),
        (["--top=2", "--levels=change"], "--pool-before"),
        (["--top=2", "--levels=change", "--pool-before=pool-before"], "--query-before"),
        (["--top=2", "--pool-rows=few.jsonl"], "has no row with the id"),
        (["--top=2", "--levels=change", "--query-before=query-before", "--pool-before=one.safetensors"], "single"),
    ):
        assert run([*files, *more]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_other_rows_than_those_of_the_pool_are_refused(files, tmp_path, capsys):
    def rows(name, seed):
        numbers = np.random.default_rng(seed).integers(999, size=12)
        path = tmp_path / name
        path.write_text("".join(json.dumps({"prompt": f"{n}?", "completion": "!"}) + "\n" for n in numbers))
        return path

    pool = around(random_pattern(1), 12, 0.8, seed=1, ids=[str(i) for i in range(12)])
    for name, content in (("own.jsonl", 0), ("other.jsonl", 1)):
        rows(name, content)
    pool.provenance["data"] = {"source": "own.jsonl", "content": fingerprint("own.jsonl"), "split": "train"}
    pool.save("numbered")
    arguments = ["select", "query", "numbered", "--top=3", "--out=chosen.jsonl"]
    assert run([*arguments, "--pool-rows=own.jsonl"]) == 0
    written = (tmp_path / "chosen.jsonl").read_bytes()
    assert run([*arguments, "--pool-rows=other.jsonl"]) == 2
    error = capsys.readouterr().err
    assert "other.jsonl is not the data that the pool was extracted from (own.jsonl)" in error
    assert error.count("\n") == 1
    assert (tmp_path / "chosen.jsonl").read_bytes() == written
    # Rows in memory have another hash than their file: they are matched by id.
    loaded = [json.loads(line) for line in (tmp_path / "own.jsonl").read_text().splitlines()]
    assert selection.rows_of(pool, loaded, ["5", "2"]) == [loaded[5], loaded[2]]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Files of a target and of a pool."""
    folder = tmp_path_factory.mktemp("rows")
    for name, number in (("target", 6), ("pool", 14)):
        made = [{**row, "source": "ab"[i % 2]} for i, row in enumerate(text_rows(number, seed=number))]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    return folder


def test_from_rows_to_rows(model, rows, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    target, pool = (str(rows / f"{name}.jsonl") for name in ("target", "pool"))
    command = ["select", target, pool, f"--model={model}", "--sketch=4", "--top=5", "--out=chosen.jsonl", "--quiet"]
    assert run([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    sets = {name: headprint.extract(str(model), None, rows / f"{name}.jsonl", sketch=4) for name in ("target", "pool")}
    expected = select(sets["target"], sets["pool"], top=5, method="head-gradient")
    assert found["method"] == "head-gradient"
    assert [row["id"] for row in lines(tmp_path / "chosen.jsonl")] == expected.ids
    assert set(lines(tmp_path / "chosen.jsonl")[0]) == {"id", "prompt", "completion", "answer", "source"}
    assert -1 <= found["summary"]["stability"] <= 1
    assert sum(found["summary"]["shares"]["source"][name][1] for name in "ab") == 1

    # What was extracted is used again: no row goes through the model.
    monkeypatch.setattr(Engine, "run", None)
    assert run([*(word for word in command if word != "--quiet"), "--near-duplicates=0.5", "--diversity=0.3"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    for words in ("5 of 14 rows by head-gradient", "source", "median", "A random choice would have", "1. Question"):
        assert words in shown
    # One side may be a set, whose settings the rows of the other then share.
    (made,) = (tmp_path / "headprint-sets").glob("pool-*")
    mixed = [word for word in command if word != "--sketch=4"]
    assert run(["select", target, str(made), f"--pool-rows={pool}", *mixed[3:]]) == 0
    assert [row["id"] for row in lines(tmp_path / "chosen.jsonl")] == expected.ids


def test_mlps_are_extracted_where_they_are_compared(model, rows, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = [str(rows / "target.jsonl"), str(rows / "pool.jsonl"), f"--model={model}", "--top=4", "--sketch=2"]
    assert run(["select", *command, "--method=head-gradient-mlp", "--out=chosen.jsonl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["method"] == "head-gradient-mlp"
    (made,) = (tmp_path / "headprint-sets").glob("pool-*")
    assert headprint.load(made).mlp_sketches.shape[:2] == (14, 3)


def test_rows_are_measured_as_the_set_on_the_other_side(model, rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target, pool = (str(rows / f"{name}.jsonl") for name in ("target", "pool"))
    settings = ["--sketch=4", "--sketch-seed=7", "--max-length=20", "--loss-on=all"]
    assert run(["extract", str(model), pool, "--out=set", *settings, "--quiet"]) == 0
    assert run(["select", target, "set", f"--model={model}", "--top=4", "--out=chosen.jsonl", "--quiet"]) == 0
    (made,) = (tmp_path / "headprint-sets").glob("target-*")
    origin = headprint.load(made).provenance
    assert [origin[name] for name in ("sketch", "sketch_seed", "max_length", "loss_on")] == [4, 7, 20, "all"]


def test_methods_that_read_rows_extract_nothing(model, rows, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Engine, "run", None)
    command = ["select", str(rows / "target.jsonl"), str(rows / "pool.jsonl"), f"--model={model}", "--out=chosen.jsonl"]
    for method in ("token-overlap", "rds+", "random-by-source"):
        assert run([*command, "--top=4", f"--method={method}", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["chosen"] == len(lines(tmp_path / "chosen.jsonl")) == 4
        assert found["tokens"] > 4
    assert not (tmp_path / "headprint-sets").exists()


def test_rows_are_refused_before_the_model_is_loaded(model, rows, levels, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    target, pool = rows / "target.jsonl", rows / "pool.jsonl"
    few = tmp_path / "few.jsonl"
    few.write_text("".join(target.read_text().splitlines(keepends=True)[:3]))
    rest = ["--out=chosen.jsonl", "--quiet"]
    assert "the pool has 14: ask for fewer" in refusal(
        capsys, "select", target, pool, "--model=none", "--top=15", *rest
    )
    assert "rows are measured with a model" in refusal(capsys, "select", target, pool, "--top=3", *rest)
    assert "nothing.jsonl: no such file" in refusal(
        capsys, "select", target, "nothing.jsonl", "--model=none", "--top=3", *rest
    )
    asked = ["select", target, levels, f"--model={model}", "--top=3", "--method=head-gradient", *rest]
    assert "the pool has no head gradients: extract it with sketch=K" in refusal(capsys, *asked)
    assert "the target has 3 rows" in refusal(capsys, "select", few, pool, f"--model={model}", "--top=3", *rest)
    assert "of different models" in refusal(capsys, "select", target, levels, "--model=lab", "--top=3", *rest)


def test_an_unstable_target_is_one_line(files, capsys, tmp_path):
    rng = np.random.default_rng(1)
    of_levels(rng.standard_normal((4, 4, 6))).save(tmp_path / "noise")
    of_levels(rng.standard_normal((40, 4, 6))).save(tmp_path / "much")
    assert run(["select", "noise", "much", "--top=4", "--out=chosen.jsonl"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "the two halves of the target disagree (Spearman" in line


def overlap(inputs: SelectionInputs):
    """A selector such as another package might add: words that a row shares with the rows of the target."""
    wanted = {word for row in inputs.rows_of_query() for word in row["prompt"].split()}
    return np.array([[len(wanted & set(row["prompt"].split())) for row in inputs.rows_of_pool()]], dtype=float)


def bigger(inputs: SelectionInputs):
    return np.zeros((2, len(inputs.pool) + 1)) if inputs.required_model() else None


def test_a_selector_of_another_package_is_one_function_and_one_entry(files, tmp_path, monkeypatch, capsys):
    for name in ("overlap", "bigger"):
        monkeypatch.setitem(selection.SELECTORS._builtin, name, f"{__name__}:{name}")
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or SimpleNamespace(**globals()))
    Path("target.jsonl").write_text('{"prompt": "7? 3?", "completion": "!"}\n')
    arguments = [*files, "--top=2", "--method=overlap"]
    assert run([*arguments, "--query-rows=target.jsonl", "--pool-rows=rows.jsonl"]) == 0
    assert [row["id"] for row in lines(tmp_path / "chosen.jsonl")] == ["row-3", "row-7"]
    assert "1.0" in (tmp_path / "chosen.select.json").read_text()
    capsys.readouterr()
    for more, message in (
        (["--pool-rows=rows.jsonl"], "reads the rows of the query: give them, too (--query-rows)"),
        (["--query-rows=target.jsonl"], "reads the rows of the pool: give them, too (--pool-rows)"),
        (["--method=bigger"], "runs a model: give one, too (--model)"),
        (["--method=bigger", "--model=lab"], "'bigger' returned scores of shape (2, 13)"),
        (["--method=overlaps"], "did you mean 'overlap'?"),
    ):
        assert run([*arguments, *more]) == 2
        assert message in capsys.readouterr().err


def test_every_method_is_named_in_the_help(capsys):
    assert run(["select", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*selection.SELECTORS.names(), *selection.PICKS))
    assert all(f"{name}" in shown for name in ("raw", "standardized", "change"))
