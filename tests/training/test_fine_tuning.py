"""train(): TRL's own result, written down, replayed, resumed; and what is refused before and after."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from datasets import Dataset
from transformers import AutoModelForCausalLM, LlamaConfig, TrainerCallback
from trl import SFTConfig, SFTTrainer

import headprint
from headprint import models
from headprint.base.errors import InputError
from headprint.data.examples import ExampleStream
from headprint.training import run_directory as runs
from headprint.training.fine_tuning import train
from headprint.training.tracker import PatternTracker
from support.toy_tokenizers import MARKED_CHAT, toy_tokenizer
from support.training import Watch, rows_of, same, weights

SFT = {"max_steps": 5, "per_device_train_batch_size": 3, "learning_rate": 1e-2, "logging_steps": 2}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A directory with a random Llama with dropout, and its tokenizer."""
    directory = tmp_path_factory.mktemp("models") / "toy"
    tokenizer = toy_tokenizer("bos", chat_template=MARKED_CHAT)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        attention_dropout=0.2,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def make_rows(count: int, seed: int = 0) -> list[dict[str, str]]:
    rng = np.random.default_rng(seed)
    return [
        {"prompt": f"Question: {rng.integers(999)} eggs?\nAnswer:", "completion": f" {'left ' * rng.integers(1, 9)}."}
        for _ in range(count)
    ]


ROWS, PROBES = make_rows(12), make_rows(4, seed=1)
LONG = [ROWS[0], {"prompt": "many", "completion": " eggs" * 300}]


@pytest.fixture
def data(tmp_path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS), "utf-8")
    return path


class Kill(TrainerCallback):
    """The machine goes down in the fifth step."""

    def on_step_begin(self, args, state, control, **_):
        if state.global_step == 4:
            raise KeyboardInterrupt


@pytest.mark.parametrize("seed", [42, 7])
def test_the_weights_are_those_of_a_plain_sft_trainer(tmp_path, model, data, seed) -> None:
    trained = train(str(model), data, tmp_path / "run", sft={**SFT, "seed": seed})
    plain = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    args = SFTConfig(
        output_dir=str(tmp_path / "plain"), **SFT, seed=seed, report_to="none", save_strategy="no", use_cpu=True,
        bf16=False, gradient_checkpointing=False,
    )  # fmt: skip
    trainer = SFTTrainer(plain, args=args, train_dataset=Dataset.from_list(ROWS), processing_class=trained.tokenizer)
    outcome = trainer.train()
    assert same(weights(trained.model), weights(plain))
    assert trained.loss == pytest.approx(outcome.training_loss, rel=1e-6)
    assert not trained.model.training
    assert "forward" not in vars(trained.model)


def test_tokens_and_labels_are_those_of_extraction(tmp_path, model) -> None:
    chats = [
        {"messages": [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}]}
        for row in ROWS
    ]
    for rows, settings, loss_on in (
        (ROWS, {}, "auto"),
        (ROWS, {"completion_only_loss": False, "max_length": 12}, "all"),
        (chats, {}, "auto"),
    ):
        watch, out = Watch(), tmp_path / f"{len(list(tmp_path.iterdir()))}"
        trained = train(
            str(model), rows, out, sft={"per_device_train_batch_size": 1, "num_train_epochs": 1, **settings},
            callbacks=[watch],
        )  # fmt: skip
        stream = ExampleStream(rows, trained.tokenizer, max_length=settings.get("max_length"), loss_on=loss_on)
        expected = [(e.input_ids, e.labels) for e in stream]
        seen = [(row["input_ids"], row["labels"]) for step in watch.batches for row in rows_of(step[0], "")]
        assert sorted(seen) == sorted(expected)
        assert trained.rows == 12
        assert trained.tokens == sum(label != -100 for _, labels in expected for label in labels[1:])
        assert trained.report == stream.report.to_dict()


def test_what_a_run_leaves(tmp_path, model, data) -> None:
    out = tmp_path / "run"
    trained = train(
        str(model), data, out, sft=SFT, eval_data=make_rows(3, seed=2), limit=10,
        track={"probes": {"eggs": PROBES}, "every": [0, 5]},
    )  # fmt: skip
    assert sorted(path.name for path in out.iterdir()) == [
        ".headprint.lock", "config.yaml", "eval.jsonl", "model", "probes", "tracking", "trained.json"
    ]  # fmt: skip
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert (config["model"], config["data"], config["limit"]) == (str(model), str(data), 10)
    assert config["sft"].items() >= SFT.items()
    assert config["versions"].keys() >= {"torch", "transformers", "trl", "peft", "accelerate", "headprint"}
    told = json.loads((out / "trained.json").read_text())
    assert told == json.loads(json.dumps(trained.to_dict()))
    assert (told["steps"], told["rows"], told["report"]["read"]) == (5, 13, 10)  # an epoch is 3 + 3 + 3 + 1 rows
    assert any("eval_loss" in log for log in told["log"])
    files = {path.name for path in (out / "model").iterdir()}
    assert files >= {"model.safetensors", "config.json", "tokenizer.json"}
    assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in files)
    loaded, _ = models.load_model(str(out / "model"))
    assert same(weights(loaded), weights(trained.model))
    assert trained.tracker.steps == [0, 5]
    kept = headprint.load(out / "tracking/eggs/step-00000005")
    assert np.array_equal(kept.values, trained.tracker.sets["eggs"][5].values)


