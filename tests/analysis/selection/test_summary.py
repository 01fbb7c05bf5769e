"""What a selection is made of, and the stability of its query."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from headprint.analysis.selection import SelectionInputs, choose, score, select, split_half
from headprint.base.errors import InputError
from support.pattern_sets import around, random_pattern


def test_two_halves_of_the_query():
    query, pool = around(random_pattern(0), 7, 0.8), around(random_pattern(1), 20, 0.8, seed=1)
    order = np.random.default_rng(3).permutation(7)
    for mean_query in (True, False):
        inputs = SelectionInputs(query, pool, mean_query=mean_query, seed=3)
        scores = score(inputs, "cosine")
        one, other = (
            score(SelectionInputs(query[half], pool, mean_query=mean_query), "cosine").mean()
            for half in (order[:3], order[3:])
        )
        assert split_half(inputs, "cosine", scores) == pytest.approx(spearmanr(one, other).statistic)
    for method in ("random", "longest"):
        inputs = SelectionInputs(query, pool)
        assert split_half(inputs, method, score(inputs, method)) is None
    alone = SelectionInputs(query[[0]], pool)
    assert split_half(alone, "cosine", score(alone, "cosine")) is None
    same = around(random_pattern(0), 30, 0.05)
    inputs = SelectionInputs(same, pool, mean_query=True)
    assert split_half(inputs, "cosine", score(inputs, "cosine")) > 0.95


def test_a_summary_by_hand():
    pool = around(random_pattern(1), 6, tokens=[1, 2, 3, 4, 5, 60])
    rows = [{"id": name, "text": f"row {name}", "skills": ["a", "b"][: 1 + i % 2]} for i, name in enumerate(pool.ids)]
    found = select(around(random_pattern(0), 4), pool, top=2, method="longest", pool_rows=rows)
    summary = found.summary()
    assert [row["id"] for row in found.rows()] == found.ids == ["row-5", "row-4"]
    assert summary.shares == {"skills": {"a": (1.0, 1.0), "b": (0.5, 0.5)}}
    assert summary.lengths == ([18.75, 32.5, 46.25], [2.25, 3.5, 4.75])
    assert summary.examples == ["row row-5", "row row-4"]
    chance = set(np.random.default_rng(0).permutation(6)[:2])
    assert summary.random_overlap == len(chance & {4, 5}) / 2
    assert summary.to_dict()["stability"] is None
    bare = select(around(random_pattern(0), 4), pool, top=2)
    assert bare.summary().shares == {}
    with pytest.raises(InputError, match="the rows of the pool are not known"):
        bare.rows()
    with pytest.raises(InputError, match="made from scores alone"):
        choose(score(SelectionInputs(pool, pool)), top=1).summary()


def test_max_takes_the_best_score_for_any_query():
    query, pool = around(random_pattern(0), 3), around(random_pattern(1), 9, 0.8, seed=1)
    scores = score(SelectionInputs(query, pool))
    best = np.argsort(-scores.values.max(axis=0))[:4]
    assert select(query, pool, top=4, method="correlation", pick="max").indices == best.tolist()
    scores.values[:, best[0]] = np.nan
    assert choose(scores, top=9, pick="max").indices[-1] == best[0]
