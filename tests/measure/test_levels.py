"""The measure on a batch: against the definition, and unmoved by everything that should not move it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from headprint.measure.batching import collate
from headprint.measure.levels import Batch, measure, token_weights
from headprint.measure.tap import Tap
from headprint.models import checkpointed, frozen
from headprint.models.heads import locate
from support.numerics import BFLOAT16, FLOAT32, FLOAT64, error
from support.plain import losses, oracle, random_examples
from support.toy_models import toy_model

LENGTHS = (9, 14, 5, 11)
exact = pytest.mark.usefixtures("in_float64")


def levels(model: nn.Module, examples, **options) -> Tensor:
    return both(model, collate(examples), **options)[0]


def both(model: nn.Module, batch: Batch, **options) -> tuple[Tensor, Tensor]:
    with frozen(model), Tap(locate(model).sites) as tap:
        return measure(model, tap, batch, **options)


def double(family: str = "llama") -> nn.Module:
    return toy_model(family, dtype=torch.float64)


@pytest.fixture(params=["llama", "gpt2", "qwen3_moe", "opt"])
def family(request) -> str:
    return request.param


def test_equals_the_materialised_definition(family, in_float64) -> None:
    model, examples = double(family), random_examples(LENGTHS)
    assert error(levels(model, examples), oracle(model, examples)) <= FLOAT64


def test_equals_the_materialised_definition_in_float32(family) -> None:
    model, examples = toy_model(family), random_examples(LENGTHS)
    assert error(levels(model, examples), oracle(model, examples)) <= FLOAT32


def test_losses_are_those_of_full_logits(family, in_float64) -> None:
    model, examples = double(family), random_examples(LENGTHS)
    _, ours = both(model, collate(examples))
    assert error(ours, losses(model, examples)) <= FLOAT64


def test_batch_size_and_order_do_not_matter(family, in_float64) -> None:
    model, examples = double(family), random_examples(LENGTHS)
    alone = torch.cat([levels(model, [example]) for example in examples])
    assert error(levels(model, examples), alone) <= FLOAT64
    assert error(levels(model, examples[::-1]).flip(0), alone) <= FLOAT64


def test_batch_size_and_order_do_not_matter_in_float32(family) -> None:
    model, examples = toy_model(family), random_examples(LENGTHS)
    alone = torch.cat([levels(model, [example]) for example in examples])
    assert error(levels(model, examples), alone) <= FLOAT32
    assert error(levels(model, examples[::-1]).flip(0), alone) <= FLOAT32


def test_padding_side_does_not_matter(family, in_float64) -> None:
    model, examples = double(family), random_examples(LENGTHS)
    right = collate(examples)
    width = right.input_ids.shape[1]

    def left(rows: list[list[int]], fill: int) -> Tensor:
        return torch.tensor([[fill] * (width - len(row)) + row for row in rows])

    mask = left([[1] * len(e.input_ids) for e in examples], 0)
    batch = Batch(
        left([e.input_ids for e in examples], 0),
        left([e.labels for e in examples], -100),
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0),
    )
    ours, _ = both(model, batch)
    assert error(ours, levels(model, examples)) <= FLOAT64


@exact
def test_kernels_agree() -> None:
    model, examples = double(), random_examples(LENGTHS)
    found = {}
    for kernel in ("eager", "sdpa"):
        model.set_attn_implementation(kernel)
        found[kernel] = levels(model, examples)
    assert error(found["sdpa"], found["eager"]) <= FLOAT64


def test_bfloat16_is_float32_up_to_its_rounding_and_reduced_in_float32() -> None:
    model, examples = toy_model("llama"), random_examples(LENGTHS)
    wide = levels(model, examples)
    narrow = levels(model.bfloat16(), examples)
    assert narrow.dtype == torch.float32
    assert error(narrow, wide) <= BFLOAT16
    assert torch.corrcoef(torch.stack([narrow.flatten(), wide.flatten()]))[0, 1] > 0.99


def test_checkpointing_changes_nothing_not_even_the_last_bit() -> None:
    model, examples = toy_model("llama"), random_examples(LENGTHS)
    plain = levels(model, examples)
    with checkpointed(model):
        assert torch.equal(levels(model, examples), plain)
    assert torch.equal(levels(model, examples), plain)
    assert all("forward" not in layer.__dict__ for layer in model.modules())


@pytest.mark.parametrize("reentrant", [True, False])
def test_the_models_own_checkpointing_of_either_kind_works(reentrant) -> None:
    # transformers checkpoints in training mode only, so the batch is run in that mode, without dropout.
    no_dropout = dict.fromkeys(("attn_pdrop", "resid_pdrop", "embd_pdrop"), 0.0)
    model = toy_model("gpt2", attention="sdpa", dtype=torch.float64, **no_dropout)
    examples = random_examples(LENGTHS)
    plain = levels(model, examples)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
    model.enable_input_require_grads()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.train()
    with Tap(locate(model).sites) as tap:
        ours, _ = measure(model, tap, collate(examples))
    assert error(ours, plain) <= FLOAT64


@exact
def test_placement_of_the_absolute_value() -> None:
    model, examples = double(), random_examples(LENGTHS)
    signed, per_token = levels(model, examples), levels(model, examples, placement="token")
    assert (per_token >= signed.abs() * (1 - FLOAT64)).all()
    assert not torch.allclose(per_token, signed.abs())
    assert torch.equal(levels(model, examples, placement="none"), signed)


@exact
def test_per_token_levels_against_a_loop_over_tokens() -> None:
    model, (example,) = double(), random_examples((8,))
    site = locate(model).sites[1]
    kept: list[Tensor] = []

    def keep(_: nn.Module, args: tuple[Tensor]) -> None:
        args[0].retain_grad()
        kept.append(args[0])

    handle = site.module.register_forward_pre_hook(keep)
    ids = torch.tensor([example.input_ids])
    model(input_ids=ids, labels=torch.tensor([example.labels])).loss.backward()
    handle.remove()
    (z,) = kept
    width = site.head_dim
    expected = torch.zeros(site.heads, dtype=torch.float64)
    for head in range(site.heads):
        for token in range(ids.shape[1]):
            part = slice(head * width, (head + 1) * width)
            expected[head] += (z[0, token, part] @ z.grad[0, token, part]).detach().abs()
    assert error(levels(model, [example], placement="token")[0, 1], expected) <= FLOAT64


def test_three_losses_by_hand() -> None:
    labels = torch.tensor(
        [[7, 7, 7, 7], [-100, -100, -100, 7]]
    )  # 3 and 1 supervised: the first token has no prediction
    assert token_weights(labels, "mean")[:, 0].tolist() == [1 / 3, 1.0]
    assert token_weights(labels, "sum")[:, 0].tolist() == [1.0, 1.0]
    assert token_weights(labels, "batch-mean")[:, 0].tolist() == [1 / 4, 1 / 4]


@exact
def test_losses_scale_levels_as_they_should() -> None:
    model, examples = double(), random_examples(LENGTHS)
    count = torch.tensor([sum(label != -100 for label in e.labels[1:]) for e in examples])[:, None, None]
    mean = levels(model, examples)
    assert error(levels(model, examples, loss="sum"), mean * count) <= FLOAT64
    assert error(levels(model, examples, loss="batch-mean"), mean * count / count.sum()) <= FLOAT64


class TestNothingIsLeftBehind:
    """Flags, modes, hooks, gradients: as they were, after success and after an error."""

    @staticmethod
    def state(model: nn.Module):
        return (
            [p.requires_grad for p in model.parameters()],
            [p.grad is None for p in model.parameters()],
            [m.training for m in model.modules()],
            [len(m._forward_pre_hooks) + len(m._forward_hooks) + len(m._backward_hooks) for m in model.modules()],
            ["forward" in m.__dict__ for m in model.modules()],
        )

    @staticmethod
    def uneven(model: nn.Module) -> nn.Module:
        model.train()
        model.model.layers[1].eval()
        model.model.embed_tokens.weight.requires_grad_(False)
        return model

    def test_after_success(self) -> None:
        model = self.uneven(toy_model("llama"))
        before = self.state(model)
        levels(model, random_examples(LENGTHS))
        assert self.state(model) == before
        assert all(before[1])

    def test_after_an_error_in_the_middle_of_the_pass(self) -> None:
        model = self.uneven(toy_model("llama"))
        before = self.state(model)
        too_large = collate(random_examples((6,), vocab=10_000, seed=3))
        with pytest.raises(IndexError):
            both(model, too_large)
        assert self.state(model) == before

    def test_no_parameter_gradient_is_allocated_even_meanwhile(self) -> None:
        model = toy_model("llama")
        seen = []
        for parameter in model.parameters():
            parameter.register_post_accumulate_grad_hook(lambda p: seen.append(p))
        levels(model, random_examples(LENGTHS))
        assert not seen