def test_a_run_is_replayed_from_its_configuration(tmp_path, model) -> None:
    first = train(str(model), ROWS, tmp_path / "a", sft=SFT, track={"probes": PROBES, "every": 5})
    given = runs.arguments(tmp_path / "a/config.yaml")
    again = train(out=tmp_path / "b", **given)
    assert same(weights(again.model), weights(first.model))
    assert again.tracker.metrics == {"probe": first.tracker.metrics["probe"]}


@pytest.mark.parametrize("save", [{"save_steps": 3}, {}])
def test_a_killed_run_goes_on_to_the_same_end(tmp_path, model, data, save) -> None:
    options = {"sft": SFT | save, "track": {"probes": {"a": PROBES}}}
    whole = train(str(model), data, tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        train(str(model), data, tmp_path / "run", **options, callbacks=[Kill()])
    with pytest.raises(InputError, match="holds a stopped run: resume it"):
        train(str(model), data, tmp_path / "run", **options)
    resumed = train(str(model), data, tmp_path / "run", **options, resume=True)
    assert same(weights(resumed.model), weights(whole.model))
    assert (resumed.steps, resumed.rows, resumed.tokens) == (5, whole.rows, whole.tokens)
    assert resumed.loss == whole.loss == next(log["train_loss"] for log in resumed.log if "train_loss" in log)
    assert resumed.tracker.steps == whole.tracker.steps == [0, 1, 2, 4, 5]
    logged = [[log["step"] for log in run.log if "loss" in log] for run in (whole, resumed)]
    assert logged[0] == logged[1] == [2, 4]


def test_a_finished_run_is_taken_up_as_it_is(tmp_path, model, data) -> None:
    first = train(str(model), data, tmp_path / "run", sft=SFT)
    with pytest.raises(InputError, match="holds a finished run"):
        train(str(model), data, tmp_path / "run", sft=SFT)
    again = train(str(model), data, tmp_path / "run", sft=SFT, resume=True, callbacks=[Kill()])
    assert again.to_dict() == json.loads(json.dumps(first.to_dict()))
    assert same(weights(again.model), weights(first.model))


def test_a_run_with_other_settings_is_not_resumed_and_the_setting_is_named(tmp_path, model, data) -> None:
    train(str(model), data, tmp_path / "run", sft=SFT)
    for change, message in (
        ({"sft": {**SFT, "learning_rate": 0.5}}, r"sft\.learning_rate is 0\.01 there and 0\.5 here"),
        ({"sft": SFT, "lora": {"r": 2}}, r"lora.r is not set there and 2 here"),
        ({"sft": SFT, "limit": 3}, "limit is null there and 3 here"),
    ):
        with pytest.raises(InputError, match=message):
            train(str(model), data, tmp_path / "run", **change, resume=True)
    data.write_text(data.read_text() + data.read_text())
    with pytest.raises(InputError, match="data_sha256"):
        train(str(model), data, tmp_path / "run", sft=SFT, resume=True)


def test_an_adapter_is_trained_saved_and_trained_on(tmp_path, model, data) -> None:
    base = weights(models.load_model(str(model), dtype="float32")[0])
    first = train(str(model), data, tmp_path / "a", sft=SFT, lora={"r": 4})
    assert {path.name for path in (tmp_path / "a/model").glob("*.safetensors")} == {"adapter_model.safetensors"}
    wrapped = first.model.get_base_model().state_dict()
    assert torch.equal(wrapped["model.embed_tokens.weight"], base["model.embed_tokens.weight"])
    second = train(str(tmp_path / "a/model"), data, tmp_path / "b", sft=SFT)
    before, after = weights(first.model), weights(second.model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) != ("lora" in name) for name in before)
    with pytest.raises(InputError, match="is an adapter already"):
        train(str(tmp_path / "a/model"), data, tmp_path / "c", sft=SFT, lora={})


