"""Selectors that train a copy first, against a plain training loop."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from headprint.analysis.selection import score
from headprint.base.options import TuningOptions
from support.numerics import FLOAT64, error
from support.toy_models import toy_model
from support.toy_rows import selection_inputs, token_rows

TARGET, POOL = token_rows([6, 11, 8]), token_rows([5, 20, 9, 13], seed=1)
TUNING = TuningOptions(tuning_steps=3, tuning_batch=2, tuning_rate=1e-3)


def inputs(model, tuning=TUNING, target=TARGET, pool=POOL):
    return selection_inputs(model, target, pool, tuning=tuning, seed=5)


def loss(model, row):
    logits = model(torch.tensor([row["input_ids"]])).logits[0, :-1]
    return F.cross_entropy(logits, torch.tensor(row["labels"][1:]))


def plainly_tuned(model):
    """One row at a time."""
    model, order = copy.deepcopy(model), np.random.default_rng(5)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0)
    rows = [index for _ in range(2) for index in order.permutation(3)]
    for step in range(3):
        for index in rows[2 * step : 2 * step + 2]:
            (loss(model, TARGET[index]) / 2).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def test_target_selects(in_float64):
    model = toy_model("llama", dtype=torch.float64)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tuned = plainly_tuned(model)
    with torch.no_grad():
        expected = [1 - loss(tuned, row) / loss(model, row) for row in POOL]
    found = score(inputs(model), "target-selects").values[0]
    assert error(found, torch.stack(expected)) <= 1e3 * FLOAT64  # AdamW divides by tiny second moments
    assert all((value == before[name]).all() for name, value in model.state_dict().items())


def test_the_targets_own_rows_are_found():
    target = token_rows([12] * 4, seed=3)
    pool = [*token_rows([12] * 8, seed=4), *({**row, "id": f"own{i}"} for i, row in enumerate(target))]
    model = toy_model("llama")
    tuning = TuningOptions(tuning_steps=15, tuning_batch=4, tuning_rate=3e-3)
    found = score(inputs(model, tuning, target, pool), "target-selects")
    assert {found.pool_ids[i] for i in np.argsort(-found.values[0])[:4]} == {"own0", "own1", "own2", "own3"}


@pytest.mark.parametrize("wrong", [{"tuning_steps": 0}, {"tuning_batch": 0}])
def test_settings_are_bounded(wrong):
    with pytest.raises(ValueError, match="it has to be at least 1"):
        TuningOptions(**wrong)
