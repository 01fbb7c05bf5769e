"""Probes along training: the right numbers, at the right steps, told to everybody, and training unmoved to the bit."""

from __future__ import annotations

import gc
import json
import math
import weakref

import numpy as np
import pytest
from datasets import Dataset
from torch import nn
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

import headprint
from headprint.analysis.bootstrap import Bootstrap
from headprint.base.errors import InputError
from headprint.measure.extraction import extract
from headprint.patterns.pattern_set import PatternSet
from headprint.training.tracker import PatternTracker
from support.numerics import FLOAT32, error
from support.plain import random_examples, rows
from support.toy_models import toy_model
from support.toy_tokenizers import toy_tokenizer
from support.training import KINDS, PROBES, ROWS, Watch, build, fit, same, trainer_logs, weights

OTHERS = rows(random_examples((7, 9, 11), seed=3))


def close(ours: PatternSet, reference: PatternSet) -> bool:
    return ours.ids == reference.ids and error(ours.values, reference.values) <= FLOAT32


@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_the_same_way_to_the_bit(tmp_path, kind) -> None:
    settings = KINDS[kind][2]
    alone = fit(build(kind, dropout=True), tmp_path / "a", **settings)
    tracker = PatternTracker({"a": PROBES, "b": OTHERS}, every=1, online=True)
    followed = fit(build(kind, dropout=True), tmp_path / "b", [tracker], **settings)
    assert tracker.steps == [0, 1, 2, 3, 4, 5]
    assert same(weights(alone.model), weights(followed.model))
    assert trainer_logs(alone) == trainer_logs(followed)


@pytest.mark.parametrize("kind", ["plain", "lora"])
def test_each_set_is_what_extract_says_at_that_step(tmp_path, kind) -> None:
    watch, tracker = Watch(), PatternTracker({"a": PROBES, "b": OTHERS}, online=True)
    trainer = fit(build(kind, dropout=True), tmp_path, [watch, tracker])
    after = weights(trainer.model)
    for step in (0, 1, 2, 4, 5):
        trainer.model.load_state_dict(watch.weights[step] if step < 5 else after)
        for name, probes in (("a", PROBES), ("b", OTHERS)):
            assert close(tracker.sets[name][step], extract(trainer.model, None, probes))
    assert tracker.sets["a"][4].provenance["step"] == 4
    assert not close(tracker.sets["a"][5], tracker.sets["a"][0])


def test_the_model_is_given_back_as_it_was(tmp_path) -> None:
    seen = []

    class Check(TrainerCallback):
        def on_step_begin(self, args, state, control, model, **_):
            seen.append(self.state_of(model))

        @staticmethod
        def state_of(model: nn.Module):
            hooks = [len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.modules()]
            wants = [p.requires_grad for p in model.parameters()]
            return hooks, wants, [p.grad is None for p in model.parameters()]

    model = build("plain", dropout=True)
    model.transformer.wte.weight.requires_grad_(False)
    before = Check.state_of(model)
    fit(model, tmp_path, [PatternTracker(PROBES, every=1), Check()])
    assert len(seen) == 5
    assert all(state == before for state in seen)


