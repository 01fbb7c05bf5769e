"""All causal language model architectures of the installed transformers: exact, refused with a reason, or not built."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from headprint.measure.verification import ACROSS, coverage, verify
from headprint.models.heads import locate
from support import walk
from support.numerics import FLOAT32, FLOAT64
from support.toy_models import FAMILIES, toy_model


@pytest.mark.parametrize("family", FAMILIES)
def test_architecture_is_exact_or_says_why_not(family: str) -> None:
    row = walk.examine(family)
    known = coverage()["families"].get(family) if transformers.__version__ == coverage()["transformers"] else None
    assert row.status == walk.EXACT or row.note
    if known is None and row.status != walk.EXACT:
        # What the table does not know is verified before its first use: refused, never wrong in silence.
        pytest.skip(f"{family}, transformers {transformers.__version__}: {row.status}: {row.note}")
    assert known in (None, row.status), row.note
    if row.status == walk.EXACT:
        assert row.float32 is not None
        assert row.across is not None
        assert row.float32 <= FLOAT32
        assert row.across <= ACROSS[torch.float32]
        if family not in walk.NO_FLOAT64:
            assert row.float64 is not None
            assert row.float64 <= FLOAT64


def test_target_is_met() -> None:
    status = list(coverage()["families"].values())
    softmax = len(status) - status.count(walk.NO_HEADS)
    assert status.count(walk.EXACT) / softmax >= 0.95
    assert status.count(walk.NOT_BUILT) == len(walk.CANNOT_BUILD)


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("falcon", {"new_decoder_architecture": True}),
        ("falcon", {"alibi": True}),
        ("falcon", {"multi_query": False, "parallel_attn": False, "num_kv_heads": 4}),
        ("gpt_bigcode", {"multi_query": False}),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True}),
        ("gpt_neox", {"use_parallel_residual": False}),
        ("phi", {"qk_layernorm": True}),
        ("stablelm", {"use_qkv_bias": True, "qk_layernorm": True, "use_parallel_residual": True}),
        ("opt", {"do_layer_norm_before": False, "word_embed_proj_dim": 16}),
        ("qwen2", {"use_sliding_window": True, "layer_types": ["sliding_attention"] * 3}),
        ("mixtral", {"sliding_window": 4}),
        ("gemma2", {"attn_logit_softcapping": 1.0, "final_logit_softcapping": 2.0}),
        ("olmo", {"clip_qkv": 0.5}),
        ("deepseek_v3", {"q_lora_rank": None}),
        ("granitemoehybrid", {"layer_types": ["full_attention"] * 3, "position_embedding_type": "rope"}),
        ("gemma4_text", {"num_kv_shared_layers": 1, "enable_moe_block": True, "num_experts": 4, "top_k_experts": 2}),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_variants_of_a_family_are_exact_too(family: str, options: dict[str, Any]) -> None:
    verdict = verify(toy_model(family, attention=None, **options))
    assert verdict.exact, verdict.reason


@pytest.mark.parametrize("family", ["qwen3_next", "jamba", "mllama", "minimax"])
def test_layers_without_softmax_attention_are_nan(family: str) -> None:
    model = toy_model(family)
    heads = locate(model)
    assert heads.absent
    assert sorted([*heads.absent, *(site.layer for site in heads.sites)]) == list(range(heads.layers))


def test_layers_may_differ_in_heads() -> None:
    heads = locate(toy_model("dots3_note_text"))
    assert [site.heads for site in heads.sites] == [4, 2, 4]
    assert heads.heads == 4
