"""Scores of head gradients, taken apart."""

from __future__ import annotations

import numpy as np
import pytest

from headprint.analysis.selection import SelectionInputs, score
from headprint.analysis.selection.explanation import explain_heads
from headprint.base.errors import InputError
from headprint.patterns import PatternSet


def gradients(n: int, seed: int, absent: bool = False) -> PatternSet:
    rng = np.random.default_rng(seed)
    sketches = rng.standard_normal((n, 3, 4, 5)) * np.exp(rng.normal(size=(3, 4, 1)))
    values = rng.standard_normal((n, 3, 4))
    if absent:
        sketches[:, 1], values[:, 1] = np.nan, np.nan
    ids = [f"{seed}-{row}" for row in range(n)]
    return PatternSet(values, ids, np.ones(n), np.ones(n), {"sketch_seed": 0}, sketches)


@pytest.mark.parametrize("absent", [False, True])
def test_contributions_sum_to_the_score(absent):
    query, pool = gradients(4, 1, absent), gradients(9, 2, absent)
    inputs = SelectionInputs(query, pool, mean_query=True)
    scores = score(inputs, "head-gradient").values[0]
    for index, row in enumerate(pool.ids):
        found = explain_heads(inputs, row)
        assert found.score == pytest.approx(scores[index], abs=1e-6)  # the scores are float32
        assert found.rank == 1 + sum(scores > scores[index])
        assert np.isnan(found.values).any(axis=1).tolist() == [False, absent, False]
        own = np.nan_to_num(pool.sketches[index].astype(float))
        np.testing.assert_allclose((found.directions * own).sum(axis=2), np.nan_to_num(found.values), atol=1e-12)


def test_each_head_by_a_loop():
    query, pool = gradients(4, 1), gradients(9, 2)
    found = explain_heads(SelectionInputs(query, pool, mean_query=True), "2-5")
    expected, lengths = np.zeros((3, 4)), [0.0, 0.0]
    for layer in range(3):
        for head in range(4):
            unit = np.sqrt(np.mean([float(x) ** 2 for sketch in pool.sketches for x in sketch[layer, head]]))
            q = sum(sketch[layer, head].astype(float) / unit for sketch in query.sketches) / 4
            x = pool.sketches[5, layer, head].astype(float) / unit
            expected[layer, head] = q @ x
            lengths[0] += q @ q
            lengths[1] += x @ x
    np.testing.assert_allclose(found.values, expected / np.sqrt(lengths[0] * lengths[1]), rtol=1e-10)
    assert found.pattern().top(1, by="absolute")[0].value == pytest.approx(
        expected.flat[np.abs(expected).argmax()] / np.sqrt(lengths[0] * lengths[1]), rel=1e-6
    )


def test_an_unknown_row_is_refused():
    with pytest.raises(InputError, match="the pool has no row 'x': give a row's id"):
        explain_heads(SelectionInputs(gradients(4, 1), gradients(9, 2), mean_query=True), "x")
