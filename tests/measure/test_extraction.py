"""Extraction: order, budgets, shards, resume, the authors' mode, and what is refused."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch

from headprint import models
from headprint.base.errors import InputError
from headprint.base.options import ExtractOptions
from headprint.lab import task_rows
from headprint.measure import benchmark as bench
from headprint.measure.batching import collate
from headprint.measure.extraction import extract
from headprint.models.heads import locate
from headprint.patterns.pattern_set import PatternSet
from support.numerics import FLOAT32, STORED, error
from support.plain import losses, oracle, random_examples, rows
from support.toy_models import toy_model
from support.toy_tokenizers import toy_tokenizer

LENGTHS = (9, 14, 5, 11, 30, 7, 7, 12, 3, 21)


@pytest.fixture
def model(in_float64):
    """A model of the test's own, since some of them change its kernel and its flags; computed in float64."""
    return toy_model("llama", attention="sdpa", dtype=torch.float64)


@pytest.fixture(scope="module")
def examples():
    return random_examples(LENGTHS)


def test_levels_losses_and_ids_in_input_order(model, examples) -> None:
    found = extract(model, None, rows(examples), attn_implementation="eager", batch_tokens=40, shard_size=4)
    assert found.ids == [e.id for e in examples]
    assert error(found.values, oracle(model, examples)) <= STORED
    assert error(found.losses, losses(model, examples)) <= STORED
    assert found.tokens.tolist() == [sum(label != -100 for label in e.labels[1:]) for e in examples]


@pytest.mark.parametrize(
    "options", [{"batch_tokens": 1}, {"batch_tokens": 10_000}, {"batch_size": 3}, {"shard_size": 1}]
)
def test_no_batching_option_moves_a_level(model, examples, options) -> None:
    expected = extract(model, None, rows(examples)).values
    assert error(extract(model, None, rows(examples), **options).values, expected) <= STORED


