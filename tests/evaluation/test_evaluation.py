"""Evaluation as a whole: outcomes of rows, intervals, and what is refused before the model is asked."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import torch

import headprint
from headprint import lab, models
from headprint.analysis.intervals import mean_interval, wilson
from headprint.base import progress as bars
from headprint.base.errors import InputError
from headprint.data.rows import read_rows
from headprint.evaluation import head_means
from headprint.evaluation.evaluation import Evaluation, Outcome
from headprint.evaluation.scorers import SCORERS
from headprint.measure.likelihood import examples_of
from support.numerics import FLOAT32, error
from support.plain import losses as plain_losses
from support.toy_rows import WORDS, small, text_rows
from support.toy_tokenizers import PLAIN_CHAT, toy_tokenizer


def test_the_models_own_generation_settings_are_set_aside_and_left_as_they_were() -> None:
    model, tokenizer = small(), toy_tokenizer()
    rows = text_rows(5)
    plain = headprint.evaluate(model, tokenizer, rows, scorer="exact", max_new_tokens=8)
    model.generation_config.update(do_sample=True, temperature=5.0, repetition_penalty=3.0, max_length=40)
    own = model.generation_config
    before = own.to_dict()
    model.train()
    again = headprint.evaluate(model, tokenizer, rows, scorer="exact", max_new_tokens=8)
    assert [x.output for x in again.results] == [x.output for x in plain.results]
    assert model.generation_config is own
    assert own.to_dict() == before
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())

    def broken(row, output):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        headprint.evaluate(model, tokenizer, rows, scorer=broken, max_new_tokens=2)
    assert model.training
    assert model.generation_config is own


def test_a_custom_scorer_sees_row_and_output_and_results_are_in_order(tmp_path) -> None:
    model, tokenizer = small(), toy_tokenizer()
    rows = text_rows(9)
    seen = []

    def even(row, output):
        seen.append((row["id"], output))
        return int(row["id"][1:]) % 2 == 0

    found = headprint.evaluate(model, tokenizer, rows, scorer=even, max_new_tokens=4)
    assert [name for name, _ in seen] == [row["id"] for row in rows]
    assert found.accuracy == pytest.approx(5 / 9)
    assert found.scorer == "even"
    examples = examples_of(list(read_rows(rows)), tokenizer)
    assert error([x.loss for x in found.results], plain_losses(model, examples)) <= FLOAT32
    assert error([found.loss], plain_losses(model, examples).mean()[None]) <= FLOAT32
    found.write(tmp_path / "rows.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [(line["id"], line["output"]) for line in lines] == seen


def test_loss_alone_and_answers_alone() -> None:
    model, tokenizer = small(), toy_tokenizer()
    rows = text_rows(4)
    alone = headprint.evaluate(model, tokenizer, rows, scorer="none", limit=3)
    assert (alone.n, alone.accuracy, alone.interval()) == (3, None, None)
    assert alone.to_dict()["accuracy"] is None
    assert all(x.output is None and x.right is None for x in alone.results)
    for row in rows:
        del row["completion"]
    asked = headprint.evaluate(model, tokenizer, rows, scorer="final", loss=False, max_new_tokens=3)
    assert asked.loss is None
    assert asked.loss_interval() is None
    pre = [{"input_ids": [3, 4, 5, 6], "labels": [-100, 4, 5, 6]}]
    assert headprint.evaluate(model, None, pre, scorer="none").loss > 0


def test_intervals_by_hand() -> None:
    # Wilson (1927) of 8 in 10: centre (p + z²/2n) / (1 + z²/n), half z·sqrt(p(1-p)/n + z²/4n²) / (1 + z²/n).
    z = 1.959963984540054
    centre, half = (0.8 + z**2 / 20) / (1 + z**2 / 10), z * (0.8 * 0.2 / 10 + z**2 / 400) ** 0.5 / (1 + z**2 / 10)
    found = wilson(8, 10)
    assert (found.value, found.low, found.high) == pytest.approx((0.8, centre - half, centre + half))
    assert wilson(0, 20).low == 0 < wilson(0, 20).high
    found = mean_interval([1.0, 2.0, 4.0])  # s = 1.5275, t = 4.3027
    assert (found.value, found.low, found.high) == pytest.approx((7 / 3, -1.4613, 6.1279), abs=1e-3)
    assert np.isnan(mean_interval([3.0]).low)
    outcomes = [Outcome(str(i), output="x", right=i < 8, loss=float(i)) for i in range(10)]
    result = Evaluation("exact", outcomes).to_dict()
    assert result["accuracy"]["low"] == pytest.approx(centre - half)
    assert result["loss"]["value"] == pytest.approx(4.5)


def test_progress_counts_every_row_twice(monkeypatch) -> None:
    done, model, tokenizer = [], small(), toy_tokenizer()
    own = bars.progress

    def watched(label, total, *, enabled):
        done.append(-total)
        return own(label, total, enabled=enabled)

    monkeypatch.setattr(bars, "progress", watched)
    headprint.evaluate(model, tokenizer, text_rows(5), scorer="exact", max_new_tokens=2)
    assert done == [-10]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scorer": "exakt"}, "unknown scorer 'exakt': did you mean 'exact'?"),
        ({"scorer": "zzzz"}, "choose from exact, final, boxed"),
        ({"scorer": "lab"}, r"row 0: not a row of the laboratory \(its task is None\)"),
        ({"scorer": "choice"}, "row 0: no 'choices'"),
        ({"scorer": "exact", "limit": 0}, "limit is 0: it has to be at least 1"),
        ({"scorer": "exact", "max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"scorer": "none", "loss": False}, "nothing to evaluate"),
    ],
)
def test_wrong_input_is_one_clear_line(options, said) -> None:
    with pytest.raises(InputError, match=said):
        headprint.evaluate(small(dtype=torch.float32), toy_tokenizer(), text_rows(2), **options)


def test_a_model_is_given_loaded_or_by_name(saved) -> None:
    name, rows = saved / "model", saved / "rows.jsonl"
    model, tokenizer = models.load_model(name)
    options = {"scorer": "final", "limit": 3, "max_new_tokens": 4}
    wanted = headprint.evaluate(model, tokenizer, rows, **options)
    assert headprint.evaluate(name, None, rows, **options) == wanted
    assert headprint.evaluate(str(name), tokenizer, rows, **options) == wanted
    ablation = {"rankings": {"first": [(0, 0)]}, "ks": (1,), "random": 1}
    by_name = headprint.ablate(str(name), None, rows, **ablation)
    assert by_name.to_dict() == headprint.ablate(model, tokenizer, rows, **ablation).to_dict()
    for function in (headprint.evaluate, partial(headprint.ablate, **ablation)):  # before the model is looked for
        with pytest.raises(InputError, match="unknown scorer 'exakt'"):
            function("no-such-model", None, rows, scorer="exakt")
        with pytest.raises(InputError, match=r"rows\.jsonl:1: not a row of the laboratory"):
            function("no-such-model", None, rows, scorer="lab")
        with pytest.raises(InputError, match="no-such-model"):
            function("no-such-model", None, rows, scorer="exact")


def test_rows_longer_than_the_context_are_refused_by_name(monkeypatch) -> None:
    rows = text_rows(5)
    for row in rows:
        row["choices"] = ["one", "two"]
        row["answer"] = 0
    long = {**rows[0], "prompt": " ".join(WORDS * 30)}
    rows.insert(3, long)
    tokenizer, model = toy_tokenizer(), small("gpt2")
    monkeypatch.setattr(model, "forward", None)  # nothing is run
    said = r"row 3: .*\d+ tokens, and the model's context is 256"
    for options in ({"scorer": "exact", "loss": False}, {"scorer": "choice", "loss": False}, {"scorer": "none"}):
        with pytest.raises(InputError, match=said):
            headprint.evaluate(model, tokenizer, rows, **options)
    with pytest.raises(InputError, match=said):
        headprint.ablate(model, tokenizer, rows, rankings={}, ks=(1,), random=1)
    with pytest.raises(InputError, match=said):
        head_means(model, tokenizer, rows)
    monkeypatch.undo()
    del rows[3]
    assert headprint.evaluate(model, tokenizer, rows, scorer="exact", max_new_tokens=2).n == 5


def test_tokens_outside_the_vocabulary_are_refused_by_name() -> None:
    rows = [{"input_ids": [3, 4, 5], "labels": [-100, 4, 5]}, {"input_ids": [3, 400, 5], "labels": [-100, 400, 5]}]
    with pytest.raises(InputError, match="row 1: the token id 400 at position 1 is outside the model's vocabulary"):
        headprint.evaluate(small(), None, rows, scorer=None)


def test_each_rows_outcome_is_written_in_full(tmp_path) -> None:
    model, tokenizer, rows = small(), toy_tokenizer(), text_rows(3)
    talk = [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": "Seven."}]
    found = headprint.evaluate(model, tokenizer, rows, scorer="exact", max_new_tokens=2)
    found.write(tmp_path / "answers.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [line["prompt"] for line in lines] == [row["prompt"] for row in rows]
    assert [line["expected"] for line in lines] == [row["answer"] for row in rows]
    assert all(list(line) == ["id", "prompt", "expected", "output", "right", "loss", "cut"] for line in lines)
    assert [line["cut"] for line in lines] == [True] * 3
    tokenizer = toy_tokenizer(chat_template=PLAIN_CHAT)
    (chat,) = headprint.evaluate(model, tokenizer, [{"messages": talk}], scorer="exact", loss=False).results
    assert (chat.prompt, chat.expected) == (talk[:1], "Seven.")
    (pre,) = headprint.evaluate(model, None, [{"input_ids": [3, 4, 5], "labels": [-100, 4, 5]}], scorer=None).results
    assert (pre.prompt, pre.expected, pre.output, pre.cut) == (None, None, None, None)


def test_a_laboratory_task_is_judged_by_its_own_check() -> None:
    model, tokenizer = models.load_model("lab")
    rows = lab.task_rows("math", "test", n=6)
    found = headprint.evaluate(model, tokenizer, "lab:math", scorer="lab", limit=6, max_new_tokens=40)
    assert [x.id for x in found.results] == [row["id"] for row in rows]
    assert [x.right for x in found.results] == [
        lab.TASKS["math"].check(row, x.output) for row, x in zip(rows, found.results, strict=True)
    ]
    assert set(SCORERS.names()) == {
        "exact", "final", "boxed", "letter", "python", "lab", "choice", "choice-norm", "none",
    }  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A toy model in a directory, and rows in a file."""
    folder = tmp_path_factory.mktemp("evaluate")
    small(dtype=torch.float32).save_pretrained(folder / "model")
    toy_tokenizer().save_pretrained(folder / "model")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in text_rows(6)))
    return folder
