"""Sketches of head gradients: against matrices formed token by token, and unbiased inner products."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, nn
from torch.nn import functional as F

from headprint.base.errors import InputError
from headprint.cli.app import run
from headprint.data.examples import Example
from headprint.measure.batching import collate
from headprint.measure.extraction import extract
from headprint.measure.levels import measure
from headprint.measure.sketch import Sketch, default_size, directions, project
from headprint.measure.tap import Tap
from headprint.models import checkpointed, frozen
from headprint.models.heads import HeadMap, HeadSite, locate
from headprint.patterns import PatternSet
from headprint.patterns.storage.shard_file import from_half, to_half
from support.numerics import FLOAT32, FLOAT64, error, float64_throughout
from support.plain import random_examples, rows
from support.toy_models import toy_model
from support.toy_tokenizers import toy_tokenizer

LENGTHS = (9, 14, 5, 11)
SKETCH = Sketch(5, seed=3)


def sketches(model: nn.Module, examples: Sequence[Example], sketch: Sketch = SKETCH) -> Tensor:
    with frozen(model), Tap(locate(model).sites, sketch) as tap:
        measure(model, tap, collate(examples))
        return tap.sketches()


def head_gradients(model: nn.Module, example: Example) -> list[Tensor]:
    """One example's matrices by layer, (heads, D, D): the full backward, retained gradients, a loop over tokens."""
    seen: list[Tensor] = []

    def keep(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        args[0].retain_grad()
        seen.append(args[0])

    sites = locate(model).sites
    hooks = [site.module.register_forward_pre_hook(keep) for site in sites]
    logits = model.eval()(input_ids=torch.tensor([example.input_ids]), use_cache=False).logits[0, :-1]
    F.cross_entropy(logits.double(), torch.tensor(example.labels[1:])).backward()
    for hook in hooks:
        hook.remove()
    found = []
    for site, z in zip(sites, seen, strict=True):
        matrix = torch.zeros(site.heads, site.head_dim, site.head_dim, dtype=z.dtype)
        for step, gradient in zip(z[0].detach(), z.grad[0], strict=True):
            for head, (out, back) in enumerate(
                zip(step.split(site.head_dim), gradient.split(site.head_dim), strict=True)
            ):
                matrix[head] += torch.outer(out, back)
        found.append(matrix)
    return found


def plain(model: nn.Module, examples: Sequence[Example], sketch: Sketch = SKETCH) -> Tensor:
    """The same numbers by loops over examples, layers, heads and directions."""
    sites = locate(model).sites
    along = [directions(site, sketch).to(torch.float64) for site in sites]
    rows = []
    for example in examples:
        layers = []
        for site, signs, matrices in zip(sites, along, head_gradients(model, example), strict=True):
            shape = (site.head_dim, site.head_dim)
            layers.append(
                torch.tensor(
                    [
                        [(signs[head, :, k].reshape(shape) * matrices[head].double()).sum() for k in range(sketch.size)]
                        for head in range(site.heads)
                    ]
                )
            )
        rows.append(torch.stack(layers))
    return torch.stack(rows)


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "gemma3_text"])
def test_equals_the_matrices_formed_token_by_token(family: str) -> None:
    model, examples = toy_model(family).double(), random_examples(LENGTHS)
    with float64_throughout():
        assert error(sketches(model, examples), plain(model, examples)) < FLOAT64


@pytest.mark.parametrize("family", ["llama", "deepseek_v3", "gpt_oss", "qwen3_moe"])  # GQA, MLA, sinks, experts
def test_equals_the_matrices_in_float32(family: str) -> None:
    model, examples = toy_model(family), random_examples(LENGTHS)
    assert error(sketches(model, examples), plain(model, examples)) < FLOAT32


def test_batches_order_and_checkpointing_change_nothing() -> None:
    model, examples = toy_model("gpt2").double(), random_examples(LENGTHS)
    together = sketches(model, examples)
    alone = torch.cat([sketches(model, [example]) for example in examples])
    assert error(together, alone) < FLOAT64
    assert error(sketches(model, examples[::-1]).flip(0), alone) < FLOAT64
    with checkpointed(model):
        assert error(sketches(model, examples), alone) < FLOAT64


