"""``results.json`` of the tiny study has the keys, the types and the counts that it had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headprint.study.results import Results
from support.golden import either, golden, schema

GOLDEN = Path(__file__).parent / "golden" / "tiny.json"


@pytest.mark.slow
def test_the_results_are_of_the_golden_shape(results: Results) -> None:
    assert golden(json.loads(json.dumps(results.to_json()))) == json.loads(GOLDEN.read_text("utf-8"))


def test_a_shape_notices_a_key_and_a_type() -> None:
    rows = [{"a": 1, "b": None}, {"a": 2.5, "b": [1, "x"]}]
    assert schema(rows) == [[{"a": ["number"], "b": ["NoneType", ["number", "text"]]}]]
    assert schema([*rows, {"a": 3}]) == [[{"a": ["number"], "b": ["NoneType", "absent", ["number", "text"]]}]]
    assert schema({"config": {"x": 1}}) == [{"config": ["anything"]}]
    assert either(["number"], ["number", "text"]) == ["number", "text"]
