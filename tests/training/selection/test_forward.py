"""Selectors of forward passes against loops that take one row at a time, with full logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headprint.analysis.selection import score
from headprint.base.errors import InputError
from headprint.data import Example
from support.numerics import FLOAT64, error
from support.plain import losses as plain_losses
from support.toy_models import toy_model
from support.toy_rows import as_examples, selection_inputs, token_rows

TARGET, POOL = token_rows([6, 11, 8]), token_rows([5, 20, 9, 13, 7, 30], seed=1)


def inputs(model, target=TARGET):
    return selection_inputs(model, target, POOL)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_rds_plus(family, in_float64):
    model = toy_model(family, dtype=torch.float64)

    def plain(row):
        with torch.no_grad():
            states = model(torch.tensor([row["input_ids"]]), output_hidden_states=True).hidden_states[-1][0]
        mean = sum((i + 1) * state for i, state in enumerate(states)) / sum(range(1, len(states) + 1))
        return mean / mean.norm()

    expected = torch.stack([torch.stack([plain(a) @ plain(b) for b in POOL]) for a in TARGET])
    found = score(inputs(model), "rds+")
    assert error(found.values, expected) <= FLOAT64
    assert found.query_ids == ["r0", "r1", "r2"]
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_perplexity_is_that_of_the_set_or_of_the_model(in_float64):
    model = toy_model("llama", dtype=torch.float64)
    given = inputs(model)
    assert (score(given, "perplexity").values == -given.pool.losses).all()  # no pass
    given.pool.losses[:] = np.nan
    expected = plain_losses(model, as_examples(POOL))
    assert error(score(given, "perplexity").values[0], -expected) <= FLOAT64


def test_ifd_leaves_out_the_prompt(in_float64):
    model = toy_model("llama", dtype=torch.float64)
    alone = [Example(row.id, row.input_ids[3:], row.input_ids[3:]) for row in as_examples(POOL)]
    ratio = plain_losses(model, as_examples(POOL)) / plain_losses(model, alone)
    found = score(inputs(model), "ifd").values[0]
    assert 0 < (ratio < 1).sum() < len(POOL)
    assert error(found, torch.where(ratio < 1, ratio, torch.nan)) <= FLOAT64


def test_what_a_model_cannot_read_is_refused():
    model = toy_model("llama")
    with pytest.raises(InputError, match="the token id 400 at position 4 is outside the model's vocabulary"):
        score(inputs(model, target=[{"id": "a", "input_ids": [5] * 4 + [400], "labels": [5] * 5}]), "rds+")
    with pytest.raises(InputError, match=r"runs a model: give one, too \(--model\)"):
        score(inputs(None), "ifd")
