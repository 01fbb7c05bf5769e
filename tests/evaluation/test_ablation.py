"""Heads switched off, against weights whose columns are zeroed by hand, row by row."""

from __future__ import annotations

import copy
import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import headprint
from headprint import models
from headprint.base.errors import InputError
from headprint.base.options import AblateOptions
from headprint.cli.app import run
from headprint.evaluation import ablate, ablate_heads, head_means
from headprint.evaluation.ablation import RANDOM, Ablation, Trial
from headprint.models.heads import locate
from headprint.patterns.pattern import Pattern
from support.numerics import FLOAT32, FLOAT64, error
from support.plain import losses as plain_losses
from support.plain import random_examples, rows
from support.toy_models import toy_model
from support.toy_rows import small, text_rows
from support.toy_tokenizers import toy_tokenizer

LENGTHS = [5, 17, 9, 12, 30, 8]
FAMILIES = ("llama", "gpt2", "gpt_neox", "deepseek_v3", "gemma3_text", "bamba")
"""Grouped queries, a Conv1D, another name, latent attention (MLA), windows, a hybrid with layers without heads."""


def without(model: nn.Module, off, means=None) -> nn.Module:
    """A copy whose projections do not see some heads: their columns are zero, their means go into the bias."""
    model = copy.deepcopy(model)
    sites = {site.layer: site for site in locate(model).sites}
    for layer, head in off:
        site = sites[layer]
        module = site.module
        slice_ = slice(head * site.head_dim, (head + 1) * site.head_dim)
        conv = type(module).__name__ == "Conv1D"
        with torch.no_grad():
            weight = module.weight.T if conv else module.weight
            if means is not None:
                constant = weight[:, slice_] @ torch.from_numpy(means[layer, head, : site.head_dim]).to(weight)
                bias = constant if module.bias is None else module.bias + constant
                module.bias = nn.Parameter(bias)
            weight[:, slice_] = 0
    return model


def plain_means(model: nn.Module, examples) -> np.ndarray:
    """Mean z by plain hooks, one row at a time, over all tokens."""
    heads = locate(model)
    seen: dict[int, list[torch.Tensor]] = {site.layer: [] for site in heads.sites}
    with ExitStack() as undo, torch.no_grad():
        for site in heads.sites:
            keep = seen[site.layer].append
            hook = site.module.register_forward_pre_hook(lambda _, args, keep=keep: keep(args[0][0].clone()))
            undo.callback(hook.remove)
        for example in examples:
            model(input_ids=torch.tensor([example.input_ids]))
    means = np.full((heads.layers, heads.heads, max(site.head_dim for site in heads.sites)), np.nan)
    for site in heads.sites:
        mean = torch.cat(seen[site.layer]).mean(0).reshape(site.heads, site.head_dim)
        means[site.layer, : site.heads, : site.head_dim] = mean.numpy()
    return means


def some_heads(model: nn.Module, count: int, seed: int = 0) -> list[tuple[int, int]]:
    everything = [(site.layer, head) for site in locate(model).sites for head in range(site.heads)]
    chosen = np.random.default_rng(seed).permutation(len(everything))[:count]
    return [everything[i] for i in chosen]


@pytest.mark.parametrize("mode", ["zero", "mean"])
@pytest.mark.parametrize("family", FAMILIES)
def test_losses_are_those_of_zeroed_columns(family, mode, in_float64) -> None:
    model = toy_model(family, dtype=torch.float64)
    examples = random_examples(LENGTHS)
    order = some_heads(model, 4)
    means = plain_means(model, examples) if mode == "mean" else None
    study = ablate(
        model, None, rows(examples), rankings={"these": order}, ks=(1, 3), mode=mode, random=3, batch_tokens=40
    )
    intact = plain_losses(model, examples)
    assert error(study.intact.losses, intact) <= FLOAT64
    for k in (1, 3):
        (trial,) = study.of("these", k)
        assert trial.heads == tuple(order[:k])
        for one in (trial, *study.of(RANDOM, k)):
            wanted = plain_losses(without(model, one.heads, means), examples)
            assert error(one.losses, wanted) <= FLOAT64
            assert float((wanted - intact).abs().max()) > 1e-4  # they do something
    np.testing.assert_array_equal(plain_losses(model, examples), intact)  # and are on again