def test_kernel_flags_and_mode_are_given_back_also_after_an_error(examples, monkeypatch) -> None:
    model = toy_model("llama", attention="sdpa")
    model.train()
    before = [p.requires_grad for p in model.parameters()]
    extract(model, None, rows(examples), attn_implementation="eager", checkpointing=True)
    monkeypatch.setattr(model.model.layers[2].mlp, "forward", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        extract(model, None, rows(examples), attn_implementation="eager", checkpointing=True, verify=False)
    monkeypatch.undo()
    assert model.config._attn_implementation == "sdpa"
    assert model.training
    assert [p.requires_grad for p in model.parameters()] == before
    assert all("forward" not in module.__dict__ for module in model.modules())


def test_the_authors_script_is_reproduced(model, examples) -> None:
    """Batches of 4 in input order, padded to one length, one mean per batch."""
    found = extract(model, None, rows(examples), loss="batch-mean")
    model.set_attn_implementation("eager")
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    recipe = []
    for start in range(0, len(examples), 4):
        four = examples[start : start + 4]
        recipe.append(bench.authors_recipe(model.eval(), bench.with_mask(collate(four, pad_to=48), four)))
    model.set_attn_implementation("sdpa")
    expected = torch.cat(recipe)
    assert error(found.values, expected) <= FLOAT32
    assert error(found.pattern().values, expected.abs().mean(0)) <= FLOAT32
    # It is not the per-example pattern: a mean over a batch weighs an example by its batch mates.
    assert error(found.pattern().values, extract(model, None, rows(examples)).pattern().values) > 0.05


def test_a_store_is_resumed_and_finished_shards_are_never_redone(model, examples, tmp_path, monkeypatch) -> None:
    from headprint.measure import engine

    run, done = engine.Engine.run, []

    def dies_on_the_third(self, chunk, advance):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append([e.id for e in chunk])
        return run(self, chunk, advance)

    expected = extract(model, None, rows(examples))
    monkeypatch.setattr(engine.Engine, "run", dies_on_the_third)
    with pytest.raises(KeyboardInterrupt):
        extract(model, None, rows(examples), out=tmp_path / "set", shard_size=3)
    with pytest.raises(InputError, match="unfinished"):
        PatternSet.load(tmp_path / "set")

    def counted(self, chunk, advance):
        done.append([e.id for e in chunk])
        return run(self, chunk, advance)

    monkeypatch.setattr(engine.Engine, "run", counted)
    found = extract(model, None, rows(examples), out=tmp_path / "set", shard_size=3)
    assert done == [["x0", "x1", "x2"], ["x3", "x4", "x5"], ["x6", "x7", "x8"], ["x9"]]
    assert found.ids == expected.ids
    assert np.array_equal(found.values, PatternSet.load(tmp_path / "set").values)
    assert error(found.values, expected.values) <= STORED


@pytest.mark.parametrize(
    ("change", "named"),
    [({"loss": "sum"}, "loss"), ({"max_length": 8}, "max_length"), ({"placement": "token"}, "placement"), ({}, "data")],
)
def test_a_resume_under_other_settings_or_data_is_refused(model, examples, tmp_path, change, named) -> None:
    extract(model, None, rows(examples), out=tmp_path / "set")
    other = rows(examples)
    if not change:
        other[3]["input_ids"] = [*other[3]["input_ids"][:-1], 7]
    with pytest.raises(InputError, match=named):
        extract(model, None, other, out=tmp_path / "set", **change)


def test_a_resume_with_another_model_is_refused(model, examples, tmp_path) -> None:
    extract(model, None, rows(examples), out=tmp_path / "set")
    other = toy_model("llama")
    with torch.no_grad():
        other.model.layers[1].mlp.up_proj.weight[0, 0] += 1
    with pytest.raises(InputError, match="weights"):
        extract(other, None, rows(examples), out=tmp_path / "set")


def test_what_became_of_the_rows_is_in_the_manifest(model, examples, tmp_path) -> None:
    extract(model, None, rows(examples), out=tmp_path / "set", max_length=10, overlong="drop")
    report = json.loads((tmp_path / "set" / "manifest.json").read_text())["report"]
    assert (report["read"], report["kept"], report["dropped_long"]) == (10, 5, 5)


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ({"placement": "batch"}, "placement is 'batch'"),
        ({"loss": "total"}, "loss is 'total'"),
        ({"batch_tokens": 0}, "batch_tokens is 0"),
        ({"attn_implementation": "flash_attention_9"}, "flash_attention_9"),
        ({"compute_dtype": "float8"}, "float8"),
        ({"max_length": 1}, "max_length"),
    ],
)
def test_wrong_options_are_named(model, examples, option, named) -> None:
    with pytest.raises(InputError, match=named):
        extract(model, None, rows(examples), **option)


def test_rows_that_the_model_cannot_read_are_refused_by_name(examples) -> None:
    model = toy_model("llama", max_position_embeddings=20)
    with pytest.raises(InputError, match=r"row 4: 30 tokens, .* context is 20"):
        extract(model, None, rows(examples))
    assert len(extract(model, None, rows(examples), max_length=20)) == len(examples)
    bad = [{"id": "a", "input_ids": [5, 9999], "labels": [-100, 5]}]
    with pytest.raises(InputError, match="9999"):
        extract(model, None, bad)


def test_a_model_by_its_name_is_loaded_after_the_checks(examples, tmp_path, monkeypatch) -> None:
    whole = toy_model("llama")
    whole.save_pretrained(tmp_path / "model")
    toy_tokenizer().save_pretrained(tmp_path / "model")
    named = extract(tmp_path / "model", None, rows(examples), dtype="float32", attn_implementation="eager")
    assert error(named.values, extract(whole, None, rows(examples)).values) <= FLOAT32
    assert named.provenance["kernel"] == "eager"
    with pytest.raises(InputError, match="dtype is for a model given by name"):
        extract(whole, None, rows(examples), dtype="float32")
    monkeypatch.setattr(models, "resolve", lambda *_, **__: pytest.fail("the model is loaded"))
    with pytest.raises(InputError, match=r"placement is 'tokens': .*did you mean 'token'"):
        extract("lab", None, rows(examples), placement="tokens")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        extract("lab", None, rows(examples), out=tmp_path / "other")
    with pytest.raises(InputError, match="nowhere"):
        extract("lab", None, str(tmp_path / "nowhere.jsonl"))