def test_levels_are_what_they_are_without_a_sketch() -> None:
    model, examples = toy_model("llama"), random_examples(LENGTHS)
    found = []
    for sketch in (None, SKETCH):
        with frozen(model), Tap(locate(model).sites, sketch) as tap:
            found.append(measure(model, tap, collate(examples)))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_a_smaller_sketch_is_the_beginning_of_a_larger_one() -> None:
    model, examples = toy_model("gpt2").double(), random_examples(LENGTHS)
    large, small = (sketches(model, examples, Sketch(size, seed=7)) for size in (8, 3))
    assert error(small, large[..., :3]) < FLOAT64


def test_directions_differ_between_heads_layers_and_seeds_and_are_signs() -> None:
    one, other = locate(toy_model("llama")).sites[:2]
    drawn = [*directions(one, Sketch(4)), *directions(other, Sketch(4)), *directions(one, Sketch(4, seed=1))]
    assert all(set(signs.unique().tolist()) == {-1.0, 1.0} for signs in drawn)
    columns = torch.cat(drawn, dim=1).T
    assert len(columns.unique(dim=0)) == len(columns)
    assert torch.equal(directions(one, Sketch(4)), directions(one, Sketch(4)))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), dim=st.sampled_from([2, 3, 4]))
def test_inner_products_are_unbiased(seed: int, dim: int) -> None:
    # Var of one direction's estimate is at most 2‖G‖²‖G'‖²; five standard errors over 2,048 directions.
    rng = np.random.default_rng(seed)
    site = HeadSite(0, "o", nn.Identity(), heads=1, head_dim=dim, attention=nn.Identity())
    along = directions(site, Sketch(2048, seed=seed)).double()
    z, gradient = (torch.from_numpy(rng.standard_normal((2, 6, dim))) for _ in range(2))
    matrices = [torch.einsum("ti,tj->ij", z[row], gradient[row]) for row in range(2)]
    one, other = project(z, gradient, along)[:, 0]
    bound = 5 * (2 / 2048) ** 0.5 * float(matrices[0].norm() * matrices[1].norm())
    assert abs(float((one * other).mean() - (matrices[0] * matrices[1]).sum())) < bound


@pytest.mark.parametrize(("layers", "heads", "size"), [(6, 8, 128), (30, 9, 16), (32, 32, 8), (80, 128, 1)])
def test_a_default_sketch_is_bounded(layers: int, heads: int, size: int) -> None:
    assert default_size(HeadMap((), layers, heads, {})) == size
    assert size == 1 or layers * heads * size <= 8192


# --- through extraction and files


def test_extraction_gives_the_sketches_in_input_order() -> None:
    model, examples = toy_model("llama"), random_examples(LENGTHS)
    found = extract(model, None, rows(examples), sketch=5, sketch_seed=3)
    assert found.sketches.shape == (*found.values.shape, 5)
    assert error(found.sketches, sketches(model, examples)) < FLOAT32
    assert np.array_equal(found.values, extract(model, None, rows(examples)).values)


def test_a_stored_sketch_is_rounded_to_float16_of_each_head(tmp_path: Path) -> None:
    model, examples = toy_model("llama"), rows(random_examples(LENGTHS))
    exact = extract(model, None, examples, sketch=4)
    stored = extract(model, None, examples, sketch=4, out=tmp_path / "set", shard_size=3)
    largest = np.abs(exact.sketches).max(axis=-1, keepdims=True)
    # 2^-11: half precision; and the rounding of float32 sums in batches of other sizes.
    assert (np.abs(stored.sketches - exact.sketches) <= (2**-11 + FLOAT32) * largest).all()
    assert np.array_equal(np.concatenate(list(stored.iter_sketches())), stored.sketches)
    assert np.array_equal(stored[[2, 0]].sketches, stored.sketches[[2, 0]])
    assert np.array_equal(PatternSet.load(tmp_path / "set")["x1"].sketches, stored.sketches[1:2])


