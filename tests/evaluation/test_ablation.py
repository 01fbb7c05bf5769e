"""Heads switched off, against weights whose columns are zeroed by hand, row by row."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import headprint
from headprint.base.errors import InputError
from headprint.base.options import AblateOptions
from headprint.evaluation import ablate
from headprint.evaluation.ablation import RANDOM, Ablation, Trial
from headprint.patterns.pattern import Pattern
from support.numerics import FLOAT32, FLOAT64, error
from support.plain import losses as plain_losses
from support.plain import plain_means, random_examples, rows, some_heads, without
from support.toy_models import toy_model
from support.toy_rows import small, text_rows
from support.toy_tokenizers import toy_tokenizer

LENGTHS = [5, 17, 9, 12, 30, 8]
FAMILIES = ("llama", "gpt2", "gpt_neox", "deepseek_v3", "gemma3_text", "bamba")
"""Grouped queries, a Conv1D, another name, latent attention (MLA), windows, a hybrid with layers without heads."""


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
    from headprint.measure.likelihood import HeldOut

    runs = []
    own = HeldOut.losses
    monkeypatch.setattr(HeldOut, "losses", lambda self: runs.append(1) or own(self))
    rankings = {"a": [(0, 0), (1, 1)], "b": [(1, 1), (0, 0)]}
    study = ablate(toy_model("llama"), None, rows(random_examples([5, 6])), rankings=rankings, ks=(2,), random=0)
    assert len(runs) == 2  # intact, and the pair
    assert study.rise("a", 2) == study.rise("b", 2)


def test_answers_are_scored_for_rankings_and_some_draws() -> None:
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
