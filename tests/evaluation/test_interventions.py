"""Heads switched off against copies of the model whose projections do not see them."""

from __future__ import annotations

import pytest
import torch

import headprint
from headprint.base.errors import InputError
from headprint.evaluation import ablate_heads, head_means
from headprint.models.heads import locate
from support.numerics import FLOAT64, error
from support.plain import plain_means, random_examples, rows, some_heads, without
from support.toy_models import toy_model
from support.toy_rows import small, text_rows
from support.toy_tokenizers import toy_tokenizer

LENGTHS = [5, 17, 9, 12, 30, 8]


@pytest.mark.parametrize("family", ["llama", "deepseek_v3", "bamba"])
def test_means_are_over_tokens_and_not_padding(family, in_float64) -> None:
    model = toy_model(family, dtype=torch.float64)
    examples = random_examples(LENGTHS)
    found = head_means(model, None, rows(examples), batch_tokens=70)
    assert error(found, plain_means(model, examples)) <= FLOAT64


def test_gradients_and_generation_see_what_is_switched_off(in_float64) -> None:
    model, tokenizer = small(), toy_tokenizer()
    off = some_heads(model, 5)
    ids = torch.randint(3, 400, (2, 11), generator=torch.Generator().manual_seed(0))
    reference = without(model, off)
    with ablate_heads(model, off):
        logits = model(input_ids=ids).logits
        logits.square().sum().backward()
        outputs = [
            x.output
            for x in headprint.evaluate(model, tokenizer, text_rows(4), scorer="exact", max_new_tokens=12).results
        ]
    wanted = reference(input_ids=ids).logits
    wanted.square().sum().backward()
    assert error(logits, wanted) <= FLOAT64
    assert error(model.model.embed_tokens.weight.grad, reference.model.embed_tokens.weight.grad) <= FLOAT64
    answers = headprint.evaluate(reference, tokenizer, text_rows(4), scorer="exact", max_new_tokens=12)
    assert outputs == [x.output for x in answers.results]
    again = headprint.evaluate(model, tokenizer, text_rows(4), scorer="exact", max_new_tokens=12)
    assert outputs != [x.output for x in again.results]


def test_hooks_are_gone_also_after_an_error() -> None:
    model = toy_model("llama")

    def hooks() -> int:
        return sum(len(module._forward_pre_hooks) for module in model.modules())

    def fail_inside() -> None:
        with ablate_heads(model, [(0, 1), (2, 0)]):
            assert hooks() == 2
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail_inside()
    assert hooks() == 0
    head_means(model, None, rows(random_examples([5, 6])))
    assert hooks() == 0


def test_layers_without_heads_cannot_be_switched_off_and_say_why() -> None:
    model = toy_model("bamba")
    layer = next(iter(locate(model).absent))
    with (
        pytest.raises(InputError, match=rf"layer {layer} head 0: the layer has no heads of its own: "),
        ablate_heads(model, [(layer, 0)]),
    ):
        pass
    with (
        pytest.raises(InputError, match="and none were given: take head_means"),
        ablate_heads(model, [(1, 0)], mode="mean"),
    ):
        pass