def test_a_saved_set_keeps_its_sketches_to_the_bit(tmp_path: Path) -> None:
    stored = extract(toy_model("llama"), None, rows(random_examples(LENGTHS)), sketch=2, out=tmp_path / "set")
    stored.save(tmp_path / "again")
    assert np.array_equal(PatternSet.load(tmp_path / "again").sketches, stored.sketches)


def test_a_set_with_another_sketch_is_not_resumed(tmp_path: Path) -> None:
    model, examples = toy_model("llama"), rows(random_examples(LENGTHS))
    extract(model, None, examples, sketch=2, out=tmp_path)
    for options, message in (
        ({"sketch": 4}, "sketch is 2 there and 4 here"),
        ({"sketch": 2, "sketch_seed": 1}, "sketch_seed is 0 there and 1 here"),
        ({}, "sketch is 2 there"),
    ):
        with pytest.raises(InputError, match=message):
            extract(model, None, examples, out=tmp_path, **options)


def test_a_lost_shard_of_a_sketch_is_made_again(tmp_path: Path) -> None:
    model, examples = toy_model("llama"), rows(random_examples(LENGTHS))
    whole = extract(model, None, examples, sketch=2, out=tmp_path, shard_size=2).sketches
    (tmp_path / "part-00001.parquet").unlink()
    again = extract(model, None, examples, sketch=2, out=tmp_path, shard_size=2).sketches
    assert np.array_equal(whole, again)


def test_sets_of_other_directions_do_not_merge() -> None:
    model, examples = toy_model("llama"), rows(random_examples(LENGTHS))
    one = extract(model, None, examples[:2], sketch=2)
    merged = one.merge(extract(model, None, examples[2:], sketch=2))
    assert error(merged.sketches, extract(model, None, examples, sketch=2).sketches) < FLOAT32
    for options in ({"sketch": 3}, {"sketch": 2, "sketch_seed": 1}, {}):
        with pytest.raises(InputError, match=r"cannot merge: sketch \(directions, seed\) is"):
            one.merge(extract(model, None, examples[2:], **options))


def test_a_set_without_sketches_says_how_to_get_them() -> None:
    found = extract(toy_model("llama"), None, rows(random_examples(LENGTHS)))
    assert found.directions == 0
    with pytest.raises(InputError, match=r"no head gradients: extract it with sketch=K \(--sketch K\)"):
        _ = found.sketches


def test_zero_directions_are_as_many_as_fit() -> None:
    found = extract(toy_model("llama"), None, rows(random_examples((5,))), sketch=0)
    _, layers, heads = found.shape
    assert found.directions == default_size(HeadMap((), layers, heads, {}))


def test_the_command_stores_sketches(tmp_path: Path) -> None:
    toy_model("llama").save_pretrained(tmp_path / "model")
    toy_tokenizer().save_pretrained(tmp_path / "model")
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows(random_examples(LENGTHS))))
    code = run(["extract", str(tmp_path / "model"), str(data), "--out", str(tmp_path / "set"), "--sketch", "3"])
    assert code == 0
    assert PatternSet.load(tmp_path / "set").sketches.shape[-1] == 3


@given(hnp.arrays(np.float32, (2, 2, 3, 4), elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_half_precision_with_an_exponent_for_each_head(sketch: np.ndarray) -> None:
    back = from_half(*to_half(sketch))
    largest = np.abs(sketch).max(axis=-1, keepdims=True)
    assert (np.abs(back - sketch) <= 2**-11 * largest + 2.0**-110).all()


def test_a_layer_without_attention_stays_nan() -> None:
    sketch = np.full((1, 2, 2, 3), np.nan, np.float32)
    sketch[:, 0] = np.random.default_rng(0).standard_normal((1, 2, 3))
    back = from_half(*to_half(sketch))
    assert np.isnan(back[:, 1]).all()
    assert np.isfinite(back[:, 0]).all()
