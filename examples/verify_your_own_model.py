"""Is the measure exact for a model with attention of your own? Ask headprint.verify; extract refuses what is not.

Three small random models: an attention function of one's own, which is exact; the same function registered without its
mask, which transformers then runs without causality and without a word; and a norm over all heads between A·V and the
output projection, where what the projection reads is no longer the heads' output.
"""

import torch
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface, LlamaConfig, LlamaForCausalLM
from transformers.masking_utils import sdpa_mask

import headprint


def own_attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **_):
    """Grouped-query attention: (B, H, T, D) in, (B, T, H, D) out."""
    z = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, scale=scaling, enable_gqa=True)
    return z.transpose(1, 2).contiguous(), None


def masked(*args, **kwargs):
    """Always a mask in full: own_attention has no causal path of its own."""
    return sdpa_mask(*args, **{**kwargs, "allow_is_causal_skip": False})


def toy(attention: str = "sdpa") -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=256,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    config._attn_implementation = attention
    return LlamaForCausalLM(config)


def report(what: str, model: LlamaForCausalLM) -> None:
    verdict = headprint.verify(model)
    print(f"{what}\n  {'exact' if verdict.exact else 'NOT exact'}: {verdict.reason}")
    error = verdict.error_within_kernel
    print(f"  largest error within one kernel, as a share of the largest level: {error:.1e}\n")


def main() -> None:
    AttentionInterface.register("own", own_attention)
    AttentionInterface.register("own_unmasked", own_attention)
    AttentionMaskInterface.register("own", masked)

    report("an attention function of one's own, with its mask", toy("own"))
    report("the same function, its mask forgotten", toy("own_unmasked"))

    normed = toy()
    for layer in normed.model.layers:
        layer.self_attn.o_proj.register_forward_pre_hook(lambda _, args: (F.rms_norm(args[0], args[0].shape[-1:]),))
    report("a norm between A·V and the output projection", normed)


if __name__ == "__main__":
    main()
