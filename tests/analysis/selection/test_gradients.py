"""Selection by head gradients: against a plain loop, over files, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headprint.analysis.selection import SelectionInputs, score, select
from headprint.base.errors import InputError
from headprint.patterns import PatternSet
from support.pattern_sets import stored

LAYERS, HEADS, K = 3, 4, 5


def gradients(n: int, seed: int, *, directions: int = K, sketch_seed: int = 0, absent: bool = False) -> PatternSet:
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.normal(size=(LAYERS, HEADS, 1)))  # heads of very different sizes
    sketches = (rng.standard_normal((n, LAYERS, HEADS, directions)) * scale).astype(np.float32)
    values = rng.standard_normal((n, LAYERS, HEADS)).astype(np.float32)
    if absent:
        sketches[:, 1], values[:, 1] = np.nan, np.nan
    provenance = {"placement": "example", "sketch_seed": sketch_seed, "model": {"weights": "ab"}}
    ids = [f"{seed}-{row}" for row in range(n)]
    return PatternSet(values, ids, np.ones(n), np.arange(1, n + 1), provenance, sketches)


def plain(query: PatternSet, pool: PatternSet, *, mean: bool) -> np.ndarray:
    """One pair at a time, one head at a time."""
    heads = [
        (layer, head) for layer in range(LAYERS) for head in range(HEADS) if not np.isnan(pool.values[0, layer, head])
    ]
    unit = {
        at: np.sqrt(np.mean([float(x) ** 2 for row in range(len(pool)) for x in pool.sketches[(row, *at)]]))
        for at in heads
    }

    def vector(sketch: np.ndarray) -> np.ndarray:
        return np.concatenate([sketch[at].astype(np.float64) / unit[at] for at in heads])

    queries = [vector(sketch) for sketch in query.sketches]
    queries = [sum(queries) / len(queries)] if mean else queries
    return np.array(
        [[q @ v / np.sqrt((q @ q) * (v @ v)) for v in (vector(sketch) for sketch in pool.sketches)] for q in queries]
    )


@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize("mean", [False, True])
def test_scores_are_cosines_of_scaled_gradients(mean: bool, absent: bool) -> None:
    query, pool = gradients(4, 1, absent=absent), gradients(9, 2, absent=absent)
    found = score(SelectionInputs(query, pool, mean_query=mean), "head-gradient").values
    np.testing.assert_allclose(found, plain(query, pool, mean=mean), atol=1e-6)  # float32


def with_mlps(levels: PatternSet, seed: int, size: int = 6) -> PatternSet:
    """The set with gradients of MLPs of very different sizes, and one layer without an MLP."""
    rng = np.random.default_rng(seed)
    mlps = rng.standard_normal((len(levels), LAYERS, size)) * np.exp(3 * np.arange(LAYERS))[:, None]
    mlps[:, 2] = np.nan
    parts = levels.values, levels.ids, levels.losses, levels.tokens, levels.provenance, levels.sketches
    return PatternSet(*parts, mlps.astype(np.float32))


def test_mlps_stand_beside_heads() -> None:
    query, pool = with_mlps(gradients(4, 1), 3), with_mlps(gradients(9, 2), 4)
    columns = []
    for layer in range(LAYERS):
        for head in range(HEADS):
            columns.append([each.sketches[:, layer, head].astype(float) for each in (query, pool)])
        if layer != 2:
            columns.append([each.mlp_sketches[:, layer].astype(float) for each in (query, pool)])
    scaled = [[x / np.sqrt((pair[1] ** 2).mean()) for x in pair] for pair in columns]
    q, p = (np.concatenate([pair[side] for pair in scaled], axis=1) for side in (0, 1))
    expected = [[one @ other / np.sqrt((one @ one) * (other @ other)) for other in p] for one in q]
    found = score(SelectionInputs(query, pool), "head-gradient-mlp").values
    np.testing.assert_allclose(found, expected, atol=1e-6)
    alone = score(SelectionInputs(query, pool), "head-gradient").values
    np.testing.assert_allclose(alone, plain(query, pool, mean=False), atol=1e-6)
    with pytest.raises(InputError, match=r"the pool has no gradients of MLPs: extract it with .*--blocks heads,mlp"):
        select(query, gradients(9, 2), top=1, method="head-gradient-mlp")


def heads_of(levels: PatternSet, heads: list[int]) -> PatternSet:
    """The set with only some heads, which are those of one layer then."""
    rows = len(levels)
    sketches = levels.sketches.reshape(rows, 1, -1, K)[:, :, heads]
    values = levels.values.reshape(rows, 1, -1)[:, :, heads]
    return PatternSet(values, levels.ids, levels.losses, levels.tokens, levels.provenance, sketches)


def test_controls_are_head_gradients_of_other_heads() -> None:
    query, pool = gradients(4, 1), gradients(9, 2)
    rng = np.random.default_rng
    order = rng(3).permutation(LAYERS * HEADS).tolist()
    unit = np.sqrt((pool.sketches.astype(np.float64) ** 2).mean(axis=(0, 3))).reshape(1, 1, -1, 1)

    def scaled(levels: PatternSet, heads: list[int] | None = None) -> PatternSet:
        sketches = levels.sketches.reshape(len(levels), 1, -1, K) / unit
        values = levels.values.reshape(len(levels), 1, -1)
        sketches = sketches if heads is None else sketches[:, :, heads]
        return PatternSet(values, levels.ids, levels.losses, levels.tokens, levels.provenance, sketches)

    found = {
        name: score(SelectionInputs(query, pool, seed=3), name).values for name in ("half-heads", "shuffled-heads")
    }
    half = sorted(order[: LAYERS * HEADS // 2])
    expected = score(SelectionInputs(heads_of(query, half), heads_of(pool, half)), "head-gradient").values
    np.testing.assert_allclose(found["half-heads"], expected, atol=1e-6)
    expected = score(SelectionInputs(scaled(query, order), scaled(pool)), "head-gradient").values
    np.testing.assert_allclose(found["shuffled-heads"], expected, atol=1e-6)
    assert np.abs(found["shuffled-heads"] - score(SelectionInputs(query, pool), "head-gradient").values).max() > 0.1


def test_layer_means_forget_which_head() -> None:
    query, pool = gradients(4, 1, absent=True), gradients(9, 2, absent=True)
    found = score(SelectionInputs(query, pool), "layer-means").values
    unit = np.sqrt((pool.sketches.astype(np.float64) ** 2).mean(axis=(0, 3), keepdims=True))
    q, p = ((each.sketches / unit)[:, [0, 2]].mean(axis=2).reshape(len(each), -1) for each in (query, pool))
    expected = [[one @ other / np.sqrt((one @ one) * (other @ other)) for other in p] for one in q]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_set_on_disk_gives_the_same_order(tmp_path: Path) -> None:
    query, pool = gradients(4, 1), gradients(9, 2)
    on_disk = select(query, stored(pool, tmp_path), top=9, method="head-gradient")
    assert on_disk.ids == select(query, pool, top=9, method="head-gradient").ids


def test_the_scale_of_a_head_does_not_matter() -> None:
    query, pool = gradients(4, 1), gradients(9, 2)
    factor = np.exp(np.random.default_rng(3).normal(size=(1, LAYERS, HEADS, 1)) * 3)

    def scaled(levels: PatternSet) -> PatternSet:
        sketches = (levels.sketches * factor).astype(np.float32)
        return PatternSet(levels.values, levels.ids, levels.losses, levels.tokens, levels.provenance, sketches)

    one, other = (
        score(SelectionInputs(*sets), "head-gradient").values for sets in ((query, pool), (scaled(query), scaled(pool)))
    )
    np.testing.assert_allclose(one, other, atol=1e-6)  # float32


def test_the_targets_own_rows_come_first() -> None:
    pool = gradients(30, 2)
    target = pool[[4, 11, 23]]
    assert set(select(target, pool, top=3, method="head-gradient").indices) == {4, 11, 23}


@pytest.mark.parametrize(
    ("query", "pool", "message"),
    [
        (
            gradients(3, 1),
            gradients(3, 2, directions=2),
            "directions of query and pool differ .5 with seed 0 and 2 ",
        ),
        (
            gradients(3, 1),
            gradients(3, 2, sketch_seed=1),
            "5 with seed 0 and 5 with seed 1.: extract both",
        ),
        (gradients(3, 1).pattern(), gradients(3, 2), "give the query as a pattern set"),
    ],
)
def test_what_cannot_be_compared_is_refused(query, pool, message: str) -> None:
    with pytest.raises(InputError, match=message):
        select(query, pool, top=1, method="head-gradient")


def test_sets_without_gradients_are_refused() -> None:
    whole = gradients(3, 2)
    bare = PatternSet(whole.values, whole.ids, whole.losses, whole.tokens, whole.provenance)
    with pytest.raises(InputError, match=r"the pool has no head gradients: extract it with sketch=K"):
        select(gradients(3, 1), bare, top=1, method="head-gradient")
    with pytest.raises(InputError, match=r"the query has no head gradients"):
        select(bare, gradients(3, 1), top=1, method="head-gradient")


def test_gradients_of_nothing_are_refused() -> None:
    pool = gradients(3, 2)
    flat = PatternSet(pool.values, pool.ids, pool.losses, pool.tokens, pool.provenance, pool.sketches * 0)
    with pytest.raises(InputError, match="no head has a gradient in any example of the pool"):
        select(gradients(3, 1), flat, top=1, method="head-gradient")


def test_gradients_are_the_default_where_both_sets_have_them() -> None:
    query, pool = gradients(4, 1), gradients(9, 2)

    def method(query, pool, **options) -> str:
        return select(query, pool, top=2, **options).basis.method

    bare = PatternSet(pool.values, pool.ids, pool.losses, pool.tokens, pool.provenance)
    assert method(query, pool) == "head-gradient"
    assert method(query, bare) == method(query.pattern(), pool) == method(bare, pool) == "correlation"
    assert method(query, pool, signed=True) == method(query, pool, levels="standardized") == "correlation"
    for options, name in (({"signed": True}, "signed"), ({"levels": "standardized"}, "levels")):
        with pytest.raises(InputError, match=f"{name} says how levels are compared, and head-gradient compares none"):
            select(query, pool, top=2, method="head-gradient", **options)
