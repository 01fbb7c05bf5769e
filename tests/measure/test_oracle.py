"""The oracle against a value worked by hand, difference quotients and captum; ours against the oracle, by mechanism."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from headprint.measure.levels import Batch, measure
from headprint.measure.oracle import materialised_levels, textbook_attention
from headprint.measure.tap import Tap
from headprint.measure.verification import random_examples, verify
from headprint.models import frozen
from headprint.models.heads import HeadMap, HeadSite, locate
from support.numerics import FLOAT64, error
from support.toy_models import toy_model


class HandAttention(nn.Module):
    """One head of width one: token 0 is (q, k, v) = (1, 1, 2), token 1 is (0, 0, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = 1
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(2, 1, bias=False) for _ in range(3))
        self.o_proj = nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            self.q_proj.weight.copy_(torch.tensor([[1.0, 0.0]]))
            self.k_proj.weight.copy_(torch.tensor([[1.0, 0.0]]))
            self.v_proj.weight.copy_(torch.tensor([[0.0, 1.0]]))
            self.o_proj.weight.fill_(1.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.q_proj(x) @ self.k_proj(x).transpose(1, 2)
        scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), -math.inf)
        attention = scores.softmax(-1)[:, None]
        return self.o_proj((attention @ self.v_proj(x)[:, None])[:, 0]), attention


class HandModel(nn.Module):
    """Logits (0, z): a vocabulary of two whose second logit is the head's output."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(_attn_implementation="eager")
        self.embed = nn.Embedding.from_pretrained(torch.tensor([[1.0, 2.0], [0.0, 4.0]]))
        self.layers = nn.ModuleList([HandAttention()])

    def forward(self, input_ids: Tensor, **_: Any) -> SimpleNamespace:
        z, _ = self.layers[0](self.embed(input_ids))
        return SimpleNamespace(logits=torch.cat([torch.zeros_like(z), z], -1))


# Tokens 0 1 0; only the last token carries loss, so only the second position's logits count.
# There q = 0, both scores are 0, A = (1/2, 1/2), z = (2 + 4) / 2 = 3, and the target is token 0:
#   L = -log softmax(0, z)[0] = log(1 + e^3),  ∂L/∂z = σ(3),  ∂L/∂A = σ(3) · (2, 4)
#   Σ A · ∂L/∂A = σ(3) · (1/2 · 2 + 1/2 · 4) = 3 σ(3) = 2.857722...
BY_HAND = 3 / (1 + math.exp(-3))


def test_value_worked_by_hand() -> None:
    model = HandModel().double()
    ids, labels = torch.tensor([0, 1, 0]), torch.tensor([-100, -100, 0])
    assert pytest.approx(2.857722, abs=1e-6) == BY_HAND
    assert materialised_levels(model, [(ids, labels)]).item() == pytest.approx(BY_HAND, rel=FLOAT64)
    with frozen(model), Tap(locate(model).sites) as tap:
        tap.open(1, 3)
        F.cross_entropy(model(ids[None]).logits[0, :-1], labels[1:]).backward()
        assert tap.levels().item() == pytest.approx(BY_HAND, rel=FLOAT64)


def ours(model: nn.Module, examples: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Levels by the fast path in one padded batch, (B, sites, H)."""
    ids, labels = zip(*examples, strict=True)
    pad = nn.utils.rnn.pad_sequence
    batch = Batch(pad(list(ids), batch_first=True), pad(list(labels), batch_first=True, padding_value=-100))
    with frozen(model), Tap(locate(model).sites) as tap:
        return measure(model, tap, batch)[0]


def loss_of(model: nn.Module, ids: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(input_ids=ids[None]).logits[0, :-1], labels[1:])


# Families whose norms and, under sdpa, whose softmax stay in float64, so that a difference quotient means something.
@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "opt"])
def test_level_is_the_derivative_by_a_gate_on_the_head(family: str) -> None:
    model = toy_model(family, attention="sdpa", dtype=torch.float64)
    (example,) = random_examples(model, lengths=(9,))
    levels, step = materialised_levels(model, [example])[0], 1e-5
    for site in locate(model).sites:
        for head in range(site.heads):
            losses = [_scaled_loss(model, site, head, 1 + sign * step, example) for sign in (1, -1)]
            assert levels[site.layer, head].item() == pytest.approx((losses[0] - losses[1]) / (2 * step), abs=1e-6)


