"""Arithmetic, statistics and sets of patterns, against plain loops."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from headprint.base.errors import InputError
from headprint.patterns import statistics
from headprint.patterns.pattern import shared_heads
from headprint.patterns.pattern_set import Head, Pattern, PatternSet, load
from support.pattern_sets import stored

floats = st.floats(-100, 100, width=32)


@st.composite
def matrices(draw, count: int = 1):
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=6))
    return [draw(hnp.arrays(np.float32, shape, elements=floats)) for _ in range(count)]


def random_pattern(seed: int, shape=(3, 4), **options) -> Pattern:
    return Pattern(np.random.default_rng(seed).random(shape, np.float32), **options)


def random_set(n=9, layers=3, heads=4, seed=0, prefix="row", **provenance) -> PatternSet:
    rng = np.random.default_rng(seed)
    return PatternSet(
        rng.standard_normal((n, layers, heads), np.float32),
        [f"{prefix}-{i}" for i in range(n)],
        rng.random(n, np.float32),
        rng.integers(1, 50, n, np.int32),
        {"model": {"weights": "ab12"}, "placement": "example", **provenance},
    )


def same(a: PatternSet, b: PatternSet) -> bool:
    return (
        a.ids == b.ids
        and np.array_equal(a.values, b.values, equal_nan=True)
        and np.array_equal(a.losses, b.losses, equal_nan=True)
        and np.array_equal(a.tokens, b.tokens)
        and a.provenance == b.provenance
    )


@given(matrices(2))
def test_arithmetic_is_elementwise(pair):
    a, b = pair
    before, after = Pattern(a), Pattern(b)
    wide = a.astype(np.float64), b.astype(np.float64)
    assert np.array_equal((after - before).values, (wide[1] - wide[0]).astype(np.float32))
    assert np.array_equal((after + before).values, (wide[1] + wide[0]).astype(np.float32))
    assert np.array_equal((after * before).values, (wide[1] * wide[0]).astype(np.float32))
    relative = ((after - before) / before).values
    for place in np.ndindex(a.shape):
        if a[place] == 0:
            assert np.isnan(relative[place])
        else:
            expected = np.float64(np.float32(wide[1][place] - wide[0][place])) / wide[0][place]
            assert relative[place] == np.float32(expected)


@given(matrices(3), st.floats(-8, 8, width=16).filter(bool))
def test_arithmetic_identities(three, scale):
    a, b, c = map(Pattern, three)
    np.testing.assert_allclose((a + (b - a)).values, b.values, atol=1e-4)
    np.testing.assert_array_equal((a - b).values, -(b - a).values)
    np.testing.assert_array_equal((a + b).values, (b + a).values)
    np.testing.assert_allclose(((a - b) + (b - c)).values, (a - c).values, atol=1e-4)
    np.testing.assert_allclose(((a * scale) / scale).values, a.values, rtol=1e-6, atol=1e-36)  # subnormals lose digits
    np.testing.assert_array_equal((scale * a).values, (a * scale).values)
    np.testing.assert_array_equal(sum([a, b]).values, (a + b).values)


def test_kinds():
    a, b = random_pattern(0), random_pattern(1)
    change = b - a
    assert a.kind == "pattern"
    assert change.kind == "change"
    assert (a + change).kind == (change + a).kind == (b - change).kind == "pattern"
    assert (change + change).kind == (change - change).kind == "change"
    assert (change / a).kind == (change * 2).kind == (change - 0.5).kind == "change"
    assert (a + b).kind == (a / 2).kind == (np.float64(2) * a).kind == "pattern"
    assert isinstance(np.float64(2) * a, Pattern)


def test_a_change_keeps_both_provenances():
    after = random_pattern(0, provenance={"model": "tuned"})
    before = random_pattern(1, provenance={"model": "base"})
    change = (after - before) * 2
    assert change.provenance == {
        "operation": "*",
        "operands": [
            {"operation": "-", "operands": [{"model": "tuned"}, {"model": "base"}]},
            2.0,
        ],
    }
    json.dumps(change.provenance)


def test_arithmetic_refuses_other_shapes_and_things():
    with pytest.raises(InputError, match=r"\(3, 4\) and \(4, 3\)"):
        random_pattern(0) - random_pattern(0, (4, 3))
    with pytest.raises(InputError, match="shapes differ"):
        random_pattern(0).mse(random_pattern(0, (1, 4)))
    with pytest.raises(TypeError):
        random_pattern(0) + "1"
    with pytest.raises(InputError, match="layers, heads"):
        Pattern(np.ones(3))
    with pytest.raises(InputError, match="kind"):
        Pattern(np.ones((1, 1)), kind="delta")


def test_a_pattern_is_a_frozen_copy():
    values = np.ones((2, 2), np.float32)
    pattern = Pattern(values)
    values[0, 0] = 7
    assert pattern.values[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        pattern.values[0, 0] = 3
    assert np.asarray(pattern) is pattern.values
    assert np.array(pattern, dtype=np.float64).flags.writeable


def test_statistics_are_those_of_the_values():
    a, b = random_pattern(3), random_pattern(4)
    assert a.gini() == statistics.gini(a.values)
    assert a.cv() == statistics.coefficient_of_variation(a.values)
    assert a.kurtosis() == statistics.kurtosis(a.values)
    assert a.mse(b) == statistics.mse(a.values, b.values)
    assert a.correlation(b, method="kendall") == statistics.correlation(a.values, b.values, "kendall")
    with pytest.raises(InputError, match="before and after"):
        (a - b).gini()


def test_top_by_hand():
    change = Pattern([[0.5, -3.0], [np.nan, 2.0]], kind="change")
    assert change.top(2) == [Head(1, 1, 2.0), Head(0, 0, 0.5)]
    assert change.top(2, by="absolute") == [Head(0, 1, -3.0), Head(1, 1, 2.0)]
    assert [h.head for h in Pattern([[1.0, 2.0, 1.0, 2.0]]).top(9)] == [1, 3, 0, 2]
    for wrong in (lambda: change.top(0), lambda: change.top(1, by="size")):
        with pytest.raises(InputError):
            wrong()


@given(matrices(), st.integers(1, 40))
def test_top_is_a_sort(one, k):
    pattern = Pattern(one[0])
    everything = sorted(((float(v), -layer, -head) for (layer, head), v in np.ndenumerate(one[0])), reverse=True)
    expected = [Head(-layer, -head, value) for value, layer, head in everything[:k]]
    assert pattern.top(k) == expected


def test_repr_is_short():
    assert repr(Pattern([[1.0, 2.5]])) == ("Pattern(pattern, 1 layers x 2 heads, largest 2.5 at layer 0 head 1)")
    change = Pattern([[1.0, -2.5, np.nan]], kind="change")  # the largest by size is what moved most
    assert repr(change) == "Pattern(change, 1 layers x 3 heads, largest -2.5 at layer 0 head 1)"
    assert repr(Pattern([[np.nan]])) == "Pattern(pattern, 1 layers x 1 heads)"
    assert repr(random_set()) == "PatternSet(9 examples, 3 layers x 4 heads, 'example')"


def test_shared_heads_by_hand():
    a = [[1.0, np.nan], [3.0, 4.0]]
    b = np.array([[[1.0, 2.0], [np.nan, 4.0]], [[0.0, -1.0], [2.0, 3.0]]])  # two patterns
    assert shared_heads(a, b).tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (([[1.0]], [[np.nan]]), "no head has a number in all"),
        (([[1.0]], [[np.inf]]), "infinite"),
        (([[1.0]], [[1.0, 2.0]]), r"shapes differ: \(1, 1\) and \(1, 2\) \(layers, heads\)"),
    ],
)
def test_shared_heads_refuses(patterns, message):
    with pytest.raises(InputError, match=message):
        shared_heads(*patterns)


def test_a_set_is_aligned_with_another_of_the_same_examples():
    first = random_set(5)
    assert random_set(5, seed=1).aligned_with(first) is None
    other = random_set(5, seed=1)[[3, 0, 4, 1, 2]]
    rows = other.aligned_with(first)
    assert rows is not None
    assert other[rows].ids == first.ids


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (random_set(3)[:0], "of math has no examples"),
        (random_set(3, heads=5), "shapes of math differ"),
        (random_set(3, prefix="other"), r"not of the same examples \(4 and 3, 0 in both\)"),
        (random_set(3), r"not of the same examples \(4 and 3, 3 in both\)"),
    ],
)
def test_other_examples_are_not_aligned(other, message):
    with pytest.raises(InputError, match=message):
        other.aligned_with(random_set(4), name="math")


def test_pattern_of_a_set_is_a_plain_mean():
    levels = random_set(placement="none")
    for placement, part in (("example", abs), ("none", float)):
        pattern = levels.pattern(placement)
        for layer, head in np.ndindex(3, 4):
            column = [part(float(v)) for v in levels.values[:, layer, head]]
            assert pattern.values[layer, head] == pytest.approx(sum(column) / 9, rel=1e-6)
        assert pattern.provenance["placement"] == placement
        assert pattern.provenance["examples"] == 9
        assert pattern.kind == "pattern"
    np.testing.assert_array_equal(levels.pattern().values, levels.pattern("none").values)


def test_token_placement_is_only_what_was_extracted():
    summed = random_set(placement="token")
    np.testing.assert_allclose(summed.pattern().values, summed.values.mean(0), rtol=1e-5)
    with pytest.raises(InputError, match="extract again with placement 'example'"):
        summed.pattern("example")
    with pytest.raises(InputError, match="extract again with placement 'token'"):
        random_set().pattern("token")
    with pytest.raises(InputError, match="example, token, none"):
        random_set().pattern("batch")


def test_layers_without_attention_stay_nan():
    levels = random_set()
    values = levels.values.copy()
    values[:, 1] = np.nan
    pattern = PatternSet(values, levels.ids, levels.losses, levels.tokens).pattern()
    assert np.isnan(pattern.values).sum(axis=1).tolist() == [0, 4, 0]
    assert pattern.gini() == statistics.gini(pattern.values[[0, 2]])


@given(n=st.integers(1, 12), size=st.integers(1, 5), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_streamed_pattern_equals_the_one_in_memory(tmp_path_factory, n, size, seed):
    levels = random_set(n, seed=seed)
    opened = stored(levels, tmp_path_factory.mktemp("set") / "out", size)
    for placement in ("example", "none"):
        np.testing.assert_allclose(
            opened.pattern(placement).values, levels.pattern(placement).values, rtol=1e-6, atol=1e-7
        )
    assert "values" not in vars(opened)  # streaming never loaded them all
    assert sum(len(part) for part in opened.iter_shards()) == n
    assert all(len(part) <= size for part in opened.iter_shards())
    assert same(opened, levels)


@pytest.mark.parametrize(
    ("key", "rows"),
    [
        (slice(1, 7, 2), [1, 3, 5]),
        ([5, 0, 5], [5, 0, 5]),
        (np.array([-1, 2]), [8, 2]),
        (np.arange(9) % 4 == 0, [0, 4, 8]),
        (["row-7", "row-1"], [7, 1]),
        (np.array(["row-7"]), [7]),
        ("row-3", [3]),
        (4, [4]),
        ([], []),
        (slice(9, None), []),
    ],
)
def test_indexing(tmp_path, key, rows):
    levels = random_set()
    for source in (levels, stored(levels, tmp_path / "out")):
        part = source[key]
        assert part.ids == [levels.ids[row] for row in rows]
        assert part.values.shape == (len(rows), 3, 4)
        for place, row in enumerate(rows):
            np.testing.assert_array_equal(part.values[place], levels.values[row])
            assert part.losses[place] == levels.losses[row]
            assert part.tokens[place] == levels.tokens[row]


def test_indexing_refuses_what_is_not_there():
    with pytest.raises(InputError, match="'row-99'"):
        random_set()[["row-1", "row-99"]]
    with pytest.raises(IndexError):
        random_set()[[9]]


def test_an_empty_set_has_no_pattern():
    with pytest.raises(InputError, match="no examples"):
        random_set()[:0].pattern()


@given(cut=st.integers(0, 9))
def test_merge_undoes_a_split(cut):
    levels = random_set()
    merged = levels[:cut].merge(levels[cut:])
    assert merged.ids == levels.ids
    np.testing.assert_array_equal(merged.values, levels.values)
    np.testing.assert_array_equal(merged.losses, levels.losses)
    np.testing.assert_array_equal(merged.tokens, levels.tokens)
    np.testing.assert_array_equal(merged.pattern().values, levels.pattern().values)


def test_merge_keeps_what_is_agreed_and_each_provenance():
    a = random_set(prefix="a", data="gsm8k")
    b = random_set(prefix="b", data="math", model={"weights": "ab12", "id": "moved"})
    merged = a.merge(b)
    assert "data" not in merged.provenance
    assert merged.provenance["placement"] == "example"
    assert [p["data"] for p in merged.provenance["merged"]] == ["gsm8k", "math"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"model": {"weights": "cd34"}}, "model is ab12 in one set and cd34"),
        ({"placement": "token"}, "placement is example"),
        ({"loss": "sum"}, "loss is None"),
        ({"dtype": "bfloat16"}, "dtype"),
        ({"heads": 5}, r"shape \(layers, heads\) is \(3, 4\) in one set and \(3, 5\)"),
        ({"prefix": "row"}, "9 ids occur more than once, such as 'row-0'"),
    ],
)
def test_merge_refuses(other, message):
    with pytest.raises(InputError, match=message):
        random_set().merge(random_set(**{"prefix": "other", **other}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"values": np.ones((2, 3))},
        {"values": np.ones((3, 1, 1))},
        {"ids": ["a"]},
        {"losses": [1.0]},
        {"tokens": [1, 2, 3]},
    ],
)
def test_a_set_whose_columns_disagree_is_refused(wrong):
    right = {"values": np.ones((2, 1, 1)), "ids": ["a", "b"], "losses": [1, 2], "tokens": [1, 2]}
    PatternSet(**right)
    with pytest.raises(InputError, match="lengths"):
        PatternSet(**{**right, **wrong})


def test_save_and_load_a_set(tmp_path, monkeypatch):
    monkeypatch.setattr("headprint.patterns.pattern_set.ROWS_PER_SHARD", 4)
    levels = random_set(report={"dropped": 3})
    levels.save(tmp_path / "out")
    opened = load(tmp_path / "out")
    assert same(opened, levels)
    assert [len(part) for part in opened.iter_shards()] == [4, 4, 1]

    with pytest.raises(InputError, match="overwrite=True"):
        levels.save(tmp_path / "out")
    with pytest.raises(InputError, match="read from"):
        opened.save(tmp_path / "out", overwrite=True)
    other = random_set(5, seed=1)
    other.save(tmp_path / "out", overwrite=True)
    assert same(load(tmp_path / "out"), other)


def test_save_and_load_a_pattern(tmp_path):
    change = random_pattern(0, provenance={"task": "Größe"}) - random_pattern(1)
    change.save(tmp_path / "change.safetensors")
    opened = load(tmp_path / "change.safetensors")
    np.testing.assert_array_equal(opened.values, change.values)
    assert (opened.kind, opened.provenance) == (change.kind, change.provenance)
