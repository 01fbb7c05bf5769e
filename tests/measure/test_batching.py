"""Every row once, longest first, within the budget; half of it where memory runs out."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headprint.base.errors import InputError
from headprint.data.tokenization import IGNORE
from headprint.measure.batching import Budget, OutOfMemory, collate, in_batches
from support.plain import random_examples

CPU = torch.device("cpu")
lengths_of_rows = st.lists(st.integers(1, 50), min_size=1, max_size=40)


@given(lengths_of_rows, st.integers(1, 120), st.none() | st.integers(1, 5))
def test_batches_hold_the_budget_and_every_row_once(lengths, tokens, rows) -> None:
    seen = []
    for chosen, found in in_batches(
        lengths, lambda chosen: [lengths[i] for i in chosen], Budget(CPU, tokens), rows=rows
    ):
        assert found == [lengths[i] for i in chosen]
        assert len(chosen) == 1 or (len(chosen) * found[0] <= tokens and len(chosen) <= (rows or len(chosen)))
        seen += chosen
    assert sorted(seen) == list(range(len(lengths)))
    assert [lengths[i] for i in seen] == sorted(lengths, reverse=True)


@given(lengths_of_rows, st.integers(50, 400))
def test_what_does_not_fit_is_halved_and_nothing_is_run_twice(lengths, room) -> None:
    tried, seen = [], []

    def run(chosen: list[int]) -> None:
        tried.append(len(chosen) * max(lengths[i] for i in chosen))
        if tried[-1] > room:
            raise torch.OutOfMemoryError("CUDA out of memory")

    budget = Budget(CPU, 10_000)
    for chosen, _ in in_batches(lengths, run, budget):
        seen += chosen
    assert sorted(seen) == list(range(len(lengths)))
    failed = [size for size in tried if size > room]
    assert all(2 * later <= earlier for earlier, later in itertools.pairwise(failed))  # it learns
    tried.clear()
    list(in_batches(lengths, run, budget))
    assert all(size <= room for size in tried)  # and remembers


def test_a_row_that_does_not_fit_alone_is_named() -> None:
    def run(chosen: list[int]) -> None:
        if 2 in chosen:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(OutOfMemory, match=r"1 row.* of 9 tokens") as caught:
        list(in_batches([4, 5, 9, 5], run, Budget(CPU, 40)))
    assert isinstance(caught.value, InputError)
    assert (caught.value.rows, caught.value.length) == ([2], 9)


def test_batches_as_given_keep_their_order_and_are_never_split() -> None:
    lengths = [3, 9, 1, 7, 5]
    assert [chosen for chosen, _ in in_batches(lengths, len, Budget(CPU, 1), rows=2, as_given=True)] == [
        [0, 1],
        [2, 3],
        [4],
    ]

    def no_memory(_: list[int]) -> None:
        raise MemoryError

    with pytest.raises(OutOfMemory) as caught:
        list(in_batches(lengths, no_memory, Budget(CPU), rows=2, as_given=True))
    assert caught.value.rows == [0, 1]


def test_other_errors_are_not_taken_for_memory() -> None:
    def broken(_: list[int]) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        list(in_batches([3, 4], broken, Budget(CPU)))


def test_budget_halves_from_what_failed() -> None:
    budget = Budget(CPU, 1000)
    budget.halve(600)
    assert budget.tokens == 300
    budget.halve(900)
    assert budget.tokens == 150


def test_collated_rows_are_padded_on_the_right() -> None:
    examples = random_examples((5, 8))
    batch = collate(examples, pad_to=10)
    assert batch.input_ids.shape == batch.labels.shape == (2, 10)
    for row, example in enumerate(examples):
        length = len(example.input_ids)
        assert batch.input_ids[row].tolist() == example.input_ids + [0] * (10 - length)
        assert batch.labels[row].tolist() == example.labels + [IGNORE] * (10 - length)
