"""Which weights belong to a head: exactly those on which its output depends, by autograd."""

from __future__ import annotations

import pytest
import torch

from headprint.models.head_slices import head_slices
from headprint.models.heads import UnsupportedModel, locate
from support.toy_models import VOCAB, toy_model

FAMILIES = ("llama", "gpt2", "gpt_neo", "gpt_neox", "bloom", "mpt", "phi3", "opt", "gptj", "qwen3", "gemma2")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_heads_output_depends_on_its_slices_and_on_no_other_output_of_the_projections(family: str) -> None:
    model = toy_model(family)
    site = locate(model).sites[1]
    seen = []
    hook = site.module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    ids = torch.randint(3, VOCAB, (1, 7), generator=torch.Generator().manual_seed(0))
    for head in range(site.heads):
        model.zero_grad()
        model(input_ids=ids)
        z = seen.pop()[0].unflatten(-1, (site.heads, site.head_dim))[:, head]
        (z * torch.randn(z.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
        *outputs, read = head_slices(site, [head])
        assert {part.name.rpartition(".")[2] for part in outputs}
        for part in outputs:
            gradient = part.module.weight.grad
            per_output = (gradient if not hasattr(part.module, "nf") else gradient.T).abs().sum(dim=1)
            assert tuple(per_output.nonzero().flatten().tolist()) == part.features
        assert read.module is site.module
        assert read.features == tuple(range(head * site.head_dim, (head + 1) * site.head_dim))
    hook.remove()


def test_heads_that_share_a_key_share_its_weights() -> None:
    site = locate(toy_model("llama")).sites[0]  # 4 heads of width 8, 2 keys
    slices = {part.name: part.features for part in head_slices(site, [1, 3])}
    assert slices == {
        "model.layers.0.self_attn.q_proj": (*range(8, 16), *range(24, 32)),
        "model.layers.0.self_attn.k_proj": tuple(range(16)),
        "model.layers.0.self_attn.v_proj": tuple(range(16)),
        "model.layers.0.self_attn.o_proj": (*range(8, 16), *range(24, 32)),
    }


@pytest.mark.parametrize("family", ["deepseek_v3", "falcon", "bitnet", "bert"])
def test_projections_of_unknown_layout_are_refused(family: str) -> None:
    with pytest.raises(UnsupportedModel, match="does not know which weights of its projections belong to which head"):
        head_slices(locate(toy_model(family)).sites[0], [0])
