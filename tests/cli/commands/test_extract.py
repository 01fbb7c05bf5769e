"""``headprint extract``: what it prints where, wrong input, kill and resume."""

from __future__ import annotations

import json
import signal
import time
from typing import get_args

import numpy as np
import pytest
from transformers import AutoTokenizer

import headprint
from headprint import models
from headprint.base.options import Dtype
from headprint.cli.app import run
from headprint.data import ExampleStream
from headprint.patterns.pattern_set import PatternSet
from support.command_line import HEADS, LAYERS, finished, headprint_process, refusal, write_rows
from support.numerics import FLOAT32, error


def test_choices_are_the_librarys() -> None:
    assert get_args(Dtype) == ("auto", *models.DTYPES)


@pytest.mark.slow
def test_extract_show_and_diff_from_the_shell(tmp_path, model, data, levels) -> None:
    out = tmp_path / "again"
    code, stdout, stderr = finished(headprint_process("extract", model, data, "--out", out, "--json"))
    assert (code, stderr) == (0, "")
    told = json.loads(stdout)
    assert (told["examples"], told["layers"], told["heads"]) == (12, LAYERS, HEADS)
    assert told["report"]["read"] == told["report"]["kept"] == 12
    assert told["provenance"]["model"]["family"] == "llama"
    read = ExampleStream(data, AutoTokenizer.from_pretrained(model))
    assert told["tokens"] == sum(len(example.input_ids) for example in read)
    assert told["tokens_per_second"] > told["tokens"] / told["seconds"] > 0  # loading the model is not counted
    assert error(PatternSet.load(out).values, PatternSet.load(levels).values) <= FLOAT32
    assert sorted(path.name for path in out.iterdir() if path.name[0] != ".") == [
        "manifest.json",
        "part-00000.parquet",
    ]
    code, stdout, stderr = finished(headprint_process("show", out))
    assert (code, stderr) == (0, "")
    assert f" {model.parent.name}/toy on {data.parent.name}/train.jsonl " in " ".join(stdout.split())
    assert max(map(len, stdout.splitlines())) <= 80
    assert "\x1b" not in stdout


def test_extract_says_what_became_of_the_rows(tmp_path, model, capsys) -> None:
    rows = tmp_path / "rows.jsonl"
    lines = [{"prompt": "a", "completion": "b " * n} for n in (1, 2, 60)] + [{"prompt": "a " * 60, "completion": "b"}]
    rows.write_text("\n".join(map(json.dumps, lines)))
    assert run(["extract", str(model), str(rows), "--out", str(tmp_path / "a b"), "--max-length", "20"]) == 0
    told, _ = capsys.readouterr()
    told = " ".join(told.split())
    assert "4 rows read, 3 kept; 1 truncated to max_length" in told
    assert "1 dropped: no token to learn" in told
    assert f"3 examples × {LAYERS} layers × {HEADS} heads" in told
    assert " tokens/s)" in told
    assert f"next: headprint show '{tmp_path}/a b'" in told


@pytest.mark.parametrize("quiet", [True, False])
def test_extract_passes_its_options_on(tmp_path, model, data, monkeypatch, quiet) -> None:
    heard = {}

    def extract(model, tokenizer, examples, **options):
        heard.update(options, model=model, tokenizer=tokenizer, examples=examples)
        raise headprint.InputError("enough")

    monkeypatch.setattr("headprint.measure.extraction.extract", extract)
    flags = (
        "--placement token --loss batch-mean --loss-on all --max-length 99 --overlong drop --split test --limit 7 "
        "--dtype float64 --device cpu --trust-remote-code --compute-dtype bfloat16 --attn-implementation eager "
        "--batch-tokens 300 --batch-size 4 --objective margin --blocks heads,mlp "
        "--checkpointing --shard-size 16 --no-verify --overwrite --sketch 4 --sketch-seed 3"
    )
    silence = ["--quiet"] * quiet
    assert run(["extract", str(model), str(data), "--out", str(tmp_path / "x"), *flags.split(), *silence]) == 2
    assert callable(heard.pop("on_batch"))
    assert heard == {
        "model": str(model),
        "tokenizer": None,
        "examples": str(data),
        "out": tmp_path / "x",
        "placement": "token",
        "objective": "margin",
        "blocks": "heads,mlp",
        "loss": "batch-mean",
        "loss_on": "all",
        "max_length": 99,
        "overlong": "drop",
        "split": "test",
        "limit": 7,
        "compute_dtype": "bfloat16",
        "dtype": "float64",
        "device": "cpu",
        "trust_remote_code": True,
        "attn_implementation": "eager",
        "batch_tokens": 300,
        "batch_size": 4,
        "checkpointing": True,
        "sketch": 4,
        "sketch_seed": 3,
        "shard_size": 16,
        "verify": False,
        "overwrite": True,
        "show_progress": not quiet,  # a bar on a terminal, lines elsewhere
    }


