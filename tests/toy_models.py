"""Every causal language model of the installed transformers, at toy size, with random weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

FAMILIES = tuple(sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))

VOCAB = 96
LAYERS = 3
# Attribute -> toy value, set wherever a config has it: hidden 32, 4 heads of 8, 2 key-value heads, 3 layers.
TOY: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32, "d_model": 32, "n_embd": 32, "dim": 32, "emb_dim": 32, "embedding_size": 32, "word_embed_proj_dim": 32,
    "intermediate_size": 48, "ffn_dim": 48, "decoder_ffn_dim": 48, "encoder_ffn_dim": 48, "n_inner": 48, "dff": 48, "dim_ff": 48, "d_inner": 48,
    "feed_forward_size": 48, "shared_expert_intermediate_size": 16, "moe_intermediate_size": 16, "expert_ffn_hidden_size": 16,
    "shared_intermediate_size": 16, "block_ff_dim": 48, "dense_intermediate_size": 48,
    "num_hidden_layers": LAYERS, "n_layer": LAYERS, "n_layers": LAYERS, "num_layers": LAYERS, "decoder_layers": LAYERS, "encoder_layers": 1,
    "num_attention_heads": 4, "n_head": 4, "n_heads": 4, "num_heads": 4, "decoder_attention_heads": 4, "encoder_attention_heads": 4,
    "num_decoder_attention_heads": 4, "num_encoder_attention_heads": 4, "num_decoder_layers": LAYERS, "num_encoder_layers": 1,
    "num_key_value_heads": 2, "num_kv_heads": 2,
    "head_dim": 8, "dim_head": 8, "attention_head_dim": 8, "kv_channels": 8, "attention_head_size": 8, "d_kv": 8,
    "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 4, "qk_nope_head_dim": 8, "qk_head_dim": 12, "v_head_dim": 8,
    "max_position_embeddings": 64, "n_positions": 64, "max_seq_len": 64, "n_ctx": 64,
    "n_routed_experts": 4, "num_experts": 4, "num_local_experts": 4, "moe_num_experts": 4, "num_experts_per_tok": 2, "num_experts_per_token": 2,
    "moe_k": 2, "moe_topk": 2, "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1,
    "sliding_window": 6, "attention_window": 6,
    "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_d_ssm": 64, "mamba_chunk_size": 8, "ssm_state_size": 8,
    "mamba_num_heads": 4, "mamba_head_dim": 16, "n_groups": 1, "chunk_size": 8, "state_size": 8, "time_step_rank": 4, "lru_width": 32,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_conv_kernel_dim": 3,
    "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": VOCAB, "laurel_rank": 8, "index_n_heads": 2, "index_head_dim": 8, "index_topk": 4,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


def toy_config(family: str, **extra: Any) -> PretrainedConfig:
    """The family's config at toy size."""
    config_class = CONFIG_MAPPING[family]
    return _shrink(config_class, OVERRIDES.get(family, {}) | extra)


def _shrink(config_class: type[PretrainedConfig], extra: dict[str, Any]) -> PretrainedConfig:
    default = config_class()
    known = {key: value for key, value in TOY.items() if hasattr(default, key)}
    for name in default.sub_configs:
        sub = getattr(default, name, None)
        if isinstance(sub, PretrainedConfig):
            known[name] = _shrink(type(sub), extra.pop(name, {}))
    return config_class(**(known | extra))


def randomise(model: nn.Module, seed: int = 0) -> None:
    """Every parameter random, so that no norm is one, no gate open and no sink, bias or router zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point():
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float32)
                scale = 0.3 if parameter.ndim < 2 else parameter.shape[-1] ** -0.5
                parameter.copy_(noise * scale + (1.0 if parameter.ndim == 1 and parameter.mean() > 0.5 else 0.0))


def toy_model(family: str, *, attention: str | None = "eager", dtype: torch.dtype = torch.float32, **extra: Any) -> PreTrainedModel:
    """A random model of the family, in eval mode."""
    config = toy_config(family, **extra)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=dtype)
    randomise(model)
    return model.eval()


OVERRIDES: dict[str, dict[str, Any]] = {}
