"""Near-duplicates and diversity, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from headprint.analysis.selection import select
from headprint.analysis.selection.refining import diverse, without_near_duplicates
from headprint.base.errors import InputError
from support.pattern_sets import around, random_pattern
from support.toy_rows import WORDS

RNG = np.random.default_rng(0)


def runs(text):
    words = text.split()
    return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))}


def test_near_duplicates_by_a_loop():
    texts = [" ".join(RNG.choice(WORDS, 12)) for _ in range(10)]
    for text in texts[:6]:  # copies with some words changed
        words = text.split()
        for place in RNG.choice(12, RNG.integers(0, 3), replace=False):
            words[place] = "other"
        texts.append(" ".join(words))
    texts += ["two words", "Two WORDS", ""]
    order = RNG.permutation(len(texts)).tolist()
    for overlap in (0.2, 0.5, 0.9):
        kept = []
        for index in order:
            own = runs(texts[index].lower())
            if all(len(own & other) < overlap * len(own | other) for other in (runs(texts[i].lower()) for i in kept)):
                kept.append(index)
        assert list(without_near_duplicates(order, texts, overlap)) == kept
        assert 10 <= len(kept) < len(texts)


def test_diversity_by_a_loop():
    vectors = RNG.standard_normal((12, 4))
    vectors[5] = 0
    order = RNG.permutation(12).tolist()

    def cosine(a, b):
        length = np.linalg.norm(a) * np.linalg.norm(b)
        return a @ b / length if length else -1.0

    chosen, left = [], list(range(12))
    while left:
        worth = [
            0.6 * (1 - i / 11) - 0.4 * max([cosine(vectors[i], vectors[j]) for j in chosen], default=-1.0) for i in left
        ]
        chosen.append(left.pop(int(np.argmax(worth))))
    assert list(diverse(order, vectors, 0.4)) == [order[i] for i in chosen]
    assert list(diverse(order, vectors, 1e-9)) == order


def test_select_takes_them():
    query, pool = around(random_pattern(0), 5), around(random_pattern(1), 30, 0.8, seed=1)
    rows = [{"id": name, "text": f"{'one two three four five six'} {i % 3}"} for i, name in enumerate(pool.ids)]
    plain = select(query, pool, top=3, method="correlation")
    found = select(query, pool, top=3, method="correlation", near_duplicates=0.9, pool_rows=rows)
    assert {int(index) % 3 for index in found.indices} == {0, 1, 2}
    assert found.indices[0] == plain.indices[0]
    assert select(query, pool, top=3, method="cosine", diversity=0.9).indices != plain.indices
    with pytest.raises(InputError, match="4 examples asked for, and 3 are left of the pool"):
        select(query, pool, top=4, near_duplicates=0.9, pool_rows=rows)
    with pytest.raises(InputError, match="diversity is that of levels or head gradients, which random does not"):
        select(query, pool, top=4, method="random", diversity=0.5)
