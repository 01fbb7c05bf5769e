"""The verdict on a model: exact ones pass, wrong ones are found, and nothing is left behind."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
from collections.abc import Iterator

import pytest
import torch
import transformers
from torch.nn import functional
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from headprint.measure.extraction import extract
from headprint.measure.verification import (
    altered,
    coverage,
    ensure_exact,
    known_exact,
    random_examples,
    source_hash,
    verify,
)
from headprint.models.heads import HeadMap, UnsupportedModel, locate
from support.numerics import FLOAT32, FLOAT64, error
from support.toy_models import toy_model
from support.toy_tokenizers import toy_tokenizer

module = importlib.import_module("headprint.measure.verification")


def at_the_projection(model: torch.nn.Module) -> HeadMap:
    """A mistake in locate: BitNet tapped behind the norm that mixes its heads."""
    found = locate(model)
    sites = [dataclasses.replace(site, module=site.attention.o_proj) for site in found.sites]
    return dataclasses.replace(found, sites=tuple(sites))


def transposed(model: torch.nn.Module) -> HeadMap:
    """A mistake in locate: twice the heads, of half the width."""
    found = locate(model)
    sites = [dataclasses.replace(s, heads=s.heads // 2, head_dim=2 * s.head_dim) for s in found.sites]
    return dataclasses.replace(found, sites=tuple(sites), heads=found.heads // 2)


def test_verdict_is_json_and_has_its_numbers() -> None:
    verdict = verify(toy_model("llama", attention="sdpa"))
    assert verdict.exact
    read = json.loads(json.dumps(verdict.to_dict()))
    assert (read["family"], read["model_class"], read["dtype"], read["kernel"]) == (
        "llama",
        "LlamaForCausalLM",
        "float32",
        "sdpa",
    )
    assert read["error_within_kernel"] <= FLOAT32
    assert read["error_across_kernels"] <= FLOAT32
    assert read["error_in_batch"] == 0
    assert list(read["layer_errors"]) == ["0", "1", "2"]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_dtypes(dtype: torch.dtype) -> None:
    verdict = verify(toy_model("qwen3", attention=None, dtype=dtype))
    assert verdict.exact, verdict.reason
    assert verdict.error_within_kernel is not None
    assert verdict.error_within_kernel < (FLOAT64 if dtype == torch.float64 else verdict.tolerance)


def test_float64_agrees_within_one_kernel_only() -> None:
    """Eager attention takes its softmax in float32 even in a float64 model."""
    verdict = verify(toy_model("llama", attention="sdpa", dtype=torch.float64))
    assert verdict.exact
    assert verdict.error_within_kernel is not None
    assert verdict.error_across_kernels is not None
    assert verdict.error_within_kernel <= FLOAT64 < verdict.error_across_kernels <= FLOAT32


@pytest.mark.parametrize(("family", "mistake"), [("bitnet", at_the_projection), ("llama", transposed)])
def test_wrong_tap_point_is_found_and_refused(family: str, mistake: object, monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy_model(family)
    monkeypatch.setattr(module, "locate", mistake)
    monkeypatch.setattr(module, "known_exact", lambda _: False)
    verdict = verify(model)
    assert not verdict.exact
    assert verdict.reason
    with pytest.raises(UnsupportedModel, match="would not be exact"):
        ensure_exact(model)


def test_models_that_are_not_causal_are_refused() -> None:
    for model in (toy_model("bert", is_decoder=False), toy_model("cpmant"), toy_model("xlm", causal=False)):
        verdict = verify(model)
        assert not verdict.exact
        assert "not a causal model" in verdict.reason
        with pytest.raises(UnsupportedModel):
            ensure_exact(model)
    ensure_exact(toy_model("bert"))


@pytest.fixture
def own_kernels() -> Iterator[None]:
    """Attention functions "own", with its mask function, and "unmasked", without."""
    functions, masks = ALL_ATTENTION_FUNCTIONS._global_mapping, ALL_MASK_ATTENTION_FUNCTIONS._global_mapping

    def attend(module, query, key, value, attention_mask, scaling, dropout=0.0, **_):
        z = functional.scaled_dot_product_attention(query, key, value, attention_mask, scale=scaling, enable_gqa=True)
        return z.transpose(1, 2).contiguous(), None

    def mask(*args, **options):
        return sdpa_mask(*args, **{**options, "allow_is_causal_skip": False})

    functions |= {"own": attend, "unmasked": attend}
    masks["own"] = mask
    yield
    del functions["own"], functions["unmasked"], masks["own"]


def test_an_attention_function_without_its_mask_is_refused_by_name(own_kernels: None) -> None:
    ensure_exact(toy_model("llama", attention="own"))
    model = toy_model("llama", attention="unmasked")
    verdict = verify(model)
    assert not verdict.exact
    assert verdict.error_within_kernel is not None
    assert verdict.error_within_kernel <= FLOAT32  # eager attention has its mask
    message = r"'unmasked' is registered without its mask function.*AttentionMaskInterface\.register\('unmasked', …\)"
    assert re.search(message, verdict.reason)
    with pytest.raises(UnsupportedModel, match=message):  # of a class that is known, too
        ensure_exact(model)


def test_extraction_looks_at_the_kernel_that_it_lends(own_kernels: None) -> None:
    rows = [{"input_ids": [5, 6, 7, 8, 9], "labels": [-100, -100, 7, 8, 9]}]
    model = toy_model("llama", attention="sdpa")
    with pytest.raises(UnsupportedModel, match="'unmasked' is registered without"):
        extract(model, None, rows, attn_implementation="unmasked")
    assert model.config._attn_implementation == "sdpa"
    own = extract(model, None, rows, attn_implementation="own").values
    assert error(own, extract(model, None, rows).values) <= FLOAT32


def test_a_model_is_given_by_name_too(tmp_path) -> None:
    toy_model("llama").save_pretrained(tmp_path)
    toy_tokenizer().save_pretrained(tmp_path)
    verdict = verify(tmp_path, dtype="float64", attn_implementation="sdpa")
    assert (verdict.exact, verdict.dtype, verdict.kernel) == (True, "float64", "sdpa")


def test_unsupported_models_are_a_verdict_with_the_reason() -> None:
    verdict = verify(toy_model("mamba"))
    assert not verdict.exact
    assert "no softmax attention" in verdict.reason
    assert verdict.error_within_kernel is None


def test_known_classes_are_not_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy_model("llama")
    table = coverage() | {"transformers": transformers.__version__, "classes": ["LlamaForCausalLM"]}
    table["code"] = {
        "transformers.models.llama.modeling_llama": source_hash("transformers.models.llama.modeling_llama")
    }
    monkeypatch.setattr(module, "coverage", lambda: table)
    monkeypatch.setattr(module, "verify", lambda _: pytest.fail("verified"))
    assert known_exact(model)
    ensure_exact(model)
    assert not known_exact(toy_model("qwen3"))
    table["transformers"] = "5.6.0"
    assert not known_exact(model)


def test_own_class_of_a_known_name_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    class LlamaForCausalLM(transformers.LlamaForCausalLM):
        """Remote code that calls itself llama."""

    table = coverage() | {"transformers": transformers.__version__, "classes": ["LlamaForCausalLM"]}
    monkeypatch.setattr(module, "coverage", lambda: table)
    assert not known_exact(LlamaForCausalLM(toy_model("llama").config))


def always_on_dropout(model: torch.nn.Module) -> None:
    model.model.layers[1].mlp.register_forward_hook(lambda _, __, out: functional.dropout(out, 0.3, training=True))


def rows_mixed(model: torch.nn.Module) -> None:
    model.model.layers[1].mlp.register_forward_hook(lambda _, __, out: out + out.mean(0, keepdim=True))


def not_causal(model: torch.nn.Module) -> None:
    for layer in model.model.layers:
        layer.self_attn.is_causal = False


class LoudMLP(torch.nn.Module):
    """A layer's MLP with noise that eval() does not switch off."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.dropout(self.inner(x), 0.3, training=True)


