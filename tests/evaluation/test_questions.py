"""Questions against plain loops: the likeliest choice, code that is run."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

import headprint
from headprint.base.errors import InputError
from support.toy_rows import WORDS, small, text_rows
from support.toy_tokenizers import toy_tokenizer


@pytest.mark.parametrize("normalized", [False, True])
def test_choice_takes_the_likeliest_of_the_choices(normalized) -> None:
    model, tokenizer = small(), toy_tokenizer("bos")
    rng = random.Random(3)
    rows = text_rows(12)
    for row in rows:
        row["choices"] = [" ".join(rng.choices(WORDS, k=k)) for k in (1, 2, 3, 5)]
        row["answer"] = rng.randrange(4)
    wanted = []
    for row in rows:
        scores = []
        for text in row["choices"]:
            prompt = tokenizer(row["prompt"])["input_ids"]
            ids = tokenizer(f"{row['prompt']} {text}")["input_ids"]
            with torch.no_grad():
                log = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
            score = sum(float(log[at - 1, ids[at]]) for at in range(len(prompt), len(ids)))
            scores.append(score / len(text) if normalized else score)
        wanted.append(row["choices"][int(np.argmax(scores))])
    scorer = "choice-norm" if normalized else "choice"
    found = headprint.evaluate(model, tokenizer, rows, scorer=scorer, loss=False, batch_tokens=70)
    assert [x.output for x in found.results] == wanted
    right = [x == row["choices"][row["answer"]] for x, row in zip(wanted, rows, strict=True)]
    assert [x.right for x in found.results] == right


def test_rows_that_cannot_be_judged_are_named_before_the_model_is_asked(monkeypatch) -> None:
    rows, model = text_rows(3), small()
    monkeypatch.setattr(model, "forward", None)
    rows[2] = {"id": "x", "prompt": "Question"}
    with pytest.raises(InputError, match="row 2: no right answer"):
        headprint.evaluate(model, toy_tokenizer(), rows, scorer="exact")
    rows[2]["answer"] = "5"
    with pytest.raises(InputError, match="row 2: no 'completion'"):
        headprint.evaluate(model, toy_tokenizer(), rows, scorer="exact")


def test_python_is_run_and_its_rows_are_named() -> None:
    rows = text_rows(4)
    for number, row in enumerate(rows):
        row["completion"] = f"def solution():\n    return {number}"
        del row["answer"]
    model, tokenizer = small(), toy_tokenizer()
    found = headprint.evaluate(model, tokenizer, rows, scorer="python", max_new_tokens=3)
    assert found.accuracy == 0
    rows[2]["completion"] = "def solution():\n    return 1 / 0"
    with pytest.raises(InputError, match=r"row 2: the completion does not run \(exception: ZeroDivisionError"):
        headprint.evaluate(model, tokenizer, rows, scorer="python", max_new_tokens=3)
