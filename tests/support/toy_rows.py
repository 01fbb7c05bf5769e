"""Rows of random words, and toy models that take the toy tokenizer's tokens."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from headprint.analysis.selection import SelectionInputs
from headprint.data import IGNORE, Example
from support.pattern_sets import around, random_pattern
from support.toy_models import toy_model

WORDS = ["eggs", "left", "in", "the", "basket", "seven", "Ella", "score", "items", "answer", "café", "naïve"]


def text_rows(n: int, *, seed: int = 0, longest: int = 20) -> list[dict[str, object]]:
    rng = random.Random(seed)
    return [
        {
            "id": f"r{i}",
            "prompt": f"Question {i}: {' '.join(rng.choices(WORDS, k=rng.randint(1, longest)))}\nAnswer:",
            "completion": f" {' '.join(rng.choices(WORDS, k=rng.randint(1, 6)))} #### {rng.randint(0, 99)}",
            "answer": str(rng.randint(0, 99)),
        }
        for i in range(n)
    ]


def small(family: str = "llama", dtype: torch.dtype = torch.float64, attention: str = "sdpa", **extra):
    length = {"n_positions": 256} if family == "gpt2" else {"max_position_embeddings": 256}
    return toy_model(family, dtype=dtype, attention=attention, vocab_size=400, **length, **extra)


def token_rows(lengths: Sequence[int], *, seed: int = 0, prompt: int = 3) -> list[dict[str, object]]:
    """Pre-tokenised rows of random tokens, the first of which carry no loss."""
    rng = random.Random(seed)
    rows = []
    for number, length in enumerate(lengths):
        ids = [rng.randrange(3, 90) for _ in range(length)]
        rows.append({"id": f"r{number}", "input_ids": ids, "labels": [IGNORE] * prompt + ids[prompt:]})
    return rows


def as_examples(rows: Sequence[dict[str, object]]) -> list[Example]:
    return [Example(row["id"], row["input_ids"], row["labels"]) for row in rows]


def selection_inputs(model, target, pool, **more) -> SelectionInputs:
    """Rows with levels that no selector should look at, if it runs the model."""
    sets = [
        around(random_pattern(i), len(rows), ids=[row["id"] for row in rows]) for i, rows in enumerate((target, pool))
    ]
    return SelectionInputs(*sets, query_rows=target, pool_rows=pool, model=model, **more)
