"""Sets of patterns: indexing, order, merging and their mean, in memory and from files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headprint.base.errors import InputError
from headprint.patterns import statistics
from headprint.patterns.pattern_set import PatternSet, load
from support.pattern_sets import stored


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


def test_repr_is_short():
    assert repr(random_set()) == "PatternSet(9 examples, 3 layers x 4 heads, 'example')"


@pytest.mark.parametrize(("placement", "part"), [("example", abs), ("none", float), ("token", abs)])
def test_pattern_of_a_set_is_a_plain_mean(placement, part):
    levels = random_set(placement=placement)
    pattern = levels.pattern()
    for layer, head in np.ndindex(3, 4):
        column = [part(float(v)) for v in levels.values[:, layer, head]]
        assert pattern.values[layer, head] == pytest.approx(sum(column) / 9, rel=1e-6)
    assert pattern.provenance["examples"] == 9
    assert pattern.provenance["mean_loss"] == pytest.approx(sum(map(float, levels.losses)) / 9, rel=1e-6)
    assert pattern.kind == "pattern"


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
    np.testing.assert_allclose(opened.pattern().values, levels.pattern().values, rtol=1e-6, atol=1e-7)
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
