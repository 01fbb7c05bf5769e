"""Mixtures: shares to counts by hand and by properties, draws, formats, files."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headprint.analysis.mixture import load_weights, mix, mixture_budgets, random_budgets, token_size, within_budget
from headprint.base.errors import InputError
from headprint.data.tokenization import tokenize_row
from support.toy_tokenizers import toy_tokenizer


def rows(task, n, **extra):
    return [{"prompt": f"{task} {i}: ", "completion": f"answer {'so ' * i}{i}", "meta": i, **extra} for i in range(n)]


def test_mixture_by_hand():
    assert mixture_budgets({"math": 0.7, "code": 0.3}, 10) == {"math": 7, "code": 3}
    # 100/3 each: the one row left over goes to the first named of equal remainders.
    assert mixture_budgets({"a": 1, "b": 1, "c": 1}, 100) == {"a": 34, "b": 33, "c": 33}
    # 2.5, 1.5, 1: floors 2, 1, 1 and one left over.
    assert mixture_budgets({"a": 5, "b": 3, "c": 2}, 5) == {"a": 3, "b": 1, "c": 1}
    assert mixture_budgets({"a": 1, "b": -2}, 7, negative="clip") == {"a": 7, "b": 0}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8).filter(lambda w: sum(w) > 1e-3), st.integers(1, 10**6))
def test_mixture_adds_up_and_rounds_by_less_than_one(weights, total):
    counts = mixture_budgets({str(i): weight for i, weight in enumerate(weights)}, total)
    assert sum(counts.values()) == total
    for i, weight in enumerate(weights):
        assert abs(counts[str(i)] - total * weight / sum(weights)) < 1 + 1e-6 * total


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=12), st.integers(0, 200))
def test_within_budget_is_nearest(sizes, budget):
    found = within_budget(sizes, budget)
    off = [abs(sum(sizes[:k]) - budget) for k in range(len(sizes) + 1)]
    assert off[found] == min(off)
    assert off.index(min(off)) == found


def test_rows_are_drawn_without_replacement_and_shuffled():
    sources = {"math": rows("math", 30), "code": rows("code", 50, id="x")}
    for number, row in enumerate(sources["code"]):
        row["id"] = f"c{number}"
    mixed = mix(sources, {"math": 20, "code": 40}, seed=1)
    assert Counter(row["task"] for row in mixed.rows) == {"math": 20, "code": 40}
    assert len({row["id"] for row in mixed.rows}) == 60
    assert sum(a["task"] != b["task"] for a, b in pairwise(mixed.rows)) > 10
    for row in mixed.rows:  # each is the row that its id says
        name = row["id"].split("/")[1].removeprefix("c")
        assert row["prompt"] == f"{row['task']} {name}: "
        assert set(row) == {"id", "task", "prompt", "completion"}
    assert mixed.rows == mix(sources, {"math": 20, "code": 40}, seed=1).rows
    assert mixed.rows != mix(sources, {"math": 20, "code": 40}, seed=2).rows
    # A task's rows do not depend on the other tasks.
    alone = mix({"math": sources["math"]}, {"math": 20}, seed=1)
    assert {row["id"] for row in alone.rows} == {row["id"] for row in mixed.rows if row["task"] == "math"}


def test_oversampling_repeats_evenly_under_new_ids():
    with pytest.raises(InputError, match=r"math: 25 asked for, 10 available.*--oversample"):
        mix({"math": rows("math", 10)}, {"math": 25})
    mixed = mix({"math": rows("math", 10)}, {"math": 25}, oversample=True)
    assert len({row["id"] for row in mixed.rows}) == 25
    times = Counter(row["prompt"] for row in mixed.rows)
    assert set(times.values()) == {2, 3}
    assert sum(times.values()) == 25
    assert any(row["id"].endswith("#3") for row in mixed.rows)


def test_equal_tokens():
    tokenizer = toy_tokenizer("bos")
    size = token_size(tokenizer)
    sources = {"math": rows("math", 20), "code": rows("code", 20)}
    mixed = mix(sources, {"math": 60, "code": 120}, size=size)
    longest = 25
    for task, budget in (("math", 60), ("code", 120)):
        tokens = 0
        for row in mixed.rows:
            if row["task"] == task:
                from headprint.data.rows import Row

                tokens += sum(label != -100 for label in tokenize_row(Row("here", row), tokenizer).labels[1:])
        assert tokens == mixed.provenance["tasks"][task]["size"]
        assert abs(tokens - budget) <= longest


def test_random_budgets_are_fair():
    draws = np.array([list(random_budgets({"a": 300, "b": 100}, 100, seed=s).values()) for s in range(100)])
    assert (draws.sum(axis=1) == 100).all()
    assert draws[:, 0].mean() == pytest.approx(75, abs=2)
    assert random_budgets({"a": 3, "b": 2}, 5) == {"a": 3, "b": 2}
    assert sum(random_budgets({"a": 3, "b": 2}, 50, oversample=True).values()) == 50
    with pytest.raises(InputError, match="6 rows asked for, 5 available"):
        random_budgets({"a": 3, "b": 2}, 6)


def test_written_files(tmp_path):
    source = tmp_path / "math.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows("math", 9)))
    mixed = mix({"math": source}, {"math": 5}, seed=3)
    beside = mixed.write(tmp_path / "out.jsonl")
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == mixed.rows
    origin = json.loads(beside.read_text())
    assert beside.name == "out.mix.json"
    assert origin["seed"] == 3
    assert origin["tasks"]["math"] | {"content": None} == {
        "source": str(source),
        "content": None,
        "available": 9,
        "budget": 5,
        "rows": 5,
        "size": 5,
    }


def test_weights_from_files(tmp_path):
    def written(content):
        (tmp_path / "d.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path / "d.json"

    weights = {"weights": {"math": {"value": 0.5, "low": None, "high": None}}}
    assert load_weights(written(weights)) == {"math": 0.5}
    assert load_weights(written({"fit": weights})) == {"math": 0.5}
    both = {**weights, "mixture": {"shares": {"math": {"value": 1.0}}, "penalty": None}}
    assert load_weights(written(both)) == {"math": 1.0}
    assert load_weights(written(both), "fit") == {"math": 0.5}
    assert load_weights(written({**weights, "mixture": None})) == {"math": 0.5}
    for content, message in (
        ({"fit": None}, "found no basis"),
        ("{", "d.json:1: broken JSON"),
        ([1], "is not a decomposition"),
        ({"weights": {"math": {}}}, "is not a decomposition"),
    ):
        with pytest.raises(InputError, match=message):
            load_weights(written(content))
    with pytest.raises(InputError, match="cannot read"):
        load_weights(tmp_path / "nothing.json")


def test_wrong_input():
    sources = {"math": rows("math", 5)}
    for weights, message in (
        ({"a": -1.0, "b": 2.0}, "fewer than 0 rows"),
        ({"a": 0.0}, "no task has a positive weight"),
        ({"a": float("nan")}, "fit it again"),
    ):
        with pytest.raises(InputError, match=message):
            mixture_budgets(weights, 5)
    with pytest.raises(InputError, match="ask for 1 or more"):
        mixture_budgets({"a": 1}, 0)
    with pytest.raises(InputError, match=r"--from maths=FILE \(did you mean 'math'"):
        mix(sources, {"maths": 3})
    with pytest.raises(InputError, match="did you mean 'math'"):
        mix({"mth": sources["math"]}, {"math": 0})
    chat = [{"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]}]
    with pytest.raises(InputError, match="one file has one format"):
        mix({**sources, "chat": chat}, {"math": 2, "chat": 1})
    with pytest.raises(InputError, match="none that TRL trains on"):
        mix({**sources, "other": [{"question": "?"}]}, {"math": 2, "other": 1})
