"""Every causal language model of the installed transformers, at toy size, with random weights.

A family's own default config is shrunk by attribute names that configs share; what a family wants beyond that stands in
``OVERRIDES``. A family that a newer transformers adds is therefore built too, as far as it speaks the common names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import transformers
from torch import nn
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

FAMILIES = tuple(sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))
VOCAB = 96
LAYERS = 3

# Attribute names that mean the same thing in many configs, by their toy value.
_SAME: dict[int, str] = {
    VOCAB: "vocab_size vocab_size_per_layer_input",
    LAYERS: "num_hidden_layers n_layer n_layers num_layers decoder_layers num_decoder_layers",
    32: """
        hidden_size d_model n_embd emb_dim dim embedding_size word_embed_proj_dim lru_width
        output_hidden_size hidden_size_global
    """,
    48: """
        intermediate_size ffn_dim decoder_ffn_dim encoder_ffn_dim n_inner dff dim_ff d_inner block_ff_dim
        dense_intermediate_size feed_forward_size intermediate_size_mlp
    """,
    16: """
        moe_intermediate_size shared_expert_intermediate_size moe_shared_expert_intermediate_size
        expert_ffn_hidden_size shared_intermediate_size ffn_hidden_size_expert q_lora_rank kv_lora_rank
        mamba_d_head mamba_head_dim router_hidden_size o_lora_rank adapter_rank
    """,
    64: "max_position_embeddings n_positions max_seq_len n_ctx model_max_length mamba_d_ssm",
    4: """
        num_attention_heads n_head n_heads num_heads decoder_attention_heads num_decoder_attention_heads
        encoder_attention_heads num_encoder_attention_heads n_routed_experts num_experts num_local_experts
        moe_num_experts mamba_n_heads mamba_num_heads n_mamba_heads linear_num_value_heads time_step_rank
        qk_rope_head_dim index_topk rotary_dim linear_num_heads
    """,
    2: """
        num_key_value_heads num_kv_heads num_experts_per_tok num_experts_per_token moe_k moe_topk
        top_k_experts linear_num_key_heads swa_num_key_value_heads num_global_key_value_heads
    """,
    8: """
        head_dim dim_head attention_head_dim kv_channels attention_head_size d_kv qk_nope_head_dim
        v_head_dim swa_head_dim swa_v_head_dim global_head_dim index_head_dim mamba_d_state ssm_state_size
        state_size chunk_size mamba_chunk_size linear_key_head_dim linear_value_head_dim linear_head_dim
        hidden_size_per_layer_input laurel_rank index_n_heads
    """,
    1: """
        mamba_n_groups n_groups n_shared_experts n_group topk_group first_k_dense_replace encoder_layers
        num_encoder_layers moe_num_shared_experts bos_token_id num_expert_group num_shared_experts
    """,
    6: "sliding_window attention_window window_size",
    0: "pad_token_id num_nextn_predict_layers num_kv_shared_layers",
    12: "qk_head_dim",
}
TOY = {name: value for value, names in _SAME.items() for name in names.split()} | {
    "is_decoder": True,
    "eos_token_id": 2,
}
_PER_LAYER = ("layer_types", "mlp_layer_types", "layers_block_type", "indexer_types")

_HYBRID = ["linear_attention", "full_attention", "linear_attention"]
OVERRIDES: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1]},
    "granitemoehybrid": {"layer_types": _HYBRID},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "full_attention"], "num_dense_layers": 1},
    "zaya": {"num_experts_per_tok": 1, "sliding_window": ..., "layer_types": ["hybrid"] * LAYERS},
    "zamba": {
        "num_hidden_layers": 5,
        "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid", "mamba"],
        "head_dim": ...,
        "attention_head_dim": 16,
    },
    "gpt_neo": {"attention_types": [[["global", "local"], 1], [["global"], 1]]},
    "mamba2": {"head_dim": 16, "num_heads": 4},
    "big_bird": {"attention_type": "original_full"},
    "xlm": {"causal": True},
    "xmod": {"default_language": "en_XX", "languages": ["en_XX"]},
    "qwen4_exp_text": {
        "indexer_n_heads": 8,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 8,
        "indexer_budget": 8,
        "indexer_compress_ratio": 2,
    },
    "longcat_flash": {"head_dim": 4},
    "dbrx": {"attn_config": {"default": {"rope_theta": 1e4}, "kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8.0}},
    "cohere_compass_text": {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4}}},
    "dots3_note_text": {
        "swa_num_attention_heads": 2,
        "swa_num_key_value_heads": 2,
        "swa_q_lora_rank": 16,
        "swa_kv_lora_rank": 16,
        "swa_head_dim": 12,
        "swa_qk_nope_head_dim": 8,
        "swa_v_head_dim": 8,
        "shared_experts_intermediate_size": 16,
    },
    "musicgen_decoder": {"num_codebooks": 1},
    "musicgen_melody_decoder": {"num_codebooks": 1},
    "mllama_text_model": {"cross_attention_layers": [1]},
    "inkling_text": {"swa_num_attention_heads": 2, "swa_num_key_value_heads": 1},
    "inkling2_text": {"swa_num_attention_heads": 2, "swa_num_key_value_heads": 1},
    "gemma4_assistant": {
        "text_config": {"hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0},
        "default": {"text_config": {"hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0}},
    },
    "dots3_note": {
        "vision_config": {"adapter_in_dim": 32, "adapter_out_dim": 32},
        "audio_config": {"adapter_input_size": 32, "adapter_out_dim": 32},
    },
    "blt": {"encoder_hash_byte_group_vocab": 100},
    "reformer": {
        "axial_pos_embds_dim": [16, 16],
        "axial_pos_shape": [8, 8],
        "attn_layers": ["local", "lsh", "local"],
        "local_attn_chunk_length": 4,
        "lsh_attn_chunk_length": 4,
        "num_buckets": 2,
    },
}


def toy_config(family: str, **extra: Any) -> PretrainedConfig:
    """The family's config at toy size."""
    return _shrink(CONFIG_MAPPING[family], extra)


