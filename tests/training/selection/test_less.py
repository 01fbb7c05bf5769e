"""LESS-style scores against a loop over rows and weights, and its random projection."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch.nn import functional as F

from headprint.analysis.selection import score
from headprint.base.options import TuningOptions
from headprint.training.selection import less
from headprint.training.selection.less import Buckets, adam_update
from headprint.training.selection.tuned import tuned_copy
from support.numerics import FLOAT64, error
from support.toy_models import toy_model
from support.toy_rows import as_examples, selection_inputs, token_rows

TARGET, POOL = token_rows([6, 11, 8]), token_rows([5, 20, 9, 13], seed=1)
TUNING = TuningOptions(tuning_steps=2, tuning_batch=2, tuning_rate=1e-3)


def gradient(model, row):
    """Of all weights, by a plain backward."""
    model.zero_grad()
    logits = model(torch.tensor([row["input_ids"]])).logits[0, :-1]
    F.cross_entropy(logits, torch.tensor(row["labels"][1:])).backward()
    return [weight.grad.clone() for weight in model.parameters()]


def plain_update(optimizer, model, row):
    """What a step of the optimiser changes, with the moments that it has, in units of its rate."""
    model, optimizer = copy.deepcopy((model, optimizer))
    before = [weight.detach().clone() for weight in model.parameters()]
    gradient(model, row)
    optimizer.step()
    return [(old - new.detach()) / TUNING.tuning_rate for old, new in zip(before, model.parameters(), strict=True)]


def test_scores_are_cosines_of_projected_updates(in_float64, monkeypatch):
    monkeypatch.setattr(less, "SIZE", 64)
    model = toy_model("llama", dtype=torch.float64)
    tuned, optimizer = tuned_copy(model, as_examples(POOL), TUNING, 5)
    for weight in tuned.parameters():
        weight.requires_grad_()
    buckets = Buckets([weight.numel() for weight in tuned.parameters()], 64, 5)
    total = sum(weight.numel() for weight in tuned.parameters())
    matrix = torch.zeros(64, total, dtype=torch.float64)
    places = torch.cat(buckets._places).long()
    matrix[places // 2, torch.arange(total)] = (places % 2 * 2 - 1).double()

    def projected(gradients):
        return matrix @ torch.cat([found.flatten() for found in gradients])

    queries = torch.stack([projected(gradient(tuned, row)) for row in TARGET])
    pool = torch.stack([projected(plain_update(optimizer, tuned, row)) for row in POOL])
    expected = F.normalize(queries) @ F.normalize(pool).T
    found = score(selection_inputs(model, TARGET, POOL, tuning=TUNING, seed=5), "less").values
    assert error(found, expected) <= 1e3 * FLOAT64  # Adam divides by tiny second moments
    mean = F.normalize(queries.mean(0, keepdim=True)) @ F.normalize(pool).T
    found = score(selection_inputs(model, TARGET, POOL, tuning=TUNING, seed=5, mean_query=True), "less").values
    assert error(found, mean) <= 1e3 * FLOAT64


def test_an_update_leaves_the_moments(in_float64):
    model = toy_model("llama", dtype=torch.float64)
    tuned, optimizer = tuned_copy(model, as_examples(POOL), TUNING, 5)
    weights = list(tuned.parameters())
    before = [optimizer.state[weight]["exp_avg"].clone() for weight in weights]
    adam_update(optimizer, weights, tuple(torch.randn_like(weight) for weight in weights))
    assert all((optimizer.state[weight]["exp_avg"] == old).all() for weight, old in zip(weights, before, strict=True))


def test_inner_products_are_unbiased():
    rng = np.random.default_rng(0)
    one, other = (torch.tensor(rng.standard_normal(40)) for _ in range(2))
    other += one
    seeds = range(400)
    found = [float(b.project([one]) @ b.project([other])) for b in (Buckets([40], 16, seed) for seed in seeds)]
    spread = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - float(one @ other)) < 4 * spread
    assert torch.equal(Buckets([40], 16, 1).project([one]), Buckets([40], 16, 1).project([one]))
    assert not torch.equal(Buckets([40], 16, 1).project([one]), Buckets([40], 16, 2).project([one]))
