"""Answers of two models compared row by row: against loops and by hand, and files that do not belong together."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import ttest_rel

from headprint.analysis.intervals import wilson
from headprint.base.errors import InputError
from headprint.evaluation import Evaluation, Outcome, compare_answers


def write(path, right, losses=None, ids=None, prompt="What is {}?"):
    names = [f"r{i}" for i in range(len(right))] if ids is None else ids
    losses = losses if losses is not None else [None] * len(right)
    rows = zip(names, right, losses, strict=True)
    Evaluation("final", [Outcome(n, prompt.format(n), right=r, loss=nats) for n, r, nats in rows]).write(path)
    return path


def test_numbers_against_plain_ones(tmp_path) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(60) < 0.4, rng.random(60) < 0.6
    x, y = rng.gamma(2.0, 1.0, 60), rng.gamma(1.5, 1.0, 60)
    order = rng.permutation(60)
    first = write(tmp_path / "a.jsonl", a.tolist(), x.tolist())
    second = write(tmp_path / "b.jsonl", b[order].tolist(), y[order].tolist(), [f"r{i}" for i in order])
    found = compare_answers(first, second, confidence=0.9)
    assert found.n == 60
    assert found.before == wilson(int(a.sum()), 60, 0.9)
    assert found.after == wilson(int(b.sum()), 60, 0.9)
    gained, lost = sum(b & ~a), sum(a & ~b)
    assert (found.gained, found.lost) == (gained, lost)
    changed, fewer = gained + lost, min(gained, lost)
    tail = sum(math.comb(changed, k) for k in range(fewer + 1)) / 2**changed
    assert found.p_value == pytest.approx(min(1.0, 2 * tail))
    for interval, one, other in ((found.change, a.astype(float), b.astype(float)), (found.loss, x, y)):
        expected = ttest_rel(other, one).confidence_interval(0.9)
        assert interval.value == pytest.approx(np.mean(other) - np.mean(one))
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert json.loads(json.dumps(found.to_dict()))["gained"] == gained


def test_mcnemar_by_hand(tmp_path) -> None:
    first = write(tmp_path / "a.jsonl", [True] * 2 + [False] * 8 + [True] * 5)
    second = write(tmp_path / "b.jsonl", [False] * 2 + [True] * 13)
    found = compare_answers(first, second)
    assert (found.gained, found.lost, found.p_value) == (8, 2, pytest.approx(112 / 1024))
    assert found.loss is None
    same = compare_answers(first, first)
    assert (same.change.value, same.gained, same.p_value) == (0.0, 0, 1.0)


def test_losses_only(tmp_path) -> None:
    first, second = (write(tmp_path / name, [None] * 3, [n, 2.0, 3.0]) for name, n in (("a", 1.0), ("b", 4.0)))
    found = compare_answers(first, second)
    assert found.loss.value == pytest.approx(1.0)
    assert (found.change, found.before, found.p_value) == (None, None, None)


def test_samples_of_the_harness(tmp_path) -> None:
    def samples(name, right):
        path = tmp_path / name
        rows = [
            {"doc_id": i, "doc": {"q": i}, "filter": f, "metrics": ["exact_match"], "exact_match": float(r)}
            for i, r in enumerate(right)
            for f in ("strict", "flexible")
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    found = compare_answers(samples("a.jsonl", [0, 1, 1]), samples("b.jsonl", [1, 1, 1]))
    assert (found.n, found.gained, found.lost) == (6, 2, 0)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"right": [True]}, r"b\.jsonl has no answer to the row 'r1' of .*a\.jsonl \(1 rows are in one file only\)"),
        ({"right": [True, True], "prompt": "Who is {}?"}, "the row 'r0' has another prompt in"),
        ({"right": [True, True], "ids": ["r0", "r0"]}, r"b\.jsonl:2: a second answer to the row 'r0'"),
        ({"right": []}, r"b\.jsonl holds no answers"),
    ],
)
def test_files_of_other_rows_are_refused(tmp_path, other, message) -> None:
    first = write(tmp_path / "a.jsonl", [True, False])
    with pytest.raises(InputError, match=message):
        compare_answers(first, write(tmp_path / "b.jsonl", **other))


@pytest.mark.parametrize("line", ['{"prompt": "x"}', "3", '{"doc_id": 1, "metrics": ["f1"], "f1": 0.5, "doc": {}}'])
def test_other_files_are_refused(tmp_path, line) -> None:
    (tmp_path / "a.jsonl").write_text(f"{line}\n")
    with pytest.raises(InputError, match=r"a\.jsonl:1: not an answer; give a file of `headprint evaluate --out`"):
        compare_answers(tmp_path / "a.jsonl", tmp_path / "a.jsonl")