def _shrink(config_class: type[PretrainedConfig], extra: dict[str, Any]) -> PretrainedConfig:
    extra = OVERRIDES.get(config_class.model_type, {}) | extra
    default = config_class(**extra.pop("default", {}))
    known = {name: value for name, value in TOY.items() if _can_set(default, name)}
    if _can_set(default, "kv_lora_rank"):  # multi-head latent attention has neither grouped keys nor one head width
        known.pop("head_dim", None)
        known["num_key_value_heads"] = 4
    for name in _PER_LAYER:
        if _can_set(default, name) and isinstance(kinds := getattr(default, name), (list, tuple)) and kinds:
            known[name] = _cover(kinds)
    for name in default.sub_configs:
        sub = getattr(default, name, None)
        if isinstance(sub, PretrainedConfig):
            known[name] = _shrink(type(sub), extra.pop(name, {}))
    return config_class(**{name: value for name, value in (known | extra).items() if value is not ...})


def _can_set(config: PretrainedConfig, name: str) -> bool:
    """Whether the config has the attribute itself, not as a synonym or a computed property."""
    if name in config.attribute_map or isinstance(getattr(type(config), name, None), property):
        return False
    return name in config.__dict__


def _cover(kinds: Sequence[str]) -> list[str]:
    """LAYERS kinds of layer, every kind among them if they fit, ending as the original does."""
    distinct = list(dict.fromkeys(reversed(kinds)))
    return [distinct[i % len(distinct)] for i in range(max(LAYERS, len(distinct)))][::-1]


def randomise(model: nn.Module, seed: int = 0) -> None:
    """Every parameter random, so that no norm is one, no gate open and no sink, bias or router zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim < 2:
                parameter.add_(0.3 * noise)
            else:
                parameter.copy_(noise * parameter.shape[-1] ** -0.5)


def toy_model(
    family: str, *, attention: str | None = "eager", dtype: torch.dtype = torch.float32, **extra: Any
) -> PreTrainedModel:
    """A random model of the family, in eval mode."""
    config = toy_config(family, **extra)
    options = {"attn_implementation": attention, "dtype": dtype}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if "decoder" in config.sub_configs:  # MusicGen: the mapping names the whole, the class wants its decoder
            model_class = getattr(transformers, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[family])
            model = model_class._from_config(config.decoder, **options)
        else:
            model = AutoModelForCausalLM.from_config(config, **options)
    if dtype == torch.float64 and model._can_set_experts_implementation():
        model.set_experts_implementation("eager")  # the grouped product has no float64
    randomise(model)
    return model.eval()