def test_extract_of_a_built_in_task(tmp_path, model) -> None:
    from headprint.lab import task_rows

    out = tmp_path / "facts"
    arguments = ["extract", str(model), "lab:facts", "--split", "test", "--limit", "9", "--out", str(out), "-q"]
    assert run(arguments) == 0
    assert PatternSet.load(out).ids == [row["id"] for row in task_rows("facts", "test", n=9)]


@pytest.mark.slow
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_extraction_is_resumed_with_the_same_result(tmp_path, model, blow) -> None:
    rows, out = tmp_path / "rows.jsonl", tmp_path / "stopped"
    write_rows(rows, 150)
    options = ["--shard-size", "1", "--json"]

    def listen() -> None:  # a test runner in the background may have had it ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)

    process = headprint_process("extract", model, rows, "--out", out, *options, preexec_fn=listen)
    while len(list(out.glob("part-*.parquet"))) < 5:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(blow)
    code, stdout, stderr = finished(process)
    assert stdout == ""
    if blow == signal.SIGINT:
        assert code == 130
        assert "the same command goes on" in stderr
        assert "Traceback" not in stderr
    else:
        assert code == -signal.SIGKILL
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*.parquet")}
    assert 5 <= len(before) < 150
    assert run(["show", str(out)]) == 2
    assert run(["extract", str(model), str(rows), "--out", str(out), *options]) == 0
    kept = {name: (out / name).stat().st_mtime_ns for name in before}
    assert kept == before
    one, other = headprint.extract(*models.load_model(str(model)), rows, shard_size=1), PatternSet.load(out)
    assert one.ids == other.ids
    assert np.array_equal(one.values, other.values)
    assert np.array_equal(one.losses, other.losses)


WRONG_FILES = {
    "broken JSON": ('{"prompt": "a", "completion": "b"}\n\n{"prompt": "a"\n', "rows.jsonl:3: broken JSON"),
    "no answer": ('{"prompt": "a"}\n', "rows.jsonl:1: no 'completion'"),
    "empty": ("", "rows.jsonl: no rows"),
    "an array": ('[{"prompt": "a"}]', "rows.jsonl:1: a JSON array"),
    "equal ids": (
        '{"id": 1, "prompt": "a", "completion": "b"}\n{"id": 1, "prompt": "a", "completion": "c"}\n',
        "rows.jsonl:2: the id '1' is that of",
    ),
    "nothing to learn": ('{"prompt": "a", "completion": "b"}\n', "no example is left"),
}


@pytest.mark.parametrize("wrong", WRONG_FILES)
def test_wrong_rows_are_named_by_file_and_line(tmp_path, model, capsys, wrong) -> None:
    text, message = WRONG_FILES[wrong]
    (tmp_path / "rows.jsonl").write_text(text)
    length = ["--max-length", "2"] if wrong == "nothing to learn" else []
    assert message in refusal(
        capsys, "extract", model, tmp_path / "rows.jsonl", "--out", tmp_path / "out", "--json", *length
    )


def test_a_directory_of_somebody_else_is_left_alone(tmp_path, model, data, capsys) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    assert "thesis.tex" in refusal(capsys, "extract", model, data, "--out", tmp_path, "--overwrite")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert "is a file" in refusal(capsys, "extract", model, data, "--out", tmp_path / "thesis.tex")


def test_other_settings_are_not_resumed_but_overwrite_if_told(tmp_path, model, data, capsys) -> None:
    out = ["--out", tmp_path / "out"]
    arguments = ["extract", model, data, *out]
    assert run([*map(str, arguments), "-q"]) == 0
    message = refusal(capsys, *arguments, "--loss", "sum")
    assert 'loss is "mean" there and "sum" here' in message
    assert "--overwrite" in message
    assert run([*map(str, arguments), "-q", "--loss", "sum", "--overwrite"]) == 0
    assert PatternSet.load(out[1]).provenance["loss"] == "sum"


def test_out_is_refused_before_the_model_is_loaded(tmp_path, model, data, capsys, monkeypatch) -> None:
    arguments = ["extract", str(model), str(data), "--out", str(tmp_path / "out"), "-q"]
    assert run([*arguments, "--loss", "batch-mean", "--shard-size", "6"]) == 0  # makes shards of 4

    def load(*_: object, **__: object) -> None:
        raise headprint.InputError("the model is loaded now")

    monkeypatch.setattr(models, "resolve", load)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("mine")
    assert "thesis.tex" in refusal(capsys, *arguments[:3], "--out", tmp_path / "thesis")
    message = refusal(capsys, *arguments, "--limit", "5")
    assert "limit is null there and 5 here; loss is" in message
    assert "model" not in message
    other = tmp_path / "other.jsonl"
    other.write_text(data.read_text() + data.read_text().splitlines()[0].replace('"id"', '"no"') + "\n")
    assert "data.content" in refusal(capsys, "extract", model, other, *arguments[3:], "--loss", "batch-mean")
    # What may still be right, and what is to be replaced anyway, go on to the model.
    for options in (
        ["--loss", "batch-mean", "--shard-size", "5", "--batch-size", "4"],
        ["--loss", "sum", "--overwrite"],
    ):
        assert "loaded now" in refusal(capsys, *arguments, *options)
