"""The command line: what it prints where, its exit codes, what it says of wrong input, kill and resume.

Each subprocess costs some seconds of importing torch, so most commands run inside this process, as `main` runs them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig
from transformers.utils import logging

import headprint
from headprint import models
from headprint.base.options import Dtype
from headprint.cli.app import run
from headprint.data import ExampleStream
from headprint.patterns.pattern import Pattern
from headprint.patterns.pattern_set import PatternSet
from support.numerics import FLOAT32, error
from support.toy_models import toy_model
from support.toy_tokenizers import toy_tokenizer

COMMANDS = (
    *("extract", "show", "diff", "verify", "compare", "decompose", "mix", "select", "bench", "train", "report"),
    *("evaluate", "ablate"),
)
LAYERS, HEADS = 3, 4


def headprint_process(*arguments: object, **options) -> subprocess.Popen:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "80"}
    environment.pop("HEADPRINT_DEBUG", None)
    return subprocess.Popen(
        [sys.executable, "-m", "headprint", *map(str, arguments)],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def finished(process: subprocess.Popen) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=240)
    return process.returncode, stdout, stderr


@pytest.fixture(autouse=True)
def no_bars() -> None:
    """In a process of its own the command sees to that, before it imports transformers."""
    logging.disable_progress_bar()


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A directory with a random Llama of grouped-query attention and its tokenizer."""
    directory = tmp_path_factory.mktemp("models") / "toy"
    tokenizer = toy_tokenizer("bos")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A file of 12 rows."""
    path = tmp_path_factory.mktemp("data") / "train.jsonl"
    write_rows(path, 12)
    return path


def write_rows(path: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"prompt": f"Question: {rng.integers(999)} eggs?\nAnswer:", "completion": f" {'left ' * rng.integers(1, 9)}."}
        for _ in range(count)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")


@pytest.fixture(scope="module")
def levels(tmp_path_factory, model, data) -> Path:
    """A pattern set of the rows, made by the command."""
    out = tmp_path_factory.mktemp("sets") / "levels"
    assert run(["extract", str(model), str(data), "--out", str(out), "--shard-size", "5", "--quiet"]) == 0
    return out


@pytest.fixture
def patterns(tmp_path) -> tuple[Path, Path]:
    """Two pattern files, of the same task before and after some training."""
    rng = np.random.default_rng(0)
    paths = tmp_path / "before.safetensors", tmp_path / "after.safetensors"
    values = rng.gamma(1.0, 0.1, (LAYERS, HEADS))
    for path in paths:
        provenance = {
            "model": {"id": "some/model", "weights": path.stem},
            "data": {"source": "some/data", "content": "same"},
            "placement": "example",
            "loss": "mean",
            "examples": 12,
        }
        Pattern(values, provenance).save(path)
        values = values * rng.uniform(0.5, 2.0, values.shape)
    return paths


def test_help_imports_nothing_heavy() -> None:
    script = f"""
import sys
from headprint.cli.app import run
for command in {COMMANDS}:
    assert run([command, "--help"]) == 0
