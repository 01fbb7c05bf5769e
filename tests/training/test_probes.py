"""Held-out rows measured while a model trains: names, how many, and randomness that stays as it was."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch

from headprint.base.errors import InputError
from headprint.training.probes import Probe, untouched_randomness
from support.toy_models import toy_model
from support.training import PROBES

OPTIONS = {"placement": "example", "batch_tokens": None, "compute_dtype": None}


def probe(source, **options) -> Probe:
    given = {"split": "test", "limit": None, "max_length": None, "out": None, "options": OPTIONS}
    return Probe("a", source, **(given | options))


def test_no_random_number_is_used_up() -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    with untouched_randomness(torch.device("cpu")):
        inside = random.random(), np.random.rand(), torch.rand(1).item()
    assert inside == (random.random(), np.random.rand(), torch.rand(1).item())


def test_an_iterator_is_read_once_and_measured_again_and_again() -> None:
    model = toy_model("llama", attention="sdpa")
    found = probe(iter(PROBES))
    found.begin(model, None, 0)
    first, second = (found.measure(model, step) for step in (0, 1))
    assert first.ids == second.ids == [row["id"] for row in PROBES]
    assert np.array_equal(first.values, second.values)
    assert found.sets == {0: first, 1: second}
    assert second.provenance["step"] == 1


def test_a_split_and_a_limit(tmp_path) -> None:
    for split, count in (("train", 3), ("test", 2)):
        rows = [{"text": f"{split} {number}"} for number in range(count)]
        (tmp_path / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    probe(tmp_path, limit=2)
    with pytest.raises(InputError, match="'a': 3 rows were asked for, there are 2"):
        probe(tmp_path, limit=3)
    probe(tmp_path, limit=3, split="train")


def test_only_the_sets_up_to_the_step_of_a_resumption_are_taken_up(tmp_path) -> None:
    model = toy_model("llama", attention="sdpa")
    before = probe(PROBES, out=tmp_path)
    before.begin(model, None, 0)
    for step in (0, 2, 4):
        before.measure(model, step)
    resumed = probe(PROBES, out=tmp_path)
    resumed.begin(model, None, 3)
    assert list(resumed.sets) == [0, 2]
    started = probe(PROBES, out=tmp_path)
    started.begin(model, None, 0)
    assert started.sets == {}


def test_a_row_that_the_model_cannot_read_is_refused_by_name() -> None:
    model = toy_model("gpt2", n_positions=16)
    long = {"id": "long", "input_ids": [5] * 17, "labels": [5] * 17}
    with pytest.raises(InputError, match=r"row 4.*17 tokens"):
        probe([*PROBES, long]).begin(model, None, 0)
    probe([*PROBES, long], max_length=16).begin(model, None, 0)
