"""Slow, plain references and random examples: levels, losses, and models without some of their heads."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from headprint.data import Example
from headprint.measure.oracle import materialised_levels
from headprint.models.heads import locate


def random_examples(lengths: Sequence[int], *, vocab: int = 96, seed: int = 0) -> list[Example]:
    """Examples of the given lengths; the loss is on the second half, but for one hole."""
    rng = random.Random(seed)
    examples = []
    for number, length in enumerate(lengths):
        ids = [rng.randrange(3, vocab) for _ in range(length)]
        labels = [-100] * (length // 2) + ids[length // 2 :]
        if length > 6:
            labels[-2] = -100
        examples.append(Example(f"x{number}", ids, labels))
    return examples


def rows(examples: Sequence[Example]) -> list[dict[str, object]]:
    """The same as pre-tokenised rows."""
    return [{"id": e.id, "input_ids": e.input_ids, "labels": e.labels} for e in examples]


def oracle(model: nn.Module, examples: Sequence[Example]) -> Tensor:
    """Materialised levels, one example at a time, (N, L, H)."""
    pairs = [(torch.tensor(e.input_ids), torch.tensor(e.labels)) for e in examples]
    return materialised_levels(model, pairs, heads=locate(model)).detach()


def losses(model: nn.Module, examples: Sequence[Example]) -> Tensor:
    """Mean token losses by full logits, one example at a time, (N,)."""
    out = []
    with torch.no_grad():
        for e in examples:
            logits = model(input_ids=torch.tensor([e.input_ids])).logits[0, :-1]
            out.append(F.cross_entropy(logits, torch.tensor(e.labels[1:])))
    return torch.stack(out)


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
