"""The engine: batches that run out of memory, numbers that are not finite, and zeros that hide them."""

from __future__ import annotations

import pytest
import torch

from headprint.base.errors import InputError
from headprint.measure import engine
from headprint.measure.extraction import extract
from support.numerics import STORED, error
from support.plain import random_examples, rows
from support.toy_models import toy_model

EXAMPLES = random_examples((9, 14, 5, 11))


@pytest.fixture
def model(in_float64):
    return toy_model("llama", attention="sdpa", dtype=torch.float64)


@pytest.fixture
def examples():
    return random_examples((9, 14, 5, 11, 30, 7, 7, 12, 3, 21))


def test_running_out_of_memory_halves_the_budget_and_loses_nothing(model, examples, monkeypatch) -> None:
    measure, sizes = engine.measure, []

    def small_machine(model, sites, batch, **options):
        sizes.append(batch.input_ids.numel())
        if batch.input_ids.numel() > 45:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return measure(model, sites, batch, **options)

    expected = extract(model, None, rows(examples)).values
    monkeypatch.setattr(engine, "measure", small_machine)
    found = extract(model, None, rows(examples), batch_tokens=200)
    assert error(found.values, expected) <= STORED
    assert max(sizes) > 45
    assert sum(size > 45 for size in sizes) <= 4  # it learns: 200, 100, 50 and no more


def test_one_example_that_does_not_fit_is_named_with_a_mend(model, examples, monkeypatch) -> None:
    def no_memory(*_, **__):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(engine, "measure", no_memory)
    with pytest.raises(InputError, match=r"30 tokens \(id 'x4'.*checkpointing"):
        extract(model, None, rows(examples))


def test_other_errors_are_not_taken_for_memory(model, examples, monkeypatch) -> None:
    def broken(*_, **__):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(engine, "measure", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        extract(model, None, rows(examples))


def test_a_loss_that_is_not_finite_names_the_example(examples) -> None:
    model = toy_model("llama")
    with torch.no_grad():
        model.lm_head.weight[50] = float("nan")
    with pytest.raises(InputError, match=r"example 'x\d+': its loss is nan"):
        extract(model, None, rows(examples), verify=False)


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
@pytest.mark.parametrize("projection", ["q_proj", "k_proj", "v_proj"])
@pytest.mark.parametrize("layer", [0, 1])
def test_broken_weights_are_refused_by_name(kernel, projection, layer) -> None:
    """In the first layer sdpa turns them into an output of zero, and so into levels of zero, under a finite loss."""
    model = toy_model("llama", attention=kernel)
    name = f"model.layers.{layer}.self_attn.{projection}.weight"
    with torch.no_grad():
        model.get_parameter(name).fill_(float("nan"))
    with pytest.raises(InputError, match=rf"{name} holds numbers that are not finite"):
        extract(model, None, rows(EXAMPLES), verify=False)


def test_a_head_that_is_switched_off_is_zero() -> None:
    model = toy_model("llama", attention="sdpa")
    with torch.no_grad():
        model.model.layers[0].self_attn.o_proj.weight[:, :8] = 0
    found = extract(model, None, rows(EXAMPLES)).values
    assert (found[:, 0, 0] == 0).all()
    assert (found[:, 1:] != 0).all()
