"""Models and tokenizers by name: loaded, or refused in one line."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from headprint import models
from headprint.base.errors import InputError
from headprint.measure.batching import collate
from headprint.measure.extraction import extract
from headprint.measure.levels import measure
from headprint.measure.tap import Tap
from headprint.models import frozen
from headprint.models.heads import locate
from support.entry_points import install
from support.numerics import FLOAT32, error
from support.plain import oracle, random_examples, rows
from support.toy_models import toy_model
from support.toy_tokenizers import toy_tokenizer

EXAMPLES = random_examples((9, 14, 5))


def test_a_loaded_model_is_frozen_in_no_way_and_in_evaluation_mode(saved) -> None:
    model, tokenizer = models.load_model(str(saved), device="cpu")
    assert not model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert tokenizer("a")["input_ids"]
    assert models.load_model(str(saved), device="cpu", dtype="bfloat16")[0].dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"dtype": "float7"}, "dtype is 'float7'"),
        ({"device": "gpu9"}, "gpu9"),
        ({"attn_implementation": "flash_attention_9"}, "flash_attention_9"),
    ],
)
def test_wrong_options_are_named(saved, options, named) -> None:
    with pytest.raises(InputError, match=named):
        models.load_model(str(saved), **options)


def test_a_folder_without_a_model_and_a_pickled_model_are_refused(saved, tmp_path) -> None:
    with pytest.raises(InputError, match=r"config\.json"):
        models.load_model(str(tmp_path))
    toy_model("llama").config.save_pretrained(tmp_path)
    toy_tokenizer().save_pretrained(tmp_path)
    torch.save(toy_model("llama").state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        models.load_model(str(tmp_path))


def test_what_is_missing_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for load in (models.load_model, models.load_tokenizer):
        with pytest.raises(InputError, match=r"gone/model does not exist: .* or one of lab"):
            load(tmp_path / "gone/model")
        with pytest.raises(InputError, match=r"'labb' \(there is no such directory, .*did you mean 'lab'\?$"):
            load("labb")


def test_the_embedded_model_goes_by_its_name() -> None:
    model, _ = models.load_model("lab", device="cpu")
    assert models.describe(model)["id"] == "lab"
    assert model.dtype == torch.float32


def test_another_package_adds_a_model(saved, tmp_path, monkeypatch) -> None:
    (tmp_path / "house_models.py").write_text(f"def tiny(): return {str(saved)!r}\n")
    install(tmp_path, "house-models", {"headprint.models": {"tiny": "house_models:tiny"}})
    monkeypatch.syspath_prepend(tmp_path)
    model, tokenizer = models.load_model("tiny", device="cpu")
    assert models.describe(model)["id"] == "tiny"
    assert tokenizer.get_vocab() == models.load_tokenizer("tiny").get_vocab() == toy_tokenizer().get_vocab()
    with pytest.raises(InputError, match="one of lab, tiny"):
        models.load_model("no such thing")


class TestResolve:
    """A model or its name."""

    def test_a_name_is_loaded_with_its_tokenizer(self, saved) -> None:
        for name in (saved, str(saved)):
            model, tokenizer = models.resolve(name, dtype="bfloat16", device="cpu")
            assert models.dtype_name(model) == "bfloat16"
            assert tokenizer("a")["input_ids"]

    def test_a_tokenizer_that_is_given_comes_first(self, saved) -> None:
        own = toy_tokenizer()
        assert models.resolve(saved, own, device="cpu")[1] is own
        assert models.resolve(toy_model("llama"), str(saved))[1].get_vocab() == own.get_vocab()

    def test_a_loaded_model_stays_as_it_is(self) -> None:
        model = toy_model("llama").train()
        assert models.resolve(model) == (model, None)
        assert model.training

    @pytest.mark.parametrize(
        "option",
        [{"dtype": "float32"}, {"device": "cpu"}, {"attn_implementation": "eager"}, {"trust_remote_code": True}],
    )
    def test_a_loaded_model_takes_no_option_of_loading(self, option) -> None:
        with pytest.raises(InputError, match=f"^{next(iter(option))} is for a model given by name"):
            models.resolve(toy_model("llama"), **option)


@pytest.mark.parametrize("bits", [4, 8])
def test_quantised_weights(tmp_path, bits) -> None:
    pytest.importorskip("bitsandbytes")
    toy_model("llama", hidden_size=128, intermediate_size=128, head_dim=32).save_pretrained(tmp_path)
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    model = AutoModelForCausalLM.from_pretrained(
        tmp_path,
        quantization_config=BitsAndBytesConfig(load_in_4bit=bits == 4, load_in_8bit=bits == 8),
        device_map="cpu",
        dtype=torch.float32,
        attn_implementation="eager",
    )
    assert type(locate(model).sites[0].module).__module__.startswith("bitsandbytes")
    with frozen(model), Tap(locate(model).sites) as tap:
        levels, _ = measure(model, tap, collate(EXAMPLES[:1]))
    # 8-bit products round their inputs to what is in the batch, so only one batch can be compared.
    assert error(levels, oracle(model, EXAMPLES[:1])) <= FLOAT32


class TestWrappers:
    """The number is that of the model inside."""

    def test_lora_before_and_after_merging(self) -> None:
        peft = pytest.importorskip("peft")
        model = toy_model("llama")
        plain = extract(copy.deepcopy(model), None, rows(EXAMPLES)).values
        config = peft.LoraConfig(target_modules=["q_proj", "v_proj", "o_proj", "down_proj"], r=4, task_type="CAUSAL_LM")
        wrapped = peft.get_peft_model(model, config)
        # Fresh adapters add nothing: B is zero.
        assert error(torch.tensor(extract(wrapped, None, rows(EXAMPLES)).values), torch.tensor(plain)) <= FLOAT32
        torch.manual_seed(0)
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter, std=0.1)
        flags = [parameter.requires_grad for parameter in wrapped.parameters()]
        adapted = torch.tensor(extract(wrapped, None, rows(EXAMPLES)).values)
        assert [parameter.requires_grad for parameter in wrapped.parameters()] == flags
        assert error(adapted, torch.tensor(plain)) > 1e-2
        merged = wrapped.merge_and_unload()
        assert error(adapted, torch.tensor(extract(merged, None, rows(EXAMPLES)).values)) <= FLOAT32

    def test_an_adapter_folder_loads_with_its_base(self, saved, tmp_path) -> None:
        peft = pytest.importorskip("peft")
        base = models.load_model(str(saved), device="cpu")[0]
        wrapped = peft.get_peft_model(base, peft.LoraConfig(target_modules=["o_proj"], r=2, init_lora_weights=False))
        expected = extract(wrapped, None, rows(EXAMPLES)).values
        wrapped.save_pretrained(tmp_path)
        toy_tokenizer().save_pretrained(tmp_path)
        model, _ = models.load_model(str(tmp_path), device="cpu")
        found = extract(model, None, rows(EXAMPLES))
        assert error(torch.tensor(found.values), torch.tensor(expected)) <= FLOAT32
        assert found.provenance["model"]["adapters"] == ["default"]

    def test_prompt_tuning_is_refused_since_it_adds_tokens(self) -> None:
        peft = pytest.importorskip("peft")
        wrapped = peft.get_peft_model(
            toy_model("llama"), peft.PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM")
        )
        with pytest.raises(InputError, match="prompt"):
            extract(wrapped, None, rows(EXAMPLES))
