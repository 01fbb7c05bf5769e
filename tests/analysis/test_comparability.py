"""What may be compared: one model, by weights, dtype, adapters and steps; one quantity."""

from __future__ import annotations

import pytest

from headprint.analysis.comparability import check_comparable, doubts, same_data, same_model
from headprint.base.errors import InputError
from headprint.patterns.pattern import Pattern
from support.pattern_sets import random_pattern


def origin(weights="w", model="m", adapters=(), **more):
    return {"model": {"id": model, "weights": weights, "adapters": list(adapters)}, "dtype": "float32", **more}


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (origin(model="a copy elsewhere"), True),
        (origin("other"), False),  # the same path, overwritten
        (origin("other", model="n"), False),
        (origin("other", dtype="bfloat16"), True),
        (origin("other", model="n", dtype="bfloat16"), False),
        (origin("other", adapters=["default"]), False),  # an adapter and its base
        (origin("other", adapters=["default"], step=0), True),  # LoRA before its first step
        (origin("other", adapters=["default"], step=9), False),
        (origin("other", step=9), False),
        ({}, None),
        ({"model": {"id": "m"}}, None),
    ],
)
def test_what_is_the_same_model(other, same):
    assert same_model(origin(), other) is same
    assert same_model(other, origin()) is same


def test_of_a_change_the_model_before_counts():
    before, after = (Pattern(random_pattern(i), origin(weights)) for i, weights in enumerate(("w", "tuned")))
    change = after - before
    for pattern in (change, change / before, change * 2.0, 0.5 * change):
        assert same_model(pattern.provenance, before.provenance) is True
        assert same_model(pattern.provenance, after.provenance) is False


def test_refusals_name_both_and_the_fix():
    with pytest.raises(InputError, match=r"different models \(m, weights w and m after 3 steps, weights v"):
        check_comparable({"a": origin(), "b": origin("v", step=3)}, one_model=True)
    with pytest.raises(InputError, match=r"a and b measure different quantities \(loss is 'sum' in one and 'mean'"):
        check_comparable({"a": origin(loss="sum"), "b": origin(loss="mean")}, one_model=False)
    check_comparable({"a": origin(), "b": origin("v", model="n")}, one_model=False)
    check_comparable({"a": origin(), "b": {}}, one_model=True)


def test_doubts_about_a_difference():
    data, other = {"content": "x"}, {"content": "y"}
    assert same_data(origin(data=data), origin(data={**data, "limit": 5})) is False
    assert doubts(origin(data=data), origin("v", data=data)) == []
    assert doubts(origin(data=data), origin(data=other)) == []
    assert "are the same in both" in doubts(origin(data=data), origin(data=data))[0]
    assert "both the model and the data differ" in doubts(origin(data=data), origin("v", data=other))[0]
    assert "max_length (8 and 9)" in doubts(origin(max_length=8), origin("v", max_length=9))[0]
