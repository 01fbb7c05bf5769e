"""What a model is: told apart by its weights, wherever they are kept, and how much it can read."""

from __future__ import annotations

import copy

import pytest
import torch

from headprint import models
from headprint.measure.extraction import extract
from support.plain import random_examples, rows
from support.toy_models import toy_model

EXAMPLES = random_examples((9, 14, 5))


def test_the_fingerprint_follows_the_weights_and_nothing_else(saved) -> None:
    model = models.load_model(str(saved), device="cpu")[0]
    same = models.load_model(str(saved), device="cpu", attn_implementation="eager")[0]
    assert models.fingerprint(model) == models.fingerprint(same)
    for change in (
        lambda m: m.model.layers[0].mlp.up_proj.weight[0, 0].add_(1e-3),
        lambda m: m.model.layers[0].mlp.up_proj.weight.copy_(m.model.layers[0].mlp.up_proj.weight.flip(0).clone()),
        lambda m: m.model.norm.weight[3].mul_(1.001),
    ):
        other = copy.deepcopy(model)
        with torch.no_grad():
            change(other)
        assert models.fingerprint(other) != models.fingerprint(model)


def test_weights_on_disk_or_in_host_memory_are_measured_all_the_same(tmp_path) -> None:
    """What ``device_map`` does with layers that do not fit a device."""
    from accelerate import cpu_offload, disk_offload

    model, cpu = toy_model("llama"), torch.device("cpu")
    expected = extract(model, None, rows(EXAMPLES))
    for away in (
        disk_offload(copy.deepcopy(model), str(tmp_path), execution_device=cpu),
        cpu_offload(copy.deepcopy(model), execution_device=cpu),
    ):
        assert next(away.model.layers[0].parameters()).device.type == "meta"
        found = extract(away, None, rows(EXAMPLES))
        assert torch.equal(torch.tensor(found.values), torch.tensor(expected.values))
        assert models.fingerprint(away) == models.fingerprint(model)


@pytest.mark.parametrize(
    ("family", "settings", "context"),
    [
        ("llama", {"max_position_embeddings": 48}, 48),
        ("gpt2", {"n_positions": 40}, 40),
        ("bloom", {}, None),
    ],
)
def test_the_context_is_what_the_model_has_positions_for(family, settings, context) -> None:
    assert models.limits(toy_model(family, **settings))["context"] == context


@pytest.mark.parametrize(
    ("rope", "context"),
    [
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}, 128),
        ({"rope_type": "linear", "factor": 2.0}, 96),
        ({"rope_type": "default"}, 48),
    ],
)
def test_scaled_positions_reach_further(rope, context) -> None:
    model = toy_model("llama", max_position_embeddings=48)
    model.config.rope_parameters = {"rope_theta": 10000.0, **rope}
    assert models.limits(model)["context"] == context


def test_the_vocabulary_is_the_smaller_of_embedding_and_head() -> None:
    model = toy_model("llama")
    size = model.config.vocab_size
    assert models.limits(model)["vocabulary"] == size
    model.lm_head = torch.nn.Linear(model.config.hidden_size, size - 3, bias=False)
    assert models.limits(model)["vocabulary"] == size - 3