def test_a_loaded_model_is_trained_in_place_and_keeps_its_forward(tmp_path, model, data) -> None:
    loaded, tokenizer = models.load_model(str(model), dtype="float32")
    own, before = type(loaded).forward, weights(loaded)
    tracker = PatternTracker(PROBES, every=[0, 5], online=True)
    trained = train(loaded, data, tmp_path / "run", tokenizer=tokenizer, sft=SFT, callbacks=[tracker])
    assert trained.model is loaded
    assert loaded.forward.__func__ is own
    assert not same(weights(loaded), before)
    assert tracker.steps == [0, 5]
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert config["model"].startswith("LlamaForCausalLM in memory, weights ")
    with pytest.raises(InputError, match="no tokenizer"):
        train(loaded, data, tmp_path / "other", sft=SFT)


@pytest.mark.parametrize("logging_steps", [1, 100])
def test_a_training_that_diverges_is_stopped_with_its_step(tmp_path, model, data, logging_steps) -> None:
    sft = {**SFT, "learning_rate": 1e30, "max_grad_norm": 0.0, "logging_steps": logging_steps, "save_steps": 1}
    with pytest.raises(InputError, match=r"diverged: the (mean )?loss .*steps? .*lower learning_rate"):
        train(str(model), data, tmp_path / "run", sft=sft)
    assert not (tmp_path / "run/model").exists()
    assert not (tmp_path / "run/trained.json").exists()
    assert (tmp_path / "run/checkpoints/checkpoint-1").is_dir()


def test_a_last_step_that_diverges_is_seen_in_the_weights(tmp_path, model, data) -> None:
    sft = {**SFT, "max_steps": 1, "learning_rate": float("inf"), "lr_scheduler_type": "constant"}
    with pytest.raises(InputError, match="is not finite after step 1"):
        train(str(model), data, tmp_path / "run", sft=sft)


def test_somebody_elses_directory_is_refused_before_the_model_is_loaded(tmp_path, data) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").write_text("mine")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        train("/no/model", data, tmp_path / "out")
    with pytest.raises(InputError, match="is a file"):
        train("/no/model", data, tmp_path / "out/thesis.tex")
    (tmp_path / "out/config.yaml").write_text("learning: [")
    with pytest.raises(InputError, match=r"config\.yaml:1: broken YAML"):
        train("/no/model", data, tmp_path / "out", resume=True)
    (tmp_path / "out/config.yaml").write_text("format: something else")
    with pytest.raises(InputError, match="not the configuration of a fine-tune"):
        train("/no/model", data, tmp_path / "out", resume=True)


def test_nothing_is_written_for_input_that_is_wrong(tmp_path, model) -> None:
    out = tmp_path / "run"
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "a"}\n')
    for rows, options, message in (
        (wrong, {}, r"wrong\.jsonl:2: no 'completion'"),
        (ROWS, {"sft": {"max_length": 3}}, "no example is left"),
        (LONG, {"sft": {"max_length": None}}, r"row 1: [\d,]+ tokens, and the model's context is 256"),
        (ROWS, {"sft": {"warmup": 3}}, "did you mean 'warmup_"),
        (ROWS, {"eval_data": LONG}, r"row 1: [\d,]+ tokens, and the model's context is 256"),
        (ROWS, {"track": {"probes": PROBES, "evry": 2}}, "track: .*evry"),
        (ROWS, {"track": {"probes": PROBES, "limit": 9}}, "9 rows were asked for, there are 4"),
        (ROWS, {"sft": {"assistant_only_loss": True}}, "loss_on='assistant' means nothing"),
    ):
        with pytest.raises(InputError, match=message):
            train(str(model), rows, out, **options)
        assert not out.exists()