@pytest.mark.parametrize("family", ["llama", "deepseek_v3", "bamba"])
def test_means_are_over_tokens_and_not_padding(family, in_float64) -> None:
    model = toy_model(family, dtype=torch.float64)
    examples = random_examples(LENGTHS)
    found = head_means(model, None, rows(examples), batch_tokens=70)
    assert error(found, plain_means(model, examples)) <= FLOAT64


def test_gradients_and_generation_see_what_is_switched_off(in_float64) -> None:
    model, tokenizer = small(), toy_tokenizer()
    off = some_heads(model, 5)
    ids = torch.randint(3, 400, (2, 11), generator=torch.Generator().manual_seed(0))
    reference = without(model, off)
    with ablate_heads(model, off):
        logits = model(input_ids=ids).logits
        logits.square().sum().backward()
        outputs = [
            x.output
            for x in headprint.evaluate(model, tokenizer, text_rows(4), scorer="exact", max_new_tokens=12).results
        ]
    wanted = reference(input_ids=ids).logits
    wanted.square().sum().backward()
    assert error(logits, wanted) <= FLOAT64
    assert error(model.model.embed_tokens.weight.grad, reference.model.embed_tokens.weight.grad) <= FLOAT64
    answers = headprint.evaluate(reference, tokenizer, text_rows(4), scorer="exact", max_new_tokens=12)
    assert outputs == [x.output for x in answers.results]
    again = headprint.evaluate(model, tokenizer, text_rows(4), scorer="exact", max_new_tokens=12)
    assert outputs != [x.output for x in again.results]


def test_hooks_are_gone_also_after_an_error() -> None:
    model = toy_model("llama")

    def hooks() -> int:
        return sum(len(module._forward_pre_hooks) for module in model.modules())

    def fail_inside() -> None:
        with ablate_heads(model, [(0, 1), (2, 0)]):
            assert hooks() == 2
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail_inside()
    assert hooks() == 0
    head_means(model, None, rows(random_examples([5, 6])))
    assert hooks() == 0


def test_what_top_gives_names_heads_and_peft_and_lower_precision_are_fine() -> None:
    peft = pytest.importorskip("peft")
    examples = random_examples(LENGTHS)
    model = toy_model("llama")
    values = np.random.default_rng(0).normal(size=(3, 4))
    top = Pattern(values, kind="change").top(3, by="absolute")
    wanted = plain_losses(without(model, [(head.layer, head.head) for head in top]), examples).numpy()
    wrapped = peft.get_peft_model(copy.deepcopy(model), peft.LoraConfig(target_modules=["o_proj", "q_proj"]))
    study = ablate(wrapped, None, rows(examples), rankings={"changed": top}, ks=(3,), random=0)
    assert error(study.of("changed", 3)[0].losses, wanted) <= FLOAT32
    low = ablate(model.to(torch.bfloat16), None, rows(examples), rankings={"changed": top}, ks=(3,), random=0)
    np.testing.assert_allclose(low.of("changed", 3)[0].losses, wanted, rtol=0.05)


def test_draws_are_seeded_of_all_heads_and_do_not_depend_on_the_other_ks() -> None:
    model, data = toy_model("llama"), rows(random_examples([5, 6]))

    def drawn(k: int, **options) -> list[tuple[tuple[int, int], ...]]:
        study = ablate(model, None, data, rankings={}, **options)
        return [trial.heads for trial in study.of(RANDOM, k)]

    both = drawn(2, ks=(1, 2), random=99)
    assert both == drawn(2, ks=(2,), random=99)
    assert both[:5] == drawn(2, ks=(2,), random=5)
    assert both != drawn(2, ks=(2,), random=99, seed=1)
    assert all(len(set(heads)) == 2 for heads in both)
    assert {head for heads in both for head in heads} == {(layer, head) for layer in range(3) for head in range(4)}


