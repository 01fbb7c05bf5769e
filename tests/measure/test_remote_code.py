"""A model as hubs carry them: its own code, its own attention, heads that differ by layer, no attention returned."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

import pytest
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from headprint.measure.verification import ensure_exact, known_exact, verify
from headprint.models.heads import HeadMap, UnsupportedModel, locate
from support.toy_models import randomise


class RemoteConfig(PretrainedConfig):
    model_type = "remote"
    vocab_size: int = 50
    hidden_size: int = 24
    num_query_heads: list[int] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        self.num_query_heads = self.num_query_heads or [2, 3]
        super().__post_init__(**kwargs)


class RemoteAttention(nn.Module):
    def __init__(self, config: RemoteConfig, layer: int) -> None:
        super().__init__()
        self.num_q_heads = config.num_query_heads[layer]
        self.qkv_proj = nn.Linear(config.hidden_size, 3 * 8 * self.num_q_heads)
        self.out_proj = nn.Linear(8 * self.num_q_heads, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv_proj(x).view(*x.shape[:2], 3, self.num_q_heads, 8).permute(2, 0, 3, 1, 4)
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(z.transpose(1, 2).flatten(2))


class RemoteLayer(nn.Module):
    def __init__(self, config: RemoteConfig, layer: int) -> None:
        super().__init__()
        self.attn = RemoteAttention(config, layer)
        self.ffn = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(x)
        return x + self.ffn(x).tanh()


class RemoteForCausalLM(PreTrainedModel):
    config_class = RemoteConfig
    _supports_sdpa = True

    def __init__(self, config: RemoteConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(RemoteLayer(config, layer) for layer in range(2))
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids: Tensor, **_: Any) -> CausalLMOutput:
        x = self.embed_tokens(input_ids)
        for layer in self.layers:
            x = layer(x)
        return CausalLMOutput(logits=self.lm_head(x))


@pytest.fixture
def model() -> RemoteForCausalLM:
    model = RemoteForCausalLM._from_config(RemoteConfig(), attn_implementation="sdpa")
    randomise(model)
    return model.eval()


def test_heads_that_differ_by_layer_are_found(model: RemoteForCausalLM) -> None:
    found = locate(model)
    assert [(site.name, site.heads, site.head_dim) for site in found.sites] == [
        ("layers.0.attn.out_proj", 2, 8),
        ("layers.1.attn.out_proj", 3, 8),
    ]
    assert found.heads == 3


def test_unknown_code_is_verified_and_exact(model: RemoteForCausalLM) -> None:
    assert not known_exact(model)
    verdict = verify(model)
    assert verdict.exact, verdict.reason
    assert verdict.kernel == "sdpa"
    assert verdict.error_within_kernel is not None
    assert verdict.error_within_kernel < 2e-6
    ensure_exact(model)


def test_unknown_code_that_mixes_heads_is_refused(model: RemoteForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    def attend_and_normalise(self: RemoteAttention, x: Tensor) -> Tensor:
        q, k, v = self.qkv_proj(x).view(*x.shape[:2], 3, self.num_q_heads, 8).permute(2, 0, 3, 1, 4)
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        return self.out_proj(F.layer_norm(z, (z.shape[-1],)))

    monkeypatch.setattr(RemoteAttention, "forward", attend_and_normalise)
    with pytest.raises(UnsupportedModel, match="would not be exact: differs"):
        ensure_exact(model)


def test_unknown_code_that_is_not_causal_is_refused(model: RemoteForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    def attend_to_all(self: RemoteAttention, x: Tensor) -> Tensor:
        q, k, v = self.qkv_proj(x).view(*x.shape[:2], 3, self.num_q_heads, 8).permute(2, 0, 3, 1, 4)
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    monkeypatch.setattr(RemoteAttention, "forward", attend_to_all)
    with pytest.raises(UnsupportedModel, match="not a causal model"):
        ensure_exact(model)


def test_a_layer_that_is_overlooked_would_be_nan_not_zero(
    model: RemoteForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = locate(model)
    overlooked = HeadMap(found.sites[1:], found.layers, found.heads, {0: "overlooked"})
    module = importlib.import_module("headprint.measure.verification")
    monkeypatch.setattr(module, "locate", lambda _: overlooked)
    verdict = verify(model)
    assert verdict.absent == {0: "overlooked"}
    assert list(verdict.layer_errors) == [1]
    assert dataclasses.asdict(verdict)["exact"]


def test_model_without_heads_in_module_or_config_is_refused(model: RemoteForCausalLM) -> None:
    for layer in model.layers:
        del layer.attn.num_q_heads
    model.config.num_query_heads = None
    with pytest.raises(UnsupportedModel, match="number of heads"):
        locate(model)
