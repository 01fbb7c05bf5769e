"""What switching heads off has to equal: changed copies of the model, and means by plain hooks."""

from __future__ import annotations

import copy
from contextlib import ExitStack

import numpy as np
import torch
from torch import nn

from headprint.models.heads import locate


def without(model: nn.Module, off, means=None) -> nn.Module:
    """A copy whose projections do not see some heads: their columns are zero, their means go into the bias."""
    model = copy.deepcopy(model)
    sites = {site.layer: site for site in locate(model).sites}
    for layer, head in off:
        site = sites[layer]
        module = site.module
        slice_ = slice(head * site.head_dim, (head + 1) * site.head_dim)
        conv = type(module).__name__ == "Conv1D"
        with torch.no_grad():
            weight = module.weight.T if conv else module.weight
            if means is not None:
                constant = weight[:, slice_] @ torch.from_numpy(means[layer, head, : site.head_dim]).to(weight)
                bias = constant if module.bias is None else module.bias + constant
                module.bias = nn.Parameter(bias)
            weight[:, slice_] = 0
    return model


def plain_means(model: nn.Module, examples) -> np.ndarray:
    """Mean z by plain hooks, one row at a time, over all tokens."""
    heads = locate(model)
    seen: dict[int, list[torch.Tensor]] = {site.layer: [] for site in heads.sites}
    with ExitStack() as undo, torch.no_grad():
        for site in heads.sites:
            keep = seen[site.layer].append
            hook = site.module.register_forward_pre_hook(lambda _, args, keep=keep: keep(args[0][0].clone()))
            undo.callback(hook.remove)
        for example in examples:
            model(input_ids=torch.tensor([example.input_ids]))
    means = np.full((heads.layers, heads.heads, max(site.head_dim for site in heads.sites)), np.nan)
    for site in heads.sites:
        mean = torch.cat(seen[site.layer]).mean(0).reshape(site.heads, site.head_dim)
        means[site.layer, : site.heads, : site.head_dim] = mean.numpy()
    return means


def some_heads(model: nn.Module, count: int, seed: int = 0) -> list[tuple[int, int]]:
    everything = [(site.layer, head) for site in locate(model).sites for head in range(site.heads)]
    chosen = np.random.default_rng(seed).permutation(len(everything))[:count]
    return [everything[i] for i in chosen]