def own_module(model: torch.nn.Module) -> None:
    model.model.layers[0].mlp = LoudMLP(model.model.layers[0].mlp)


def own_forward(model: torch.nn.Module) -> None:
    attention = model.model.layers[1].self_attn
    forward = attention.forward
    attention.forward = lambda *args, **options: forward(*args, **options | {"attention_mask": None})
    attention.is_causal = False


PATCHES = {
    "dropout": (always_on_dropout, "model.layers.1.mlp has a hook"),
    "mixed": (rows_mixed, "model.layers.1.mlp has a hook"),
    "not causal": (not_causal, "is_causal is False on the attention of layer 0"),
    "module": (own_module, "model.layers.0.mlp is of "),
    "forward": (own_forward, "the forward of model.layers.1.self_attn was replaced"),
}


@pytest.mark.parametrize("patch", PATCHES)
def test_a_patched_model_of_a_known_class_is_refused_by_extract(patch: str) -> None:
    change, named = PATCHES[patch]
    model = toy_model("llama", attention="sdpa")
    assert altered(model) == ""
    change(model)
    assert named in altered(model)
    rows = [{"input_ids": [5, 6, 7, 8, 9, 10], "labels": [-100, -100, 7, 8, 9, 10]}]
    with pytest.raises(UnsupportedModel, match=rf"would not be exact.*\(checked because .*{re.escape(named)}"):
        extract(model, None, rows)


