"""Training some heads alone: against a plain loop, frozen to the bit, masked adapters, and which heads are meant."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import TrainerCallback

from headprint.base.errors import InputError
from headprint.models import load_model
from headprint.patterns import Pattern, PatternSet
from headprint.training import train
from headprint.training.heads import chosen_heads, slices_of, training_only
from headprint.training.run_directory import read_config
from support.toy_models import VOCAB, toy_model
from support.toy_tokenizers import toy_tokenizer
from support.training import ROWS, same, weights

SFT = {"max_steps": 4, "per_device_train_batch_size": 3, "learning_rate": 1e-2, "weight_decay": 0.1}
DIM, HEADS, SHARED = 8, 4, 2  # of the toy Llama: 3 layers


def plain_mask(name: str, parameter: torch.Tensor, heads: list[tuple[int, int]]) -> torch.Tensor:
    """Which numbers of a toy Llama belong to some heads, one by one."""
    mask = torch.zeros_like(parameter, dtype=torch.bool)
    for layer, head in heads:
        if f".{layer}.self_attn." not in name or "norm" in name:
            continue
        for feature in range(DIM):
            if "q_proj" in name:
                mask[head * DIM + feature] = True
            elif "k_proj" in name or "v_proj" in name:
                mask[head // (HEADS // SHARED) * DIM + feature] = True
            elif "o_proj" in name:
                mask[:, head * DIM + feature] = True
    return mask


def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    ids = torch.randint(3, VOCAB, (2, 9), generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    model(input_ids=ids, labels=ids).loss.backward()


def test_steps_are_those_of_a_loop_that_freezes_number_by_number(in_float64) -> None:
    heads = [(0, 3), (2, 0), (2, 1)]
    ours = toy_model("llama", dtype=torch.float64)
    plain = copy.deepcopy(ours)
    before = weights(plain)
    with training_only(ours, slices_of(ours, heads)) as putting_back:
        trained = [parameter for parameter in ours.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.3)
        for seed in range(4):
            step(ours, optimizer, seed)
            optimizer.step()
            putting_back.on_optimizer_step()
    assert len(trained) == 8
    assert all(parameter.requires_grad for parameter in ours.parameters())
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-2, weight_decay=0.3)
    masks = {name: plain_mask(name, parameter, heads) for name, parameter in plain.named_parameters()}
    for seed in range(4):
        step(plain, optimizer, seed)
        for name, parameter in plain.named_parameters():
            parameter.grad *= masks[name]
        optimizer.step()
        with torch.no_grad():
            for name, parameter in plain.named_parameters():
                for at in (~masks[name]).nonzero().tolist():
                    parameter[tuple(at)] = before[name][tuple(at)]
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter, plain.get_parameter(name), rtol=0, atol=1e-12)
        assert torch.equal(parameter[~masks[name]], before[name][~masks[name]])
        assert (parameter != before[name])[masks[name]].all()


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_frozen_weights_stay_equal_to_the_bit_under_weight_decay(tmp_path: Path, family: str) -> None:
    model = toy_model(family)
    before = weights(model)
    train(model, ROWS, tmp_path / "run", tokenizer=toy_tokenizer(), sft=SFT, heads="1.2")
    after = weights(model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    if family == "llama":
        assert {name.split(".self_attn.")[1] for name in changed} == {f"{x}_proj.weight" for x in "qkvo"}
        for name in changed:
            mask = plain_mask(name, before[name], [(1, 2)])
            assert torch.equal((after[name] != before[name]) | ~mask, torch.ones_like(mask))
            assert torch.equal(before[name][~mask], after[name][~mask])
    else:  # the fused projection of a Conv1D, its bias included: queries, keys and values of the third of 4 heads
        assert changed == {f"transformer.h.1.attn.{name}" for name in ("c_attn.weight", "c_attn.bias", "c_proj.weight")}
        moved = (after["transformer.h.1.attn.c_attn.weight"] != before["transformer.h.1.attn.c_attn.weight"]).any(0)
        assert moved.nonzero().flatten().tolist() == [32 * part + 16 + i for part in range(3) for i in range(8)]


def test_an_adapter_changes_the_chosen_heads_alone(tmp_path: Path) -> None:
    model = toy_model("llama")
    before = weights(model)
    result = train(
        model, ROWS, tmp_path / "run", tokenizer=toy_tokenizer(), sft=SFT, lora={"r": 3}, heads=[(1, 2), (1, 3), "2.0"]
    )
    merged = weights(result.model.merge_and_unload())
    assert merged.keys() == before.keys()
    moved = 0
    for name, weight in merged.items():
        mask = plain_mask(name, weight, [(1, 2), (1, 3), (2, 0)])
        assert torch.equal(weight[~mask], before[name][~mask])
        moved += int((weight != before[name]).sum())
        assert bool(mask.any()) == (not torch.equal(weight, before[name]))
    assert moved > 0


class Kill(TrainerCallback):
    def on_step_begin(self, args, state, control, **_):
        if state.global_step == 3:
            raise KeyboardInterrupt


@pytest.mark.parametrize("lora", [None, {"r": 3}])
def test_a_stopped_run_goes_on_with_the_same_heads(tmp_path: Path, lora) -> None:
    directory = tmp_path / "toy"
    toy_model("llama").save_pretrained(directory)
    toy_tokenizer().save_pretrained(directory)
    given = {"sft": {**SFT, "save_steps": 2}, "heads": "top:17%", "lora": lora}
    ranking = Pattern(np.arange(12.0).reshape(3, 4))
    whole = train(str(directory), ROWS, tmp_path / "whole", heads_from=ranking, **given)
    assert read_config(tmp_path / "whole/config.yaml")["heads"] == ["2.2", "2.3"]
    with pytest.raises(KeyboardInterrupt):
        train(str(directory), ROWS, tmp_path / "run", heads_from=ranking, **given, callbacks=[Kill()])
    with pytest.raises(InputError, match="heads"):
        train(str(directory), ROWS, tmp_path / "run", **{**given, "heads": "2.1"}, resume=True)
    resumed = train(str(directory), ROWS, tmp_path / "run", **{**given, "heads": ["2.2", "2.3"]}, resume=True)
    assert same(weights(resumed.model), weights(whole.model))
    if lora is None:
        start = weights(load_model(str(directory), dtype="float32")[0])
        for name, weight in weights(resumed.model).items():
            mask = plain_mask(name, weight, [(2, 2), (2, 3)])
            assert torch.equal(weight[~mask], start[name][~mask])


def test_which_heads_are_meant(tmp_path: Path) -> None:
    values = np.random.default_rng(0).permutation(20).reshape(4, 5) - 12.0
    values[3] = np.nan
    change = Pattern(values, kind="change")
    by_size = sorted((-abs(values[at]), at) for at in np.ndindex(3, 5))
    assert chosen_heads("top:3", change) == sorted(at for _, at in by_size[:3])
    assert chosen_heads("top:20%", change) == chosen_heads("top:3", change)
    change.save(tmp_path / "change.safetensors")
    assert chosen_heads("top:1%", tmp_path / "change.safetensors") == [by_size[0][1]]
    (tmp_path / "heads.json").write_text(json.dumps({"heads": [[2, 1], "0.3", [2, 1]]}))
    assert chosen_heads(str(tmp_path / "heads.json")) == [(0, 3), (2, 1)]
    assert chosen_heads("2.1, 0.3") == chosen_heads([(2, 1), "0.3"]) == [(0, 3), (2, 1)]


def test_random_heads_are_others_of_the_same_layers() -> None:
    pattern = Pattern(np.arange(20.0).reshape(4, 5)[::-1] ** 2)
    top = chosen_heads("top:30%", pattern)
    assert [layer for layer, _ in top] == [0] * 5 + [1]
    draws = [chosen_heads("random:30%", pattern, seed=seed) for seed in range(30)]
    assert all([layer for layer, _ in heads] == [layer for layer, _ in top] for heads in draws)
    assert {heads[-1] for heads in draws} == {(1, head) for head in range(4)}  # layer 0 has no others
    assert chosen_heads("random:30%", pattern, seed=3) == draws[3]


def test_a_set_with_sketches_ranks_by_its_mean_head_gradient() -> None:
    rng = np.random.default_rng(0)
    sketches = rng.standard_normal((6, 2, 3, 4)).astype(np.float32)
    levels = rng.standard_normal((6, 2, 3))
    ids = [str(row) for row in range(6)]
    sets = PatternSet(levels, ids, np.ones(6), np.ones(6), {}, sketches)
    gain = {
        at: np.sqrt(sum(sketches[(slice(None), *at, k)].astype(float).sum() ** 2 for k in range(4)))
        for at in np.ndindex(2, 3)
    }
    assert chosen_heads("top:2", sets) == sorted(sorted(gain, key=gain.get)[-2:])
    bare = PatternSet(levels, ids, np.ones(6), np.ones(6))
    assert chosen_heads("top:2", bare) == sorted((head.layer, head.head) for head in bare.pattern().top(2))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"heads": "top:10%"}, r"top:10% needs a ranking of heads.*--heads-from"),
        ({"heads": "best"}, "'best' is not a head: write top:10%"),
        ({"heads": []}, "names no heads"),
        ({"heads": "top:0", "heads_from": Pattern(np.ones((3, 4)))}, "top:0 of 12 heads: choose 1 to 12"),
        ({"heads": "top:2.5", "heads_from": Pattern(np.ones((3, 4)))}, "top:2.5 of 12 heads"),
        ({"heads": "random:13", "heads_from": Pattern(np.ones((3, 4)))}, "random:13 of 12 heads"),
        ({"heads": "1.4"}, r"there is no attention head 1.4: the model has 3 layers of up to 4 heads"),
        ({"heads_from": Pattern(np.ones((3, 4)))}, "none are asked for"),
        ({"heads": "1.1", "lora": {"use_dora": True}}, "an adapter with use_dora=True changes more"),
        ({"heads": "1.1", "lora": {"target_modules": ["q_proj"]}}, "leave out target_modules"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(tmp_path: Path, given, message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(toy_model("llama"), ROWS, tmp_path / "run", tokenizer=toy_tokenizer(), sft=SFT, **given)
    assert not (tmp_path / "run").exists()