def test_out_of_memory_is_one_line_with_a_mend(tmp_path, model, data, monkeypatch) -> None:
    def no_memory(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(SFTTrainer, "training_step", no_memory)
    with pytest.raises(InputError, match="out of memory: lower per_device_train_batch_size"):
        train(str(model), data, tmp_path / "run", sft=SFT)


WAITING = """
import sys
from transformers import TrainerCallback
import headprint

class Wait(TrainerCallback):
    def on_step_begin(self, args, state, control, **_):
        if state.global_step == 1:
            print("training", flush=True)
            sys.stdin.readline()

model, data, out = sys.argv[1:]
headprint.train(model, data, out, sft={"max_steps": 2, "per_device_train_batch_size": 2}, callbacks=[Wait()])
"""


def test_a_second_process_is_refused_while_the_first_one_trains(tmp_path, model, data) -> None:
    out = str(tmp_path / "run")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    first = subprocess.Popen(
        [sys.executable, "-c", WAITING, str(model), str(data), out], env=environment, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert any(line == "training\n" for line in first.stdout)
        for more in ([], ["--resume"]):
            second = subprocess.run(
                [sys.executable, "-m", "headprint", "train", str(model), str(data), "--out", out, *more],
                env=environment, capture_output=True, text=True,
            )  # fmt: skip
            assert second.returncode == 2
            assert second.stdout == ""
            assert f"headprint: error: another process is writing to {out}" in second.stderr
        first.communicate("go on\n")
    finally:
        first.kill()
        first.wait()
    assert first.returncode == 0
    assert json.loads((tmp_path / "run/trained.json").read_text())["steps"] == 2


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writing more than so many bytes to one file fails, as it does on a full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class Full(TrainerCallback):
    """The disk is full from a step on."""

    def __init__(self, step: int, size: int) -> None:
        self._step, self._size = step, size
        self.stack = ExitStack()

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self._step:
            self.stack.enter_context(largest_file(self._size))


@pytest.mark.parametrize("size", [1000, 30_000])  # of a file: fails in a JSON file or in the weights, or the optimizer
def test_a_full_disk_is_one_line_and_the_checkpoint_before_it_is_resumed(tmp_path, model, data, size) -> None:
    options = {"sft": {**SFT, "save_steps": 2}, "track": {"probes": {"a": PROBES}, "every": [0, 2]}}
    whole = train(str(model), data, tmp_path / "whole", **options)
    full = Full(3, size)
    with full.stack, pytest.raises(InputError, match=r"cannot write to .*run: .*checkpoint-2 is complete: .*--resume"):
        train(str(model), data, tmp_path / "run", **options, callbacks=[full])
    assert not (tmp_path / "run/model").exists()
    assert not (tmp_path / "run/.model.part").exists()
    resumed = train(str(model), data, tmp_path / "run", **options, resume=True)
    assert same(weights(resumed.model), weights(whole.model))
    assert (resumed.loss, resumed.tracker.steps) == (whole.loss, [0, 2])


def test_a_disk_that_fills_while_the_model_is_saved(tmp_path, model, data) -> None:
    full = Full(5, 1000)
    with full.stack, pytest.raises(InputError, match=r"cannot write to .*: File too large; there is no checkpoint"):
        train(str(model), data, tmp_path / "run", sft=SFT, callbacks=[full])
    assert not (tmp_path / "run").exists()


def test_a_disk_that_is_full_for_a_tracked_shard(tmp_path, model, data) -> None:
    track = {"probes": {"a": make_rows(300)}, "every": [0, 2]}
    full = Full(1, 8_000)
    with full.stack, pytest.raises(InputError, match=r"cannot write part-00000.parquet to .*step-00000002"):
        train(str(model), data, tmp_path / "run", sft=SFT, track=track, callbacks=[full])
    resumed = train(str(model), data, tmp_path / "run", sft=SFT, track=track, resume=True)
    assert resumed.tracker.steps == [0, 2]


def test_a_start_that_fails_leaves_nothing_in_the_way(tmp_path, model, data) -> None:
    class Unreachable(TrainerCallback):
        def on_train_begin(self, *_, **__):
            raise RuntimeError("the service does not answer")

    with pytest.raises(InputError, match="report_to names 'wandb', which is not installed"):
        train("/no/model", data, tmp_path / "run", sft={"report_to": "wandb"})
    with pytest.raises(InputError, match=r"SFTConfig: .*clipboard"):
        train("/no/model", data, tmp_path / "run", sft={"report_to": ["clipboard"]})
    with pytest.raises(InputError, match=r"SFTTrainer: .*Target modules"):
        train(str(model), data, tmp_path / "run", sft=SFT, lora={"target_modules": ["nowhere"]})
    with pytest.raises(RuntimeError, match="does not answer"):
        train(str(model), data, tmp_path / "run", sft=SFT, callbacks=[Unreachable()])
    assert not (tmp_path / "run").exists()
    assert train(str(model), data, tmp_path / "run", sft=SFT).steps == 5


def test_the_checkpoints_are_those_of_a_killed_run_with_other_settings_only_if_there_are_any(tmp_path, model) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(str(model), ROWS, tmp_path / "run", sft=SFT, callbacks=[Kill()])
    other = train(str(model), ROWS[:6], tmp_path / "run", sft={**SFT, "seed": 3})  # nothing was there to keep
    again = train(str(model), ROWS[:6], tmp_path / "again", sft={**SFT, "seed": 3})
    assert same(weights(other.model), weights(again.model))
    assert len((tmp_path / "run/data.jsonl").read_text().splitlines()) == 6
