"""Orders that do not look at what a row says."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from headprint.analysis.selection import SelectionInputs, choose, score
from headprint.base.errors import InputError
from support.pattern_sets import around, random_pattern


def order_of(method, pool, query=None, **inputs):
    query = query or around(random_pattern(0), 3)
    return choose(score(SelectionInputs(query, pool, **inputs), method), top=len(pool)).indices


def test_sources_come_equally_often_until_one_is_used_up():
    pool = around(random_pattern(1), 30)
    rows = [{"id": name, "source": "abbcccc"[i % 7]} for i, name in enumerate(pool.ids)]
    sources = Counter(row["source"] for row in rows)
    order = order_of("random-by-source", pool, pool_rows=rows, seed=1)
    assert sorted(order) == list(range(30))
    for start in range(0, 3 * sources["a"], 3):
        assert sorted(rows[index]["source"] for index in order[start : start + 3]) == ["a", "b", "c"]
    assert order == order_of("random-by-source", pool, pool_rows=rows, seed=1)
    assert order != order_of("random-by-source", pool, pool_rows=rows, seed=2)
    bare = [{"id": name} for name in pool.ids]
    with pytest.raises(InputError, match="does not say where it comes from: give every row a 'source'"):
        order_of("random-by-source", pool, pool_rows=bare)


def test_the_longest_come_first():
    pool = around(random_pattern(1), 5, tokens=[3, 9, 1, 9, 4])
    assert order_of("longest", pool) == [1, 3, 4, 0, 2]


def test_lengths_are_those_of_the_target():
    rng = np.random.default_rng(0)
    pool = around(random_pattern(1), 4000, tokens=rng.integers(1, 1000, 4000))
    lengths = rng.integers(200, 300, 100)
    query = around(random_pattern(0), 100, tokens=lengths)
    chosen = pool.tokens[order_of("length-matched", pool, query, seed=1)]
    assert chosen[:150].min() >= lengths.min()
    assert chosen[:150].max() <= lengths.max()
    assert np.quantile(chosen[:150], [0.25, 0.5, 0.75]) == pytest.approx(
        np.quantile(lengths, [0.25, 0.5, 0.75]), abs=12
    )
    assert sorted(chosen) == sorted(pool.tokens)
    skewed = around(random_pattern(0), 100, tokens=np.where(np.arange(100) < 90, 250, 900))
    share = (pool.tokens[order_of("length-matched", pool, skewed, seed=1)][:2] == 250).mean()
    assert share >= 0.5
    with pytest.raises(InputError, match="give the query as a pattern set or as rows"):
        order_of("length-matched", pool, query.pattern())
