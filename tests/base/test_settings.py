"""Settings: one text for equal ones, and each difference by its name."""

from __future__ import annotations

import pytest

from headprint.base.settings import canonical, differences, leaves

BEGUN = {"model": {"weights": "ab12"}, "limit": None, "sft": {"seed": 0}}


def test_equal_settings_have_one_text():
    assert canonical({"b": 1, "a": [True, None, "é"]}) == canonical({"a": (True, None, "é"), "b": 1})
    assert canonical({"a": 1}) != canonical({"a": 1.5})
    with pytest.raises(ValueError, match="JSON"):
        canonical({"a": float("nan")})


def test_every_difference_is_named():
    here = {"model": {"weights": "cd34"}, "sft": {"seed": 0}, "lora": {"r": 4}}
    assert differences(BEGUN, BEGUN) == []
    assert differences(BEGUN, here) == [
        "limit is null there and not set here",
        "lora.r is not set there and 4 here",
        'model.weights is "ab12" there and "cd34" here',
    ]


def test_what_is_not_known_yet_is_no_difference():
    assert differences(BEGUN, {"sft": {"seed": 0}}, so_far=True) == []
    assert differences(BEGUN, {"sft": {"seed": 1}}, so_far=True) == ["sft.seed is 0 there and 1 here"]


def test_leaves_are_dotted_names_and_json():
    assert list(leaves({"a": {"b": [1], "c": {}}})) == [("a.b", "[1]"), ("a.c", "{}")]
