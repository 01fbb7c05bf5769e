"""Patterns and changes: arithmetic and statistics, against plain loops."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from headprint.base.errors import InputError
from headprint.patterns import statistics
from headprint.patterns.pattern import shared_heads
from headprint.patterns.pattern_set import Head, Pattern, load

floats = st.floats(-100, 100, width=32)


@st.composite
def matrices(draw, count: int = 1):
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=6))
    return [draw(hnp.arrays(np.float32, shape, elements=floats)) for _ in range(count)]


def random_pattern(seed: int, shape=(3, 4), **options) -> Pattern:
    return Pattern(np.random.default_rng(seed).random(shape, np.float32), **options)


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


def test_save_and_load_a_pattern(tmp_path):
    change = random_pattern(0, provenance={"task": "Größe"}) - random_pattern(1)
    change.save(tmp_path / "change.safetensors")
    opened = load(tmp_path / "change.safetensors")
    np.testing.assert_array_equal(opened.values, change.values)
    assert (opened.kind, opened.provenance) == (change.kind, change.provenance)