def test_draws_of_the_same_layers_have_as_many_of_each() -> None:
    model, data = toy_model("llama"), rows(random_examples([5, 6]))
    rankings = {"a": [(0, 0), (2, 1), (0, 3), (1, 1)], "b": [(1, 0), (1, 1), (1, 2), (1, 3)]}
    study = ablate(model, None, data, rankings=rankings, ks=(3,), random=2, layer_matched=40)
    drawn = [trial.heads for trial in study.of("random:a", 3)]
    assert all(len(set(heads)) == 3 and [layer for layer, _ in heads] == [0, 0, 2] for heads in drawn)
    assert {head for heads in drawn for head in heads} == {(layer, head) for layer in (0, 2) for head in range(4)}
    assert all({layer for layer, _ in trial.heads} == {1} for trial in study.of("random:b", 3))
    own = study.of("a", 3)[0].losses.mean()
    hurt = sum(trial.losses.mean() >= own for trial in study.of("random:a", 3))
    assert study.p_value("a", 3, among="random:a") == pytest.approx((1 + hurt) / 41)
    table = {(row["ranking"], row["k"]): row for row in study.to_dict()["rows"]}
    assert table["a", 3]["p_value_layer_matched"] == study.p_value("a", 3, among="random:a")
    assert table["random:a", 3]["p_value"] is None
    assert table["random:a", 3]["draws"] == 40


def test_the_same_heads_are_run_once(monkeypatch) -> None:
    from headprint.evaluation.likelihood import HeldOut

    runs = []
    own = HeldOut.losses
    monkeypatch.setattr(HeldOut, "losses", lambda self: runs.append(1) or own(self))
    rankings = {"a": [(0, 0), (1, 1)], "b": [(1, 1), (0, 0)]}
    study = ablate(toy_model("llama"), None, rows(random_examples([5, 6])), rankings=rankings, ks=(2,), random=0)
    assert len(runs) == 2  # intact, and the pair
    assert study.rise("a", 2) == study.rise("b", 2)


def test_accuracy_is_asked_of_orders_and_some_draws() -> None:
    model, tokenizer, data = small("llama", torch.float32), toy_tokenizer(), text_rows(6)
    asked = []

    def short(row, output):
        asked.append(row["id"])
        return len(output) % 2 == 0

    order = some_heads(model, 4)
    study = ablate(
        model, tokenizer, data, rankings={"these": order}, ks=(4,), random=5, scorer=short, scored_draws=2,
        max_new_tokens=5,
    )  # fmt: skip
    assert len(asked) == 6 * (1 + 1 + 2)
    assert [trial.right is not None for trial in study.of(RANDOM, 4)] == [True, True, False, False, False]
    wanted = headprint.evaluate(without(model, order), tokenizer, data, scorer=short, max_new_tokens=5)
    assert study.of("these", 4)[0].right.tolist() == [x.right for x in wanted.results]
    change = study.accuracy_change("these", 4)
    assert change.value == pytest.approx(wanted.accuracy - study.intact.right.mean())
    assert study.to_dict()["intact"]["accuracy"]["value"] == pytest.approx(study.intact.right.mean())


