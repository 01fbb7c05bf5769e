"""Slow, plain references and random examples for the tests of the core."""

from __future__ import annotations

import random
from collections.abc import Sequence

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
