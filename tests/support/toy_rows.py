"""Rows of random words, and toy models that take the toy tokenizer's tokens."""

from __future__ import annotations

import random

import torch

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