def test_options_come_as_an_object_or_as_keywords(model, examples) -> None:
    options = ExtractOptions(placement="none", loss="sum", batch_size=2)
    found = extract(model, None, rows(examples), options=options, placement="token")
    assert np.array_equal(found.values, extract(model, None, rows(examples), placement="token", loss="sum").values)
    assert (found.provenance["placement"], found.provenance["loss"]) == ("token", "sum")


def test_autocast_computes_in_lower_precision_and_leaves_the_weights(examples) -> None:
    model = toy_model("llama")
    wide, narrow = extract(model, None, rows(examples)), extract(model, None, rows(examples), compute_dtype="bfloat16")
    assert next(model.parameters()).dtype == torch.float32
    assert error(narrow.values, wide.values) > FLOAT32
    assert narrow.pattern().correlation(wide.pattern()) > 0.99
    assert (narrow.provenance["dtype"], narrow.provenance["compute_dtype"]) == ("float32", "bfloat16")


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "qwen3"])
def test_autocast_over_half_precision_weights_is_that_over_float32(family, examples) -> None:
    """The same weights, rounded, in two widths: a float32 residual stream does not ask for float32 matrices."""
    half = toy_model(family, dtype=torch.bfloat16)
    whole = copy.deepcopy(half).float()
    tensors = {name: (p.dtype, p.data_ptr()) for name, p in half.named_parameters()}
    found = extract(half, None, rows(examples), compute_dtype="bfloat16")
    expected, native, exact = (
        extract(whole, None, rows(examples), compute_dtype="bfloat16").values,
        extract(half, None, rows(examples)),
        extract(whole, None, rows(examples)).values,
    )

    assert error(found.values, expected) < 0.1 * error(native.values, exact)
    assert error(found.values, native.values) > 0
    assert found.provenance["model"]["weights"] == native.provenance["model"]["weights"]
    assert {name: (p.dtype, p.data_ptr()) for name, p in half.named_parameters()} == tensors
    assert not any(module._forward_hooks for module in half.modules())


def test_what_autocast_cannot_do_is_refused_and_left_as_it_was(examples) -> None:
    model = toy_model("dbrx", dtype=torch.bfloat16)
    with pytest.raises(InputError, match=r"DbrxForCausalLM does not compute in bfloat16 by autocast \(.*without"):
        extract(model, None, rows(examples), compute_dtype="bfloat16")
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert not any(module._forward_hooks for module in model.modules())
    for dtype in (torch.float64, torch.float16):
        with pytest.raises(InputError, match=r"weights are float\d\d: load it in float32 or bfloat16"):
            extract(toy_model("llama", dtype=dtype), None, rows(examples), compute_dtype="bfloat16")


@pytest.mark.slow
def test_ranks_of_the_shipped_models_pattern_hold_in_bfloat16() -> None:
    """On the task that is hardest to rank: five of its heads lie within 2 % of one another."""
    half = torch.randn(1, 1, 64, 32, dtype=torch.bfloat16)
    try:
        torch.nn.functional.scaled_dot_product_attention(half, half, half)
    except RuntimeError as error:  # PyTorch packs for AMX although ATEN_CPU_CAPABILITY forbids it
        pytest.skip(f"PyTorch has no bfloat16 attention under this processor setting: {error}")
    pool = task_rows("pool", "test", n=100)
    model, tokenizer = models.load_model("lab", dtype="float32", device="cpu")
    expected = extract(model, tokenizer, pool).pattern()
    model, tokenizer = models.load_model("lab", dtype="bfloat16", device="cpu")
    found = extract(model, tokenizer, pool, compute_dtype="bfloat16").pattern()
    assert found.correlation(expected, "spearman") >= 0.999


def test_batches_are_told_of_with_their_real_tokens(model, examples, tmp_path) -> None:
    told = []
    for _ in range(2):  # the second finds everything done
        extract(model, None, rows(examples), out=tmp_path, batch_tokens=40, on_batch=lambda *one: told.append(one))
    assert sum(number for number, _ in told) == len(examples)
    assert sum(tokens for _, tokens in told) == sum(len(example.input_ids) for example in examples)


def test_layers_without_attention_are_nan_never_zero(examples) -> None:
    model = toy_model("minimax")
    found = extract(model, None, rows(examples))
    absent = list(locate(model).absent)
    assert absent
    assert np.isnan(found.values[:, absent]).all()
    assert np.isfinite(np.delete(found.values, absent, axis=1)).all()
