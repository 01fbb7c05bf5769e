"""The pretraining: resumable to the same weights, honest about its inputs, saved so that anyone can load it."""

import dataclasses
import itertools
import json
import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from headprint import lab
from headprint.base.errors import InputError
from headprint.base.run_directory import RunDirectory
from headprint.lab.corpus import documents
from headprint.lab.pretrain import (
    PRETRAINING,
    TOKENIZER_DOCUMENTS,
    Settings,
    batches,
    build_model,
    loss_on,
    pretrain,
    rate_at,
    row_length,
)
from headprint.lab.tokenizer import BOS, EOS, PAD, train_tokenizer

TINY = Settings(
    steps=6,
    tokens_per_step=128,
    short=32,
    context=64,
    hidden=32,
    layers=1,
    heads=4,
    kv_heads=2,
    inner=48,
    long_share=0.4,
    bf16=False,
)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(itertools.islice(documents(0), 1000))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished")
    pretrain(TINY, out)
    return out


@pytest.mark.slow
def test_a_resumed_run_ends_with_the_same_weights(finished: Path, tmp_path: Path) -> None:
    for _ in range(TINY.steps + 1):
        record = pretrain(TINY, tmp_path, minutes=0.0)
    assert record["step"] == TINY.steps
    expected, actual = (torch.load(out / "state.pt", weights_only=True)["model"] for out in (finished, tmp_path))
    assert expected.keys() == actual.keys()
    assert all(torch.equal(expected[name], actual[name]) for name in expected)


def test_other_settings_do_not_resume(finished: Path) -> None:
    with pytest.raises(InputError, match="other settings: seed is 0 there and 1 here"):
        pretrain(dataclasses.replace(TINY, seed=1), finished)


def test_one_process_at_a_time_and_nobody_elses_directory(tmp_path: Path) -> None:
    other = RunDirectory(tmp_path / "run", PRETRAINING).begin(b'{"settings": {}}')
    with other, pytest.raises(InputError, match="another process is writing"):
        pretrain(TINY, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (tmp_path / "pretraining.json").write_text("[]")
    with pytest.raises(InputError, match="not the record of a pretraining"):
        pretrain(TINY, tmp_path)


def test_the_saved_model_loads_in_float32_with_float16_values(finished: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(finished / "model")
    state = torch.load(finished / "state.pt", weights_only=True)["model"]
    for name, value in model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, state[name].to(torch.float16).float())
    assert model.config.num_key_value_heads < model.config.num_attention_heads
    assert model.config.use_cache
    assert model.generation_config.eos_token_id == model.config.eos_token_id
    record = json.loads((finished / "pretraining.json").read_text())
    assert record["tokens"] == TINY.steps * TINY.tokens_per_step
    assert 0 < record["held_out_loss"] < math.log(TINY.vocab_size)


def test_batches_are_the_documents_and_a_later_start_skips(tokenizer: PreTrainedTokenizerFast) -> None:
    rows = list(itertools.islice(batches(TINY, tokenizer), 6))
    assert [row.shape[1] for row in rows] == [row_length(step, TINY) for step in range(6)]
    assert {32, 64} == {row.shape[1] for row in rows}
    flat = torch.cat([row.flatten() for row in rows]).tolist()
    expected: list[int] = []
    for text in itertools.islice(documents(TINY.seed), 64):
        expected += [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
    assert flat == expected[: len(flat)]
    later = list(itertools.islice(batches(TINY, tokenizer, start=4), 2))
    assert all(torch.equal(a, b) for a, b in zip(later, rows[4:], strict=True))


def test_loss_is_the_models_own(tokenizer: PreTrainedTokenizerFast) -> None:
    model = build_model(dataclasses.replace(TINY, seed=3), tokenizer)
    rows = next(batches(TINY, tokenizer))
    assert torch.allclose(loss_on(model, rows, bf16=False), model(input_ids=rows, labels=rows).loss)


def test_the_rate_rises_stays_and_falls() -> None:
    settings = Settings(steps=100, warmup=0.1, decay=0.4)
    rates = [rate_at(step, settings) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert set(rates[10:60]) == {1.0}
    assert rates[60:] == sorted(rates[60:], reverse=True)
    assert 0 < rates[-1] < 0.05


def test_tokenizer_gives_back_text_and_splits_digits(tokenizer: PreTrainedTokenizerFast) -> None:
    for text in (*itertools.islice(documents(1), 50), "Ünïcode “quotes” 漢字\t1 234"):
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    assert len(tokenizer) == Settings().vocab_size
    digits = [token for token in tokenizer.get_vocab() if any(c in "0123456789" for c in token)]
    assert sorted(digits) == list("0123456789")
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (BOS, EOS, PAD)
    assert tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id


@pytest.mark.parametrize("name", lab.TASKS)
def test_prompt_tokens_are_a_prefix_and_rows_are_short(tokenizer: PreTrainedTokenizerFast, name: str) -> None:
    for row in lab.task_rows(name, n=100):
        prompt = tokenizer(row["prompt"])["input_ids"]
        whole = tokenizer(row["prompt"] + row["completion"])["input_ids"]
        assert whole[: len(prompt)] == prompt
        assert len(whole) <= 160


def test_chat_template_marks_the_assistants_turns(tokenizer: PreTrainedTokenizerFast) -> None:
    messages = [{"role": "user", "content": "Count."}, {"role": "assistant", "content": "1, 2."}]
    encoded = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    marked = [t for t, m in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True) if m]
    assert tokenizer.decode(marked) == f" 1, 2.{EOS}"
    prompt = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    assert prompt == f"{BOS}User: Count.\nAssistant:"
    assert tokenizer.apply_chat_template(messages, tokenize=False).startswith(prompt)


def test_a_missing_model_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "files", lambda package: tmp_path)
    with pytest.raises(InputError, match="pretrain --out DIR"):
        lab.model_path()


def test_the_shipped_model_is_whole_and_small() -> None:
    folder = lab.model_path()
    assert sum(path.stat().st_size for path in folder.iterdir()) < 16 * 2**20
    config = AutoModelForCausalLM.from_pretrained(folder).config
    assert config.num_hidden_layers >= 6
    assert config.num_attention_heads >= 8
    assert config.num_key_value_heads < config.num_attention_heads
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == config.vocab_size


@pytest.mark.slow
def test_the_shipped_tokenizer_is_the_one_that_the_script_makes() -> None:
    # Also guards the generator: the shipped model has read this very text.
    made = train_tokenizer(itertools.islice(documents(Settings().seed), TOKENIZER_DOCUMENTS))
    shipped = AutoTokenizer.from_pretrained(lab.model_path())
    assert made.get_vocab() == shipped.get_vocab()
    text = next(documents(5))
    assert made(text)["input_ids"] == shipped(text)["input_ids"]
