"""Models: loaded or refused in one line, told apart by their weights, measured wherever their weights are kept."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from headprint.base.errors import InputError
from headprint.measure.batching import collate
from headprint.measure.extraction import extract
from headprint.measure.levels import measure
from headprint.measure.tap import Tap, frozen
from headprint.models import loading as models
from headprint.models.heads import locate
from support.numerics import FLOAT32, error
from support.plain import oracle, random_examples, rows
from support.toy_models import toy_model
from support.toy_tokenizers import toy_tokenizer

EXAMPLES = random_examples((9, 14, 5))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A toy model and a tokenizer on disk."""
    folder = tmp_path_factory.mktemp("model")
    toy_model("llama").save_pretrained(folder)
    toy_tokenizer().save_pretrained(folder)
    return folder


def test_a_loaded_model_is_frozen_in_no_way_and_in_evaluation_mode(saved) -> None:
    model, tokenizer = models.load(str(saved), device="cpu")
    assert not model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert tokenizer("a")["input_ids"]
    assert models.load(str(saved), device="cpu", dtype="bfloat16")[0].dtype == torch.bfloat16


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
        models.load(str(saved), **options)


def test_a_folder_without_a_model_and_a_pickled_model_are_refused(saved, tmp_path) -> None:
    with pytest.raises(InputError, match=r"config\.json"):
        models.load(str(tmp_path))
    toy_model("llama").config.save_pretrained(tmp_path)
    toy_tokenizer().save_pretrained(tmp_path)
    torch.save(toy_model("llama").state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        models.load(str(tmp_path))


def test_the_embedded_model_goes_by_its_name() -> None:
    model, _ = models.load("lab", device="cpu")
    assert models.describe(model)["id"] == "lab"
    assert model.dtype == torch.float32


def test_the_fingerprint_follows_the_weights_and_nothing_else(saved) -> None:
    model = models.load(str(saved), device="cpu")[0]
    same = models.load(str(saved), device="cpu", attn_implementation="eager")[0]
    assert models.fingerprint(model) == models.fingerprint(same)
    for change in (
        lambda m: m.model.layers[0].mlp.up_proj.weight[0, 0].add_(1e-3),
        lambda m: m.model.layers[0].mlp.up_proj.weight.copy_(m.model.layers[0].mlp.up_proj.weight.flip(0).clone()),
        lambda m: m.model.norm.weight[3].mul_(1.001),
    ):
        other = copy.deepcopy(model)
        with torch.no_grad():
            change(other)
        assert models.fingerprint(other) != models.fingerprint(model)


def test_weights_on_disk_or_in_host_memory_are_measured_all_the_same(tmp_path) -> None:
    """What ``device_map`` does with layers that do not fit a device."""
    from accelerate import cpu_offload, disk_offload

    model, cpu = toy_model("llama"), torch.device("cpu")
    expected = extract(model, None, rows(EXAMPLES))
    for away in (
        disk_offload(copy.deepcopy(model), str(tmp_path), execution_device=cpu),
        cpu_offload(copy.deepcopy(model), execution_device=cpu),
    ):
        assert next(away.model.layers[0].parameters()).device.type == "meta"
        found = extract(away, None, rows(EXAMPLES))
        assert torch.equal(torch.tensor(found.values), torch.tensor(expected.values))
        assert models.fingerprint(away) == models.fingerprint(model)


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
        base = models.load(str(saved), device="cpu")[0]
        wrapped = peft.get_peft_model(base, peft.LoraConfig(target_modules=["o_proj"], r=2, init_lora_weights=False))
        expected = extract(wrapped, None, rows(EXAMPLES)).values
        wrapped.save_pretrained(tmp_path)
        toy_tokenizer().save_pretrained(tmp_path)
        model, _ = models.load(str(tmp_path), device="cpu")
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