def test_a_hook_that_only_looks_is_verified_and_let_through() -> None:
    model, seen = toy_model("llama", attention="sdpa"), []
    model.model.layers[1].mlp.register_forward_hook(lambda _, __, out: seen.append(out.shape))
    assert not known_exact(model)
    ensure_exact(model)
    assert seen


def test_code_that_was_changed_after_it_was_tested_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy_model("llama", attention="sdpa")
    monkeypatch.setattr("transformers.models.llama.modeling_llama.rotate_half", lambda x: -x)
    assert "rotate_half of transformers.models.llama.modeling_llama was replaced" in altered(model)
    monkeypatch.undo()
    monkeypatch.setattr(module, "source_hash", lambda _: "of an edited file")
    assert "the source of transformers.models.llama.modeling_llama is not that of transformers" in altered(model)


def test_adapters_and_what_training_adds_leave_a_known_model_known() -> None:
    peft = pytest.importorskip("peft")
    model = toy_model("llama", attention="sdpa")
    wrapped = peft.get_peft_model(model, peft.LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM"))
    wrapped.enable_input_require_grads()
    wrapped.gradient_checkpointing_enable()
    assert altered(wrapped) == ""


def test_model_is_left_as_it_was() -> None:
    model = toy_model("llama", attention="sdpa").train()
    model.lm_head.weight.requires_grad_(False)

    def state() -> tuple[object, ...]:
        hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
        return [p.requires_grad for p in model.parameters()], model.training, hooks, model.config._attn_implementation

    before = state()
    verify(model)
    assert state() == before
    assert all(p.grad is None for p in model.parameters())


def test_parts_of_a_model_get_their_own_kernels_back() -> None:
    model = toy_model("gemma3", attention="sdpa")
    model.set_attn_implementation({"": "sdpa", "text_config": "sdpa", "vision_config": "eager"})
    assert verify(model).exact
    config = model.config
    kernels = [part._attn_implementation for part in (config, config.text_config, config.vision_config)]
    assert kernels == ["sdpa", "sdpa", "eager"]


def test_given_examples_are_used() -> None:
    model = toy_model("llama")
    examples = random_examples(model, lengths=(5, 20, 11), seed=7)
    assert verify(model, examples).exact


def test_random_examples_avoid_special_tokens() -> None:
    model = toy_model("llama")
    drawn = torch.cat([ids for ids, _ in random_examples(model, lengths=(300,))])
    assert not set(drawn.tolist()) & {0, 1, 2}
    (ids, labels), *_ = random_examples(model)
    assert (labels[: len(ids) // 2] == -100).all()
    assert (labels[len(ids) // 2 :] == ids[len(ids) // 2 :]).all()