def test_statistics_by_hand() -> None:
    intact = Trial("intact", (), np.array([1.0, 2.0, 3.0]))
    own = Trial("active", ((0, 0),), np.array([2.0, 2.0, 6.0]))  # rises 1, 0, 3
    draws = [Trial(RANDOM, ((0, i),), intact.losses + rise) for i, rise in enumerate([0.0, 0.5, 1.5, 2.0])]
    study = Ablation(intact, [own, *draws], "zero", 12)
    rise = study.rise("active", 1)
    half = 4.302652729911275 * np.std([1, 0, 3], ddof=1) / 3**0.5
    assert (rise.value, rise.low, rise.high) == pytest.approx((4 / 3, 4 / 3 - half, 4 / 3 + half))
    spread = study.rise(RANDOM, 1)
    assert (spread.value, spread.low, spread.high) == pytest.approx((1.0, 0.0375, 1.9625))
    assert study.p_value("active", 1) == pytest.approx((1 + 2) / (1 + 4))  # 1.5 and 2 hurt at least as much as 4/3
    assert study.p_value(RANDOM, 1) is None
    assert study.accuracy_change("active", 1) is None
    table = study.to_dict()
    assert [(row["ranking"], row["k"], row["draws"]) for row in table["rows"]] == [("active", 1, 1), (RANDOM, 1, 4)]
    assert table["rows"][0]["p_value"] == pytest.approx(0.6)
    assert table["trials"][0] == {
        "ranking": "active",
        "heads": [[0, 0]],
        "loss": pytest.approx(10 / 3),
        "accuracy": None,
    }
    with pytest.raises(InputError, match="'changed' with 1 heads was not tried; choose from active 1, random 1"):
        study.rise("changed", 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rankings": {"x": [(3, 0)]}}, "the model has no layer 3 head 0: it has 3 layers of up to 4 heads"),
        ({"rankings": {"x": [(0, -1)]}}, "no layer 0 head -1"),
        ({"rankings": {"x": [(0, 1), (0, 1)]}}, "layer 0 head 1 is named twice"),
        ({"rankings": {"x": [(0, 1)]}, "ks": (2,)}, "the ranking 'x' has 1 heads, and 2 are to be switched off"),
        ({"rankings": {"random": [(0, 1)]}}, "cannot be called 'random'"),
        ({"rankings": {"random:x": [(0, 1)]}}, "cannot be called 'random:x'"),
        ({"rankings": {}, "ks": (13,)}, r"the numbers of heads are \[13\], and the model has 12 heads"),
        ({"rankings": {}, "ks": (0,)}, "they must be 1 or more"),
        ({"rankings": {}, "random": -1}, "random is -1: it has to be at least 0"),
        ({"rankings": {}, "mode": "half"}, "mode is 'half': choose from zero, mean"),
        (
            {"rankings": {}, "mode": "mean", "means": np.zeros((2, 2, 2))},
            r"means of shape \(3, 4, 8\), and those given are",
        ),
        ({"rankings": {}, "scorer": "exakt"}, "unknown scorer 'exakt'"),
        ({"rankings": {}, "confidence": 1}, "confidence is 1: it has to be between 0 and 1"),
        ({"rankings": {}, "randm": 1}, "there is no option 'randm': did you mean 'random'"),
        ({"rankings": {"x": Pattern(np.ones((4, 3)))}}, "'x' is a pattern of 4 layers of 3 heads, and the model has 3"),
    ],
)
def test_wrong_input_is_one_clear_line(options, said) -> None:
    with pytest.raises(InputError, match=said):
        ablate(toy_model("llama"), None, rows(random_examples([5, 6])), **{"ks": (1,), "random": 1, **options})


def test_patterns_rank_heads_and_options_come_in_one_object() -> None:
    model, data = toy_model("llama"), rows(random_examples([5, 6]))
    rng = np.random.default_rng(0)
    pattern, change = Pattern(rng.random((3, 4))), Pattern(rng.normal(size=(3, 4)), kind="change")
    tops = {"active": pattern.top(3), "changed": change.top(3, by="absolute")}
    options = AblateOptions(random=2, layer_matched=1, seed=4)
    wanted = ablate(model, None, data, rankings=tops, ks=(1, 3), random=2, layer_matched=1, seed=4).to_dict()
    patterns = {"active": pattern, "changed": change}
    assert ablate(model, None, data, rankings=patterns, ks=(1, 3), options=options).to_dict() == wanted