def test_a_training_that_is_stopped_early_is_measured_at_its_end(tmp_path) -> None:
    class Stop(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            control.should_training_stop = state.global_step == 2

    tracker = PatternTracker(PROBES, every=2)
    fit(build("plain", dropout=False), tmp_path, [Stop(), tracker])
    assert tracker.steps == [0, 2, 3]


def test_metrics_are_those_of_the_patterns_and_go_to_every_reporter(tmp_path) -> None:
    watch, tracker = Watch(), PatternTracker({"a": PROBES}, every=[0, 3])
    trainer = fit(build("plain", dropout=False), tmp_path, [watch, tracker])
    first, last = (tracker.sets["a"][step].pattern() for step in (0, 3))
    expected = {
        "correlation": last.correlation(first),
        "mse": last.mse(first),
        "loss": float(tracker.sets["a"][3].losses.mean()),
        "gini": last.gini(),
        "cv": last.cv(),
        "kurtosis": last.kurtosis(),
    }
    assert tracker.metrics["a"][3] == expected
    assert tracker.metrics["a"][0]["mse"] == 0
    logged = {f"headprint/a/{name}": value for name, value in expected.items()}
    (heard,) = (logs for step, logs in watch.logs if step == 3 and "headprint/a/cv" in logs)
    assert heard.items() >= logged.items()
    (kept,) = (log for log in trainer.state.log_history if log["step"] == 3 and "headprint/a/cv" in log)
    assert kept.items() >= logged.items()
    assert [log["step"] for log in trainer.state.log_history if "loss" in log] == [2, 4]


def test_a_tracker_among_the_callbacks_measures_the_same_and_reaches_no_reporter(tmp_path, caplog) -> None:
    attached = PatternTracker({"a": PROBES}, every=[0, 2], online=True)
    fit(build("plain", dropout=False), tmp_path / "a", [attached], max_steps=2)
    watch, passed = Watch(), PatternTracker({"a": PROBES}, every=[0, 2], online=True)
    args = SFTConfig(
        output_dir=str(tmp_path / "b"), max_steps=2, per_device_train_batch_size=3, learning_rate=1e-2,
        save_strategy="no", report_to=[], use_cpu=True, bf16=False, disable_tqdm=True,
    )  # fmt: skip
    data = Dataset.from_list([{key: row[key] for key in ("input_ids", "labels")} for row in ROWS])
    trainer = SFTTrainer(
        build("plain", dropout=False), args, train_dataset=data, processing_class=toy_tokenizer(),
        callbacks=[watch],
    )  # fmt: skip
    trainer.add_callback(passed)
    args.report_to = ["tensorboard"]  # none was made
    trainer.train()
    assert passed.metrics == attached.metrics
    assert any("headprint/a/gini" in log for log in trainer.state.log_history)
    assert not any("headprint/a/gini" in logs for _, logs in watch.logs)
    assert "patterns are not sent to tensorboard: call tracker.attach(trainer)" in caplog.text
    args.report_to = []
    trainer = SFTTrainer(build("plain", dropout=False), args, train_dataset=data, processing_class=toy_tokenizer())
    passed.attach(trainer)
    passed.attach(trainer)
    assert trainer.callback_handler.callbacks.count(passed) == 1


def test_a_tracker_does_not_keep_a_finished_trainer_alive(tmp_path) -> None:
    tracker = PatternTracker({"a": PROBES}, every=[0])
    trainer = fit(build("plain", dropout=False), tmp_path, [tracker], max_steps=1)
    optimizer = weakref.ref(trainer.optimizer.optimizer)
    del trainer
    gc.collect()
    assert optimizer() is None


def test_trajectory() -> None:
    tracker = PatternTracker({"a": PROBES, "b": OTHERS})
    rng = np.random.default_rng(0)
    for step in (4, 0, 1):
        values = rng.normal(size=(4, 3, 4)).astype(np.float32)
        tracker.sets["a"][step] = PatternSet(values, list("abcd"), np.ones(4), np.ones(4))
    course = tracker.trajectory("a", bootstrap=Bootstrap(draws=20))
    patterns = [tracker.sets["a"][step].pattern() for step in (0, 1, 4)]
    assert [x.value for x in course.mse] == pytest.approx([p.mse(patterns[0]) for p in patterns], rel=1e-5)
    assert course.correlation[0].value == pytest.approx(1)
    with pytest.raises(InputError, match="no probes are called 'c'; there are: a, b"):
        tracker.trajectory("c")
    with pytest.raises(InputError, match="there are: a, b"):
        tracker.trajectory()


def test_one_task_needs_no_name(tmp_path) -> None:
    tracker = PatternTracker(PROBES, every=[0, 1])
    fit(build("plain", dropout=False), tmp_path, [tracker], max_steps=1)
    assert len(tracker.trajectory(bootstrap=Bootstrap(draws=0)).mse) == 2
    assert math.isnan(tracker.trajectory(bootstrap=Bootstrap(draws=0)).mse[1].low)


def test_sets_on_disk_are_kept_by_a_resumed_run_and_the_others_made(tmp_path) -> None:
    out = tmp_path / "tracks"
    whole = PatternTracker({"a": PROBES}, out=tmp_path / "whole")
    fit(build("plain", dropout=True), tmp_path / "w", [whole])

    class Kill(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            if state.global_step == 4:
                raise KeyboardInterrupt

    killed = PatternTracker({"a": PROBES}, out=out)
    with pytest.raises(KeyboardInterrupt):
        fit(build("plain", dropout=True), tmp_path / "r", [killed, Kill()], save_strategy="steps", save_steps=3)
    assert sorted(path.name for path in (out / "a").iterdir()) == [f"step-0000000{n}" for n in (0, 1, 2, 4)]
    (out / "a/step-00000004/part-00000.parquet").unlink()  # written, and lost
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    again = PatternTracker({"a": PROBES}, out=out)
    fit(build("plain", dropout=True), tmp_path / "r", [again], resume=str(tmp_path / "r/checkpoint-3"))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert again.steps == whole.steps == [0, 1, 2, 4, 5]
    for step in again.steps:
        found = headprint.load(out / f"a/step-{step:08d}")
        assert np.array_equal(found.values, whole.sets["a"][step].values)
        assert np.array_equal(found.values, again.sets["a"][step].values)
    assert again.metrics["a"][5] == whole.metrics["a"][5]  # against step 0, which was read


def test_the_bytes_of_a_shard_do_not_depend_on_where_the_rows_and_the_model_lie(tmp_path) -> None:
    shards = []
    for name in ("here", "there/deeper"):
        (tmp_path / name).mkdir(parents=True)
        probes = tmp_path / name / "probes.jsonl"
        probes.write_text("".join(f"{json.dumps(row)}\n" for row in ({"prompt": "how many", "completion": " seven"},)))
        model = toy_model("llama", attention="sdpa", vocab_size=400)
        model.config._name_or_path = str(tmp_path / name)
        tracker = PatternTracker({"a": str(probes)}, every=[0], out=tmp_path / name / "tracks")
        fit(model, tmp_path / name, [tracker], max_steps=1)
        assert tracker.sets["a"][0].provenance["data"]["source"] == str(probes)
        shards.append((tmp_path / name / "tracks/a/step-00000000/part-00000.parquet").read_bytes())
    assert shards[0] == shards[1]


def test_a_directory_of_another_model_or_of_other_probes_is_refused(tmp_path) -> None:
    fit(build("plain", dropout=False), tmp_path / "a", [PatternTracker({"a": PROBES}, out=tmp_path, every=[0])])
    with pytest.raises(InputError, match="step-00000000 is of another model"):
        fit(build("lora", dropout=False), tmp_path / "b", [PatternTracker({"a": PROBES}, out=tmp_path)])
    with pytest.raises(InputError, match="other probes"):
        fit(build("plain", dropout=False), tmp_path / "c", [PatternTracker({"a": OTHERS}, out=tmp_path)])


def test_probes_that_cannot_be_used(tmp_path) -> None:
    with pytest.raises(InputError, match="nothing to track"):
        PatternTracker()
    with pytest.raises(InputError, match=r"'a': 5 rows were asked for, there are 4 \(4 rows in memory\)"):
        PatternTracker({"a": PROBES}, limit=5)
    with pytest.raises(InputError, match=r"nowhere\.jsonl: no such file"):
        PatternTracker("nowhere.jsonl")
    with pytest.raises(InputError, match="called 'a/b'"):
        PatternTracker({"a/b": PROBES})
    with pytest.raises(InputError, match="'train' is what online tracking calls"):
        PatternTracker({"train": PROBES}, online=True)
    with pytest.raises(InputError, match="placement is 'head'"):
        PatternTracker(PROBES, placement="head")
    unlearnable = [{"id": "z", "input_ids": [5, 6], "labels": [5, -100]}]
    with pytest.raises(InputError, match=r"5 rows were asked for, 5 rows read, 4 kept; .*usable are 4"):
        fit(build("plain", dropout=False), tmp_path, [PatternTracker({"a": [*PROBES, *unlearnable]}, limit=5)])


def test_the_trainers_tokenizer_reads_text(tmp_path) -> None:
    """Of 400 tokens, where the toy model has 96: one that reads them all."""
    model = toy_model("llama", attention="sdpa", vocab_size=400)
    text = [{"prompt": "Question: how many eggs", "completion": " seven"}]
    tracker = PatternTracker(text, every=[0])
    trainer = fit(model, tmp_path, [tracker], max_steps=1)
    assert close(tracker.sets["probe"][0], extract(toy_model("llama", attention="sdpa", vocab_size=400),
                                                   trainer.processing_class, text))  # fmt: skip


def test_sharded_weights_are_refused(tmp_path) -> None:
    model = build("plain", dropout=False)
    next(model.parameters()).ds_id = 0  # DeepSpeed's mark under ZeRO stage 3
    for tracker in (PatternTracker(PROBES), PatternTracker(online=True)):
        with pytest.raises(InputError, match="sharded over processes"):
            fit(model, tmp_path, [tracker])
