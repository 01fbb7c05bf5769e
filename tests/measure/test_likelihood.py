"""Losses against plain loops: one row at a time, full logits, no batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import headprint
from headprint.data.rows import read_rows
from headprint.measure.likelihood import HeldOut, examples_of, token_losses
from support.numerics import FLOAT32, FLOAT64, error
from support.plain import losses as plain_losses
from support.plain import random_examples
from support.toy_models import toy_model
from support.toy_rows import small, text_rows
from support.toy_tokenizers import toy_tokenizer


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "cohere"])
@pytest.mark.parametrize("batch_tokens", [1, 60, None])
def test_losses_are_the_plain_ones_whatever_the_batches(family, batch_tokens, in_float64) -> None:
    model = toy_model(family, dtype=torch.float64)
    examples = random_examples([5, 17, 3, 9, 30, 17, 8])
    losses = HeldOut(model, examples, batch_tokens=batch_tokens).losses()
    assert error(losses, plain_losses(model, examples)) <= FLOAT64


def test_token_losses_are_each_tokens_own_and_have_no_graph() -> None:
    model = toy_model("llama", dtype=torch.float64)
    ids = torch.randint(3, 96, (2, 9), generator=torch.Generator().manual_seed(1))
    labels = ids.clone()
    labels[0, :4] = labels[1, 6] = -100
    found = token_losses(model, {"input_ids": ids}, labels)
    with torch.no_grad():
        logits = model(input_ids=ids).logits
    for row, at in np.ndindex(2, 9):
        if at == 0 or labels[row, at] == -100:
            assert found[row, at] == 0
        else:
            wanted = F.cross_entropy(logits[row, at - 1], ids[row, at])
            assert float(found[row, at]) == pytest.approx(float(wanted), rel=1e-9)
    assert not found.requires_grad


def test_out_of_memory_halves_batches(monkeypatch) -> None:
    model, tokenizer = small(), toy_tokenizer()
    rows = text_rows(8)
    wanted = headprint.evaluate(model, tokenizer, rows, scorer="none")
    sizes = []
    body = type(model.model).forward

    def narrow_body(self, input_ids=None, **rest):
        sizes.append(len(input_ids))
        if len(input_ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return body(self, input_ids=input_ids, **rest)

    monkeypatch.setattr(type(model.model), "forward", narrow_body)
    heldout = HeldOut(model, examples_of(list(read_rows(rows)), tokenizer), batch_tokens=10_000)
    assert error(heldout.losses(), [x.loss for x in wanted.results]) <= FLOAT32
    sizes.clear()
    heldout.losses()
    assert max(sizes) == 2  # what was learnt is kept
