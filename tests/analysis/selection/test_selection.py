"""Selection: scores against loops, pickers by hand, budgets, planted neighbours, shards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headprint
from headprint.analysis import selection
from headprint.analysis.selection import ScoreMatrix, SelectionInputs, choose, select
from headprint.base.errors import InputError
from headprint.patterns.pattern_set import Pattern
from support.pattern_sets import HEADS, LAYERS, around, of_levels, random_pattern, stored


def matrix(values, tokens=None) -> ScoreMatrix:
    values = np.array(values, dtype=np.float32)
    names = [[f"{kind}{i}" for i in range(n)] for kind, n in zip("qp", values.shape, strict=True)]
    return ScoreMatrix(values, *names, np.ones(values.shape[1], np.int32) if tokens is None else np.array(tokens))


def score(query, pool, method="correlation", **inputs) -> ScoreMatrix:
    return selection.score(SelectionInputs(query, pool, **inputs), method)


def plain_score(query, pool, method):
    result = np.empty((len(query), len(pool)))
    for i, one in enumerate(query):
        for j, other in enumerate(pool):
            if method == "correlation":
                result[i, j] = np.corrcoef(one, other)[0, 1]
            else:
                result[i, j] = one @ other / np.sqrt((one @ one) * (other @ other))
    return result


@pytest.mark.parametrize("method", ["correlation", "cosine"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("levels", ["raw", "standardized", "change"])
def test_scores_against_a_loop(levels, signed, method, tmp_path):
    query, pool, query_before, pool_before = (around(random_pattern(i), 5 + i % 2 * 4, 0.5, i) for i in range(4))
    found = score(
        query,
        stored(pool, tmp_path / "pool"),  # shards of two
        method=method,
        levels=levels,
        signed=signed,
        query_before=query_before[::-1],  # matched by id
        pool_before=pool_before,
    )
    size = (lambda x: x) if signed else np.abs
    q, p, qb, pb = (size(s.values.astype(float)).reshape(len(s), -1) for s in (query, pool, query_before, pool_before))
    if levels == "change":
        q, p = q - qb, p - pb
    if levels == "standardized":
        q, p = ((x - p.mean(axis=0)) / p.std(axis=0) for x in (q, p))
    assert found.values == pytest.approx(plain_score(q, p, method), abs=1e-5)
    assert found.pool_ids == pool.ids
    assert found.query_ids == query.ids
    assert (found.pool_tokens == pool.tokens).all()


def test_a_pattern_is_one_query():
    pool = around(random_pattern(0), 6, 0.5)
    target = around(random_pattern(1), 9, 0.5).pattern()
    found = score(target, pool).values
    expected = plain_score([target.values.ravel()], np.abs(pool.values).reshape(6, -1), "correlation")
    assert found == pytest.approx(expected, abs=1e-5)


def test_planted_neighbours_are_found():
    target = random_pattern(0)
    near = around(target, 15, 0.6, seed=1, ids=[f"near-{i}" for i in range(15)])
    far = around(random_pattern(50), 45, 0.6, seed=2, ids=[f"far-{i}" for i in range(45)])
    pool = near.merge(far)[np.random.default_rng(0).permutation(60)]
    for levels in ("raw", "standardized"):
        found = choose(score(around(target, 30, seed=3).pattern(), pool, levels=levels), top=15)
        assert sum(name.startswith("near") for name in found.ids) >= 13
        assert found.scores == sorted(found.scores, reverse=True)


def test_standardizing_forgets_what_all_share():
    # All share one loud head; raw cosine sees nothing else.
    rng = np.random.default_rng(0)
    values = rng.random((8, 1, 6)) * 0.01
    values[:, 0, 0] = 100.0
    pool = of_levels(values)
    query = pool[[3]]
    assert score(query, pool, method="cosine").values.min() > 0.999
    found = score(query, pool, method="cosine", levels="standardized").values[0]
    assert found[3] == pytest.approx(1)
    assert np.delete(found, 3).max() < 0.95


def test_top_breaks_ties_in_the_order_of_the_pool_and_takes_no_score_last():
    scores = matrix([[0.5, np.nan, 0.9, 0.5, 0.9]])
    found = choose(scores, top=5)
    assert found.indices == [2, 4, 0, 3, 1]
    assert found.to_dict()["scores"][-1] is None
    assert choose(scores, top=2).ids == ["p2", "p4"]
    assert choose(matrix([[1, 0, 0.2], [np.nan, 0.8, 0.2]]), top=3).indices == [0, 1, 2]  # means 1, 0.4, 0.2


def test_round_robin_by_hand():
    scores = matrix([[0.9, 0.8, 0.1, 0.7], [0.95, 0.1, 0.2, 0.3]])
    # Query 0 takes 0; query 1 wanted 0, takes 3; query 0 takes 1; query 1 takes 2.
    assert choose(scores, top=4, pick="round-robin").indices == [0, 3, 1, 2]
    assert choose(scores, top=2, pick="top").indices == [0, 3]


def test_random_is_seeded_and_whole_and_ignores_the_query():
    pool, query = around(random_pattern(0), 30), around(random_pattern(1), 3)

    def order(query=query, **inputs):
        return choose(score(query, pool, "random", **inputs), top=30).indices

    first = order(seed=1)
    assert sorted(first) == list(range(30))
    assert first == order(seed=1) == order(query.pattern(), seed=1)
    assert first == np.random.default_rng(1).permutation(30).tolist()
    assert first != order(seed=2)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["top", "round-robin"]))
def test_token_budget_is_met_as_nearly_as_the_order_allows(seed, pick):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, 40, 20)
    scores = matrix(rng.random((3, 20)), tokens)
    budget = int(rng.integers(1, tokens.sum() + 1))
    found = choose(scores, tokens=budget, pick=pick)
    order = choose(scores, top=20, pick=pick).indices
    assert found.indices == order[: len(found.indices)]
    assert found.tokens == tokens[found.indices].sum()
    off = np.abs(np.concatenate([[0], np.cumsum(tokens[order])]) - budget)
    assert abs(found.tokens - budget) == off.min()


def test_select_compares_with_the_mean_unless_each_query_chooses():
    query, pool = around(random_pattern(0), 5, 0.6), around(random_pattern(1), 20, 0.8, seed=1)
    before, pool_before = around(random_pattern(2), 5, 0.6, seed=2), around(random_pattern(3), 20, 0.8, seed=3)
    for signed, reading in ((False, None), (True, "signed")):
        expected = choose(score(query.pattern(reading), pool, signed=signed), top=6)
        assert headprint.select(query, pool, top=6, signed=signed) == expected
    change = query.pattern() - before.pattern()
    options = {"levels": "change", "pool_before": pool_before}
    found = select(query, pool, tokens=50, query_before=before, **options)
    assert found == choose(score(change, pool, **options), tokens=50)
    each = choose(score(query, pool), top=6, pick="round-robin")
    assert select(query, pool, top=6, pick="round-robin") == each != select(query, pool, top=6)


def test_a_budget_that_no_row_fits_is_refused():
    query, pool = around(random_pattern(0), 3), around(random_pattern(1), 7, tokens=[40] * 7)
    assert select(query, pool, tokens=21).tokens == 40
    with pytest.raises(InputError, match="no row comes near 20 tokens"):
        select(query, pool, tokens=20)


def test_british_spelling_is_understood():
    query, pool = around(random_pattern(0), 3), around(random_pattern(1), 7)
    british, american = (score(query, pool, levels=f"standardi{letter}ed").values for letter in "sz")
    assert (british == american).all()


def test_sets_of_different_models_are_refused():
    def levels(seed, weights, **more):
        return around(random_pattern(seed), 7, model={"id": "m", "weights": weights}, **more)

    select(levels(0, "w"), levels(1, "w"), top=1)
    with pytest.raises(InputError, match="the query and the pool are of different models"):
        select(levels(0, "w"), levels(1, "v"), top=1)
    with pytest.raises(InputError, match="measure different quantities"):
        select(levels(0, "w", loss="sum"), levels(1, "w", loss="mean"), top=1)
    tuned = {"query_before": levels(2, "w"), "pool_before": levels(3, "w"), "levels": "change"}
    select(levels(0, "tuned"), levels(1, "tuned elsewhere"), top=1, **tuned)
    with pytest.raises(InputError, match="different models"):
        select(levels(0, "tuned"), levels(1, "tuned"), top=1, **{**tuned, "pool_before": levels(3, "v")})


def test_layers_without_attention_are_left_out():
    hole = np.ones((LAYERS, HEADS))
    hole[1] = np.nan
    query, pool = around(random_pattern(0) * hole, 3), around(random_pattern(1) * hole, 7, seed=1)
    rest = [0, 2, 3]
    for levels in ("raw", "standardized"):
        found = score(query, pool, levels=levels).values
        kept = score(of_levels(query.values[:, rest]), of_levels(pool.values[:, rest]), levels=levels).values
        assert found == pytest.approx(kept)
    values = around(random_pattern(1), 7).values.copy()
    values[4, 0, 0] = np.nan
    with pytest.raises(InputError, match="'row-4' lacks levels"):
        score(query, of_levels(values))


def test_wrong_input():
    query, pool = around(random_pattern(0), 3), around(random_pattern(1), 7)
    for options, message in (
        ({"method": "correlatoin"}, "did you mean 'correlation'"),
        ({"levels": "standard"}, "did you mean 'standardized'"),
        ({"levels": "change"}, "--pool-before"),
        ({"levels": "change", "pool_before": pool}, "--query-before"),
    ):
        with pytest.raises(InputError, match=message):
            score(query, pool, **options)
    with pytest.raises(InputError, match="no examples"):
        score(query, pool[:0])
    with pytest.raises(InputError, match="no examples"):
        score(query[:0], pool)
    with pytest.raises(InputError, match="shapes differ"):
        score(query, around(random_pattern(0, (2, 2)), 4))
    with pytest.raises(InputError, match="constant over the pool"):
        score(query, pool[[0]], levels="standardized")
    with pytest.raises(InputError, match="the query is a change"):
        score(Pattern(random_pattern(0), {}, "change"), pool)
    with pytest.raises(InputError, match=r"pattern\('signed'\)"):
        score(query.pattern(), pool, signed=True)
    with pytest.raises(InputError, match="not of the same examples"):
        score(query.pattern() - query.pattern(), pool, levels="change", pool_before=query)
    scores = score(query, pool)
    for options, message in (
        ({"top": 8}, "the pool has 7"),
        ({"tokens": 29}, "the pool has 28"),
        ({"top": 0}, "ask for 1 or more"),
        ({}, "either"),
        ({"top": 1, "tokens": 1}, "either"),
        ({"top": 1, "pick": "best"}, "unknown pick"),
    ):
        with pytest.raises(InputError, match=message):
            choose(scores, **options)