@torch.no_grad()
def _scaled_loss(model: nn.Module, site: HeadSite, head: int, gate: float, example: tuple[Tensor, Tensor]) -> float:
    def scale(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        z = args[0].clone()
        z.view(*z.shape[:2], site.heads, -1)[:, :, head] *= gate
        return (z, *args[1:])

    handle = site.module.register_forward_pre_hook(scale)
    try:
        return loss_of(model, *example).item()
    finally:
        handle.remove()


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
def test_captum_gives_the_same_signed_numbers(family: str, in_float64: None) -> None:
    captum = pytest.importorskip("captum.attr")
    model = toy_model(family, attention="eager", dtype=torch.float64)
    examples = random_examples(model, lengths=(10, 6))
    reference = torch.zeros(2, 3, 4, dtype=torch.float64)
    for row, (ids, labels) in enumerate(examples):
        for site in locate(model).sites:
            method = captum.LayerGradientXActivation(lambda x, y=labels: loss_of(model, x[0], y)[None], site.module)
            (product,) = method.attribute(ids[None], attribute_to_layer_input=True)
            reference[row, site.layer] = product.detach().view(len(ids), site.heads, site.head_dim).sum((0, 2))
    assert error(ours(model, examples), reference) <= FLOAT64
    assert error(materialised_levels(model, examples), reference) <= FLOAT64


MECHANISMS = {
    "multi-head": ("gpt2", {}),
    "grouped-query": ("llama", {}),
    "multi-query": ("gpt_bigcode", {}),
    "multi-head latent": ("deepseek_v3", {}),
    "mixture of experts": ("mixtral", {}),
    "output gate": ("qwen3_next", {}),
    "sinks": ("gpt_oss", {}),
    "sliding window": ("mistral", {"sliding_window": 4}),
    "soft-capping": ("gemma2", {"attn_logit_softcapping": 1.0}),
    "ALiBi": ("bloom", {}),
    "sub-norm": ("bitnet", {}),
    "sparse index": ("deepseek_v32", {}),
    "shared keys and values": ("gemma3n_text", {"num_kv_shared_layers": 1, "layer_types": ["full_attention"] * 3}),
    "grouped projection": ("deepseek_v4", {}),
    "patches": ("blt", {}),
}


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_mechanism_is_exact(mechanism: str) -> None:
    family, options = MECHANISMS[mechanism]
    verdict = verify(toy_model(family, attention=None, **options))
    assert verdict.exact, verdict.reason


def test_mechanisms_are_really_there() -> None:
    """A window, a cap or a sink that changes nothing would test nothing."""
    for name, off in (
        ("sliding window", {"sliding_window": None}),
        ("soft-capping", {"attn_logit_softcapping": None}),
    ):
        family, options = MECHANISMS[name]
        model = toy_model(family, **options)
        examples = random_examples(model)
        without = materialised_levels(toy_model(family, **(options | off)), examples)
        assert (materialised_levels(model, examples) - without).abs().max() > 1e-3
    assert toy_model("gpt_oss").model.layers[0].self_attn.sinks.abs().min() > 1e-3


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
def test_lora_is_exact_with_and_without_its_wrapper(kernel: str, in_float64: None) -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj", "o_proj"], init_lora_weights=False)
    torch.manual_seed(1)
    base = toy_model("llama", attention=kernel, dtype=torch.float64)
    model = peft.get_peft_model(base, config, autocast_adapter_dtype=False).double().eval()
    examples = random_examples(model)
    reference = materialised_levels(model, examples)
    assert error(ours(model, examples), reference) <= FLOAT64
    with model.disable_adapter():
        assert (materialised_levels(model, examples) - reference).abs().max() > 1e-3
    merged = model.merge_and_unload()
    assert error(ours(merged, examples), reference) <= FLOAT64


@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing_changes_nothing(reentrant: bool) -> None:
    no_dropout = dict.fromkeys(("attn_pdrop", "resid_pdrop", "embd_pdrop"), 0.0)
    model = toy_model("gpt2", dtype=torch.float64, **no_dropout)
    (example,) = random_examples(model, lengths=(9,))
    reference = materialised_levels(model, [example])
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    model.train()  # transformers checkpoints in training mode only, hence no dropout
    calls = []
    model.transformer.h[0].attn.register_forward_hook(lambda *_: calls.append(1))
    with Tap(locate(model).sites) as tap:
        tap.open(1, 9)
        loss_of(model, *example).backward()
        assert error(tap.levels(), reference) <= FLOAT64
    assert len(calls) == 2, "the layer was not recomputed"


def test_model_is_left_as_it_was_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy_model("llama", attention="sdpa").train()
    model.lm_head.weight.requires_grad_(False)
    examples = random_examples(model)

    def state() -> tuple[Any, ...]:
        flags = [p.requires_grad for p in model.parameters()]
        hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
        return flags, [m.training for m in model.modules()], hooks, model.config._attn_implementation

    before = state()
    materialised_levels(model, examples)
    assert state() == before
    monkeypatch.setattr(model.lm_head, "forward", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        materialised_levels(model, examples)
    assert state() == before
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("mask", ["none", "causal", "bool", "float"])
@pytest.mark.parametrize("key_heads", [4, 2])
def test_textbook_attention_is_what_torch_computes(mask: str, key_heads: int) -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, h, 5, d, dtype=torch.float64) for h, d in ((4, 8), (key_heads, 8), (key_heads, 6)))
    options: dict[str, Any] = {"enable_gqa": key_heads != 4, "is_causal": mask == "causal"}
    if mask == "bool":
        options["attn_mask"] = torch.rand(2, 1, 5, 5) < 0.7
        options["attn_mask"][..., 0] = True
    elif mask == "float":
        options["attn_mask"] = torch.randn(2, 1, 5, 5, dtype=torch.float64)
    output, attention = textbook_attention(q, k, v, scale=0.3, **options)
    assert error(output, F.scaled_dot_product_attention(q, k, v, scale=0.3, **options)) <= FLOAT64
    assert error(attention.sum(-1), torch.ones(2, 4, 5)) <= FLOAT64


def test_heads_that_a_layer_does_not_have_are_nan() -> None:
    model = toy_model("llama")
    found = locate(model)
    without = HeadMap(found.sites[1:], found.layers, found.heads + 1, {0: "left out"})
    levels = materialised_levels(model, random_examples(model), heads=without)
    assert levels[:, 0].isnan().all()
    assert levels[:, :, -1].isnan().all()
    assert not levels[:, 1:, :-1].isnan().any()
