"""Shares handed to other tasks."""

from __future__ import annotations

import itertools

from headprint.study.chapters.mixture import permuted


def test_permutations_of_a_seed_differ_from_the_weights_and_from_one_another() -> None:
    weights = {"a": 0.5, "b": 0.3, "c": 0.2}
    every = set(itertools.permutations(weights.values()))
    drawn = [permuted(weights, seed=7, draw=draw) for draw in range(5)]
    assert all(list(each) == list(weights) for each in drawn)
    assert {tuple(each.values()) for each in drawn} == every - {tuple(weights.values())}
    assert permuted(weights, seed=7, draw=3) == drawn[3]
    assert [permuted(weights, seed=8, draw=draw) for draw in range(5)] != drawn


def test_few_weights_have_few_permutations() -> None:
    assert permuted({"a": 1.0, "b": 0.0}, seed=0, draw=4) == {"a": 0.0, "b": 1.0}
    assert permuted({"a": 1.0, "b": 1.0}, seed=0, draw=0) == {"a": 1.0, "b": 1.0}
