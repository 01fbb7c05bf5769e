"""Where the heads are, in plain, wrapped and refused models."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from headprint.models.heads import UnsupportedModel, locate
from support.toy_models import toy_model


@pytest.mark.parametrize(
    ("family", "leaf", "head_dim"),
    [
        ("llama", "self_attn.o_proj", 8),
        ("gpt2", "attn.c_proj", 8),
        ("gpt_neox", "attention.dense", 8),
        ("bert", "attention.output.dense", 8),
        ("opt", "self_attn.out_proj", 8),
        ("deepseek_v3", "self_attn.o_proj", 8),
        ("bitnet", "self_attn.attn_sub_norm", 8),
    ],
)
def test_projection_is_found_by_structure(family: str, leaf: str, head_dim: int) -> None:
    model = toy_model(family)
    found = locate(model)
    assert (found.layers, found.heads, found.absent) == (3, 4, {})
    assert [site.layer for site in found.sites] == [0, 1, 2]
    for site in found.sites:
        assert site.name.endswith(leaf)
        assert model.get_submodule(site.name) is site.module
        assert (site.heads, site.head_dim) == (4, head_dim)


def test_head_width_is_read_from_the_projection_not_from_the_hidden_size() -> None:
    found = locate(toy_model("qwen3", head_dim=12))
    assert {(site.heads, site.head_dim) for site in found.sites} == {(4, 12)}


def test_what_has_no_attention_is_refused_with_a_reason() -> None:
    with pytest.raises(UnsupportedModel, match="no softmax attention"):
        locate(toy_model("mamba"))
    with pytest.raises(UnsupportedModel, match="differential"):
        locate(toy_model("diffllama"))


def test_linear_attention_layers_are_rows_without_a_site() -> None:
    found = locate(toy_model("minimax"))
    assert [site.layer for site in found.sites] == [1]
    assert found.layers == 3
    assert "MiniMaxLightningAttention" in found.absent[0]


def test_wrapped_models_give_the_same_modules() -> None:
    model = toy_model("llama")
    plain = [site.module for site in locate(model).sites]
    compiled = torch.compile(model)
    assert [site.module for site in locate(compiled).sites] == plain

    class Parallel(nn.Module):
        """What DDP looks like from outside."""

        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module

    assert [site.module for site in locate(Parallel(model)).sites] == plain


def test_prompt_tuning_is_refused() -> None:
    peft = pytest.importorskip("peft")
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    with pytest.raises(UnsupportedModel, match="prompt"):
        locate(peft.get_peft_model(toy_model("llama"), config))


def test_lora_wrapper_of_the_projection_is_the_site() -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "o_proj"], task_type="CAUSAL_LM")
    model = peft.get_peft_model(toy_model("llama"), config)
    for site in locate(model).sites:
        assert type(site.module).__module__.startswith("peft.")
        assert (site.heads, site.head_dim) == (4, 8)