def test_layers_without_heads_cannot_be_switched_off_and_say_why() -> None:
    model = toy_model("bamba")
    layer = next(iter(locate(model).absent))
    with (
        pytest.raises(InputError, match=rf"layer {layer} head 0: the layer has no heads of its own: "),
        ablate_heads(model, [(layer, 0)]),
    ):
        pass
    with (
        pytest.raises(InputError, match="and none were given: take head_means"),
        ablate_heads(model, [(1, 0)], mode="mean"),
    ):
        pass


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A toy model in a directory, rows in a file, a pattern and a change."""
    folder = tmp_path_factory.mktemp("ablate")
    small("llama", torch.float32).save_pretrained(folder / "model")
    toy_tokenizer().save_pretrained(folder / "model")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in text_rows(6)))
    rng = np.random.default_rng(0)
    Pattern(rng.random((3, 4))).save(folder / "pattern.safetensors")
    Pattern(rng.normal(size=(3, 4)), kind="change").save(folder / "change.safetensors")
    return folder


def test_the_command_gives_what_the_function_does(saved, capsys, monkeypatch) -> None:
    monkeypatch.chdir(saved)
    pattern, change = headprint.load("pattern.safetensors"), headprint.load("change.safetensors")
    model, tokenizer = models.load_model("model")
    rankings = {"active": pattern.top(3), "changed": change.top(3, by="absolute")}
    wanted = ablate(model, tokenizer, "rows.jsonl", rankings=rankings, ks=(1, 3), mode="mean", random=4, seed=5)
    command = ["ablate", "model", "rows.jsonl", "--pattern", "pattern.safetensors", "--change", "change.safetensors"]
    command += ["-k", "1,3", "--mode", "mean", "--random", "4", "--seed", "5", "--out", "ablation.json"]
    capsys.readouterr()
    assert run([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert json.loads(Path("ablation.json").read_text()) == found
    for ours, theirs in zip(found["rows"], wanted.to_dict()["rows"], strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"])
        assert (ours["ranking"], ours["k"], ours["p_value"]) == (theirs["ranking"], theirs["k"], theirs["p_value"])
    assert run([*command, "--scorer", "final", "--max-new-tokens", "3", "--layer-matched", "2"]) == 0
    shown = capsys.readouterr().out
    assert "all 12 heads on: loss" in shown
    assert "over draws (2, 4)" in " ".join(shown.split())
    assert "random:active" in shown
    assert "accuracy" in shown


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "say which heads: --pattern for the most active"),
        (["--pattern", "change.safetensors"], "is a change, and --pattern needs a pattern"),
        (["--change", "pattern.safetensors"], "is a pattern, and --change needs a change"),
        (["--pattern", "gone.safetensors"], "gone.safetensors"),
        (["--pattern", "pattern.safetensors", "-k", "one"], "-k is 'one'; give numbers of heads, such as 1,2,4,8"),
        (["--pattern", "pattern.safetensors", "-k", "0"], "-k is '0'"),
        (["--pattern", "pattern.safetensors", "--out", "gone/x.json"], "gone is not a directory: make it"),
        (["--pattern", "pattern.safetensors", "--scorer", "exakt"], "unknown scorer 'exakt': did you mean 'exact'?"),
        (["--pattern", "pattern.safetensors", "-k", "13"], "the numbers of heads are [13], and the model has 12 heads"),
    ],
)
def test_the_commands_mistakes_are_one_line_and_exit_code_2(saved, capsys, monkeypatch, options, said) -> None:
    monkeypatch.chdir(saved)
    assert run(["ablate", "model", "rows.jsonl", *options]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Two models of one shape and one of another, saved with the patterns that were measured on each."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in text_rows(4)))
    torch.manual_seed(0)
    for name, extra in (("base", {}), ("tuned", {}), ("deeper", {"num_hidden_layers": 4})):
        model = small("llama", torch.float32, **extra)
        if name == "tuned":
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.01 * torch.randn_like(parameter))
        model.save_pretrained(folder / name)
        toy_tokenizer().save_pretrained(folder / name)
        loaded, tokenizer = models.load_model(str(folder / name))
        headprint.extract(loaded, tokenizer, folder / "rows.jsonl").pattern().save(folder / f"{name}.safetensors")
    change = headprint.load(folder / "tuned.safetensors") - headprint.load(folder / "base.safetensors")
    change.save(folder / "change.safetensors")
    (change / headprint.load(folder / "base.safetensors")).save(folder / "relative.safetensors")
    return folder


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("tuned", ["--pattern", "tuned.safetensors"], None),
        ("base", ["--change", "change.safetensors"], None),
        ("tuned", ["--pattern", "tuned.safetensors", "--change", "relative.safetensors"], None),
        ("tuned", ["--pattern", "tuned.safetensors", "--dtype", "bfloat16"], None),
        ("tuned", ["--pattern", "base.safetensors"], "the ranking 'active' is a pattern of other weights"),
        ("tuned", ["--pattern", "base.safetensors", "--dtype", "bfloat16"], "of other weights"),
        ("tuned", ["--pattern", "base.safetensors", "--other-model"], None),
        ("deeper", ["--change", "change.safetensors"], "a change of 3 layers of 4 heads, and the model has 4 layers"),
        ("base", ["--pattern", "deeper.safetensors", "--other-model"], "a pattern of 4 layers of 4 heads"),
    ],
)
def test_patterns_of_another_model_are_refused(measured, capsys, monkeypatch, model, options, said) -> None:
    monkeypatch.chdir(measured)
    command = ["ablate", str(measured / model), "rows.jsonl", "-k", "2", "--random", "2", *options]
    assert run(command) == (2 if said else 0)
    printed = capsys.readouterr()
    if said:
        assert said in printed.err.strip().splitlines()[-1]
    else:
        assert "all 12 heads on" in printed.out
