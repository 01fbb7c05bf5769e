"""What tokens add to head gradients, against a loop over tokens, heads and directions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from headprint import models
from headprint.data import Example
from headprint.measure.batching import collate
from headprint.measure.levels import measure
from headprint.measure.sketch import Sketch, directions
from headprint.measure.tap import Tap
from headprint.measure.tokens import token_contributions
from support.numerics import FLOAT64, error
from support.toy_models import toy_model
from support.toy_rows import as_examples, token_rows

SKETCH = Sketch(3, seed=4)


def plain(model, example: Example, along) -> np.ndarray:
    heads = models.locate(model)
    seen = {}
    hooks = [
        site.module.register_forward_pre_hook(lambda _, args, layer=site.layer: seen.update({layer: args[0]}))
        for site in heads.sites
    ]
    logits = model(torch.tensor([example.input_ids])).logits[0, :-1]
    loss = F.cross_entropy(logits, torch.tensor(example.labels[1:]))
    gradients = torch.autograd.grad(loss, [seen[site.layer] for site in heads.sites])
    for hook in hooks:
        hook.remove()
    found = np.zeros((heads.layers, heads.heads, len(example.input_ids)))
    for site, gradient in zip(heads.sites, gradients, strict=True):
        dim, signs = site.head_dim, directions(site, SKETCH).double()
        for head in range(site.heads):
            own = slice(head * dim, (head + 1) * dim)
            for token in range(found.shape[2]):
                outer = torch.outer(seen[site.layer][0, token, own], gradient[0, token, own])
                for k in range(SKETCH.size):
                    component = (signs[head, :, k].reshape(dim, dim) * outer).sum()
                    found[site.layer, head, token] += along[site.layer, head, k] * float(component)
    return found


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_tokens_against_a_loop_and_against_the_sketch(family, in_float64):
    model = toy_model(family, dtype=torch.float64)
    (example,) = as_examples(token_rows([9]))
    heads = models.locate(model)
    along = np.random.default_rng(0).standard_normal((heads.layers, heads.heads, SKETCH.size))
    found = token_contributions(model, example, along, seed=SKETCH.seed)
    assert error(found, plain(model, example, along)) <= FLOAT64
    with models.frozen(model), Tap(heads.sites, SKETCH) as tap:
        measure(model, tap, collate([example]))
        sketch = tap.sketches()[0].numpy()
    assert error(found.sum(axis=2), (along * sketch).sum(axis=2)) <= FLOAT64
    assert not any(site.module._forward_pre_hooks for site in heads.sites)
