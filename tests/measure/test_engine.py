"""What the engine refuses: numbers that are not finite, and zeros that hide them."""

from __future__ import annotations

import pytest
import torch

from headprint.base.errors import InputError
from headprint.measure.extraction import extract
from support.plain import random_examples, rows
from support.toy_models import toy_model

EXAMPLES = random_examples((9, 14, 5, 11))


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
