"""Sketches of MLPs: against the gradients of the down projections themselves, by autograd, one row at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssExperts
from transformers.models.llama4.modeling_llama4 import Llama4TextExperts
from transformers.pytorch_utils import Conv1D

from headprint.base.errors import InputError
from headprint.data.examples import Example
from headprint.measure.batching import collate
from headprint.measure.extraction import extract
from headprint.measure.levels import measure
from headprint.measure.sketch import NUMBERS_PER_ROW, Sketch, sides
from headprint.measure.tap import Tap
from headprint.models import checkpointed, frozen
from headprint.models.heads import HeadMap, UnsupportedModel, locate
from headprint.models.mlps import MlpSite, locate_mlps
from headprint.patterns import PatternSet
from support.numerics import BFLOAT16, FLOAT32, FLOAT64, error
from support.plain import random_examples, rows
from support.toy_models import toy_model

LENGTHS = (9, 13, 6)
SKETCH = Sketch(2, seed=3, side=3)


def sketches(model: nn.Module, examples: Sequence[Example], sketch: Sketch = SKETCH) -> Tensor:
    heads = locate(model)
    with frozen(model), Tap(heads.sites, sketch, locate_mlps(model, heads)) as tap:
        measure(model, tap, collate(examples))
        assert tap.mlps is not None
        return tap.mlps.sketches()


def plain(model: nn.Module, examples: Sequence[Example]) -> Tensor:
    """The same from the gradient of every weight, expert by expert and direction by direction."""
    sites = locate_mlps(model, locate(model))
    weights = [site.module.down_proj if site.experts else site.module.weight for site in sites]
    found = []
    for example in examples:
        logits = model.eval()(input_ids=torch.tensor([example.input_ids]), use_cache=False).logits[0, :-1]
        loss = F.cross_entropy(logits, torch.tensor(example.labels[1:]))
        layers = {site.layer: torch.zeros(3, 3, dtype=torch.float64) for site in sites}
        for site, gradient in zip(sites, torch.autograd.grad(loss, weights), strict=True):
            gradient = (gradient if site.experts else gradient[None]).double()
            if not (isinstance(site.module, Conv1D | GptOssExperts | Llama4TextExperts)):  # theirs are (in, out)
                gradient = gradient.transpose(1, 2)
            inner, outer = (signs.double() for signs in sides(site, *gradient.shape[1:], SKETCH))
            for expert, matrix in enumerate(gradient):
                for i in range(3):
                    for j in range(3):
                        layers[site.layer][i, j] += inner[expert, i] @ matrix @ outer[0, j]
        found.append(torch.stack([layers[layer].flatten() for layer in sorted(layers)]))
    return torch.stack(found)


# Conv1D; no batch axis; an MLP beside attention; experts with a shared one, with biases, with rows for each of them.
@pytest.mark.parametrize(
    "family", ["llama", "gpt2", "opt", "bert", "falcon", "qwen2_moe", "gpt_oss", "llama4_text", "nemotron_h"]
)
def test_equals_the_gradients_of_the_weights(family: str, in_float64) -> None:
    model, examples = toy_model(family, dtype=torch.float64), random_examples(LENGTHS)
    assert error(sketches(model, examples), plain(model, examples)) < FLOAT64


@pytest.mark.parametrize("family", ["llama", "mixtral"])
def test_equals_the_gradients_in_float32(family: str) -> None:
    model, examples = toy_model(family), random_examples(LENGTHS)
    expected = plain(model, examples)
    assert error(sketches(model, examples), expected) < FLOAT32
    assert error(sketches(model.bfloat16(), examples), expected) < BFLOAT16


def test_batches_order_and_checkpointing_change_nothing(in_float64) -> None:
    model, examples = toy_model("gpt2", dtype=torch.float64), random_examples(LENGTHS)
    together = sketches(model, examples)
    assert error(together, torch.cat([sketches(model, [example]) for example in examples])) < FLOAT64
    assert error(sketches(model, examples[::-1]).flip(0), together) < FLOAT64
    with checkpointed(model):
        assert error(sketches(model, examples), together) < FLOAT64


def test_a_new_adapter_changes_nothing(in_float64) -> None:
    from peft import LoraConfig, get_peft_model

    model, examples = toy_model("llama", dtype=torch.float64), random_examples(LENGTHS)
    expected = sketches(model, examples)
    adapted = get_peft_model(model, LoraConfig(target_modules=["down_proj"], r=2))
    assert error(sketches(adapted, examples), expected) < FLOAT64


def test_hooks_are_removed_and_levels_stay_as_they_are() -> None:
    model, examples = toy_model("mixtral"), rows(random_examples(LENGTHS))
    alone, both = extract(model, None, examples), extract(model, None, examples, sketch=2, blocks="heads,mlp")
    assert np.array_equal(alone.values, both.values)
    assert np.array_equal(both.sketches, extract(model, None, examples, sketch=2).sketches)
    assert not any(module._forward_hooks for module in model.modules())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), experts=st.sampled_from([0, 2]))
def test_inner_products_are_unbiased(seed: int, experts: int) -> None:
    # The estimate of one pair of directions varies by 3‖G‖²‖G'‖² at most, and r² pairs are as good as r/2 of them.
    side, rng = 512, np.random.default_rng(seed)
    site = MlpSite(0, 0, "mlp", nn.Identity(), experts)
    inner, outer = (signs.double() for signs in sides(site, 5, 4, Sketch(1, seed, side)))
    one, other = torch.from_numpy(rng.standard_normal((2, max(experts, 1), 5, 4)))
    first, second = (torch.einsum("eim,emd,jd->ij", inner, gradient, outer[0]) for gradient in (one, other))
    bound = 5 * (6 / side) ** 0.5 * float(one.norm() * other.norm())
    assert abs(float((first * second).mean() - (one * other).sum())) < bound


@pytest.mark.parametrize(("layers", "heads"), [(6, 8), (30, 9), (32, 32), (28, 16)])
def test_a_default_sketch_of_both_is_bounded(layers: int, heads: int) -> None:
    sketch = Sketch.planned(HeadMap((), layers, heads, {}), 0, 0, "heads,mlp")
    assert sketch.side**2 <= heads * sketch.size < (sketch.side + 1) ** 2
    assert layers * (heads * sketch.size + sketch.side**2) <= NUMBERS_PER_ROW


# --- through extraction and files


def test_stored_merged_and_resumed_as_those_of_heads(tmp_path: Path) -> None:
    model, examples = toy_model("llama"), rows(random_examples((9, 13, 6, 8, 11)))
    options = {"sketch": 2, "sketch_seed": 3, "blocks": "heads,mlp"}
    exact = extract(model, None, examples, **options)
    stored = extract(model, None, examples, **options, out=tmp_path / "set", shard_size=2)
    (_, layers, heads), side = exact.shape, 2
    assert exact.layout == stored.layout == {"heads": (layers, heads, 2), "mlp": (layers, side**2)}
    largest = np.abs(exact.mlp_sketches).max(axis=-1, keepdims=True)
    assert (np.abs(stored.mlp_sketches - exact.mlp_sketches) <= (2**-11 + FLOAT32) * largest).all()

    parts = list(stored.iter_block_sketches())
    assert [len(part["mlp"]) for part in parts] == [2, 2, 1]
    assert np.array_equal(np.concatenate([part["mlp"] for part in parts]), stored.mlp_sketches)
    assert np.array_equal(np.concatenate([part["heads"] for part in parts]), stored.sketches)
    assert np.array_equal(stored[:2].merge(stored[[4]]).mlp_sketches, stored.mlp_sketches[[0, 1, 4]])
    stored.save(tmp_path / "again")
    assert np.array_equal(PatternSet.load(tmp_path / "again").mlp_sketches, stored.mlp_sketches)

    (tmp_path / "set" / "part-00001.parquet").unlink()
    again = extract(model, None, examples, **options, out=tmp_path / "set", shard_size=2)
    assert np.array_equal(again.mlp_sketches, stored.mlp_sketches)
    with pytest.raises(InputError, match='blocks is "heads,mlp" there and "heads" here'):
        extract(model, None, examples, out=tmp_path / "set", shard_size=2, sketch=2, sketch_seed=3)


def test_a_layer_without_an_mlp_is_nan() -> None:
    model, examples = toy_model("nemotron_h"), rows(random_examples(LENGTHS))
    found = extract(model, None, examples, sketch=2, blocks="heads,mlp").mlp_sketches
    present = {site.layer for site in locate_mlps(model, locate(model))}
    assert [bool(np.isnan(found[:, layer]).all()) for layer in range(found.shape[1])] == [
        layer not in present for layer in range(found.shape[1])
    ]


def test_what_cannot_be_sketched_is_refused_in_one_line() -> None:
    model, examples = toy_model("llama"), rows(random_examples(LENGTHS))
    with pytest.raises(InputError, match=r"say in how many directions, with sketch=K"):
        extract(model, None, examples, blocks="heads,mlp")
    heads = extract(model, None, examples, sketch=2)
    with pytest.raises(InputError, match=r"no gradients of MLPs: .*--blocks heads,mlp"):
        _ = heads.mlp_sketches
    with pytest.raises(InputError, match=r"cannot merge: sketch"):
        heads.merge(extract(model, None, examples, sketch=2, blocks="heads,mlp"))
    with pytest.raises(InputError, match="sketches of mlp are"):
        PatternSet(np.ones((2, 1, 1)), ["a", "b"], [1, 2], [1, 2], mlp_sketches=np.ones((2, 3, 1)))


@pytest.mark.parametrize(
    ("family", "message"),
    [("xlm", "no down projection"), ("longcat_flash", "some experts have no"), ("mllama", "takes no part")],
)
def test_families_whose_mlps_cannot_be_tapped(family: str, message: str) -> None:
    model, examples = toy_model(family), rows(random_examples(LENGTHS))
    assert extract(model, None, examples, sketch=1, verify=False).directions == 1
    with pytest.raises(UnsupportedModel, match=message):
        extract(model, None, examples, sketch=1, blocks="heads,mlp", verify=False)