assert run(["--help"]) == run(["--version"]) == run([]) == 0
print("IMPORTED", *sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    *shown, imported = done.stdout.splitlines()
    assert not {"torch", "transformers", "numpy", "matplotlib", "datasets", "scipy", "pyarrow"} & set(imported.split())
    assert any(f"headprint {headprint.__version__}" in line for line in shown)
    for command in COMMANDS:
        assert any(f"headprint {command} [OPTIONS]" in line for line in shown)


@pytest.mark.slow
def test_importing_the_package_imports_nothing_heavy_and_the_api_is_there() -> None:
    script = """
import sys
import headprint
assert not {"torch", "transformers", "numpy", "pyarrow"} & set(sys.modules), sorted(sys.modules)
from headprint.patterns import PatternSet  # a submodule imports others
import headprint.measure.extraction, headprint.measure.verification
assert callable(headprint.extract) and callable(headprint.verify)
assert set(headprint.__all__) <= set(dir(headprint)) and all(getattr(headprint, name) for name in headprint.__all__)
try:
    headprint.nonsense
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "module 'headprint' has no attribute 'nonsense'"


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
        "--batch-tokens 300 --batch-size 4 "
        "--checkpointing --shard-size 16 --no-verify --overwrite"
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


def refusal(capsys, *arguments: object) -> str:
    """Run what must be refused: exit code 2, nothing on stdout, one line on stderr."""
    assert run([str(argument) for argument in arguments]) == 2
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    (line,) = stderr.splitlines()
    assert line.startswith("headprint: error: ")
    return line


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


def test_missing_things_are_named(tmp_path, model, data, capsys) -> None:
    out = tmp_path / "out"
    assert "/no/model does not exist" in refusal(capsys, "extract", "/no/model", data, "--out", out)
    assert f"{tmp_path} holds no model" in refusal(capsys, "extract", tmp_path, data, "--out", out)
    assert "no.jsonl: no such file" in refusal(capsys, "extract", model, "no.jsonl", "--out", out)
    assert "did you mean 'facts'" in refusal(capsys, "extract", model, "lab:fact", "--out", out)
    assert "there is no file or directory nowhere" in refusal(capsys, "show", "nowhere")
    assert "not a pattern set" in refusal(capsys, "show", tmp_path)
    assert "not a pattern file" in refusal(capsys, "show", data)


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


def test_usage_errors_are_one_line(capsys) -> None:
    assert "'example', 'token', 'none'" in refusal(capsys, "extract", "m", "d", "--out", "o", "--placement", "head")
    assert "--shard-size" in refusal(capsys, "extract", "m", "d", "--out", "o", "--shard-size", "0")
    assert "--out" in refusal(capsys, "extract", "m", "d")
    assert "--top" in refusal(capsys, "show", "x", "--topp", "3")
    assert "'show'" in refusal(capsys, "shwo")


def test_what_is_nobodys_fault_has_exit_code_1_and_a_traceback_for_debug(patterns, capsys, monkeypatch) -> None:
    monkeypatch.setenv("HEADPRINT_DEBUG", "")

    def fail(*_, **__):
        raise ZeroDivisionError("of heads")

    monkeypatch.setattr(Pattern, "gini", fail)
    assert run(["show", str(patterns[0])]) == 1
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert len(stderr.splitlines()) == 1
    assert "ZeroDivisionError: of heads" in stderr
    assert "--debug" in stderr
    assert run(["--debug", "show", str(patterns[0])]) == 1
    assert "Traceback" in capsys.readouterr().err


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


def test_show_takes_the_placement_of_a_set(levels, patterns, capsys) -> None:
    assert run(["show", str(levels), "--placement", "none", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert error(told["values"], PatternSet.load(levels).values.mean(0)) <= FLOAT32
    assert told["gini"] is None
    assert "extract again" in refusal(capsys, "show", levels, "--placement", "token")
    assert "give the pattern set's directory" in refusal(capsys, "show", patterns[0], "--placement", "none")


def test_layers_without_attention_are_null_in_json(tmp_path, capsys) -> None:
    Pattern([[1.0, 2.0], [np.nan, np.nan]]).save(tmp_path / "gaps.safetensors")
    assert run(["show", str(tmp_path / "gaps.safetensors"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["values"] == [[1.0, 2.0], [None, None]]


def test_show_draws_a_picture(patterns, tmp_path, capsys) -> None:
    assert run(["show", str(patterns[0]), "--plot", str(tmp_path / "a.png"), "--json"]) == 0
    stdout, stderr = capsys.readouterr()
    assert json.loads(stdout)["kind"] == "pattern"
    assert "a.png" in stderr
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


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


def test_diff_in_the_terminal(patterns, tmp_path, capsys) -> None:
    assert run(["diff", *map(str, patterns), "--plot", str(tmp_path / "three.png")]) == 0
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


def saved_with(path: Path, pattern: Pattern, **provenance) -> Path:
    Pattern(pattern.values, {**pattern.provenance, **provenance}).save(path)
    return path


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


def test_verify_tells_exact_from_refused(tmp_path, model, capsys) -> None:
    assert run(["verify", str(model), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["exact"] is True
    assert 0 <= told["error_within_kernel"] <= FLOAT32
    toy_model("diffllama").save_pretrained(tmp_path)
    toy_tokenizer().save_pretrained(tmp_path)
    assert run(["verify", str(tmp_path), "--json"]) == 2
    stdout, stderr = capsys.readouterr()
    assert json.loads(stdout)["exact"] is False
    assert len(stderr.splitlines()) == 1
    assert json.loads(stdout)["reason"] in stderr
    assert run(["verify", str(model)]) == 0
    assert "exact" in capsys.readouterr().out


def test_bench_prints_every_contender(model, data, capsys) -> None:
    arguments = ["bench", str(model), str(data), "--examples", "4", "--rounds", "1", "--no-recipe"]
    assert run([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["results"]) == {"headprint", "forward", "training step"}
    assert told["examples"] == 4
    assert run(arguments) == 0
    assert "training step" in capsys.readouterr().out
