"""MathBench's format on small files of our own: rotations, circular evaluation, what is wrong with a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from headprint.base.errors import InputError
from headprint.evaluation import questions
from headprint.evaluation.generation import Output
from headprint.evaluation.mathbench import rotations, run_mathbench
from support.toy_rows import small
from support.toy_tokenizers import PLAIN_CHAT, toy_tokenizer

FILES = Path(__file__).parents[1] / "support" / "mathbench"
ENTRY = {"question": "Pick {x} of 3.", "options": ["one", "two", " three", "four"], "answer": "B"}


def answering(monkeypatch, function) -> list[str]:
    """Questions are answered by a function of the prompt; returns the prompts as they come."""
    prompts: list[str] = []

    def generate(model, tokenizer, ids, **_):
        texts = [tokenizer.decode(each, skip_special_tokens=True) for each in ids]
        prompts.extend(texts)
        return [Output(function(text), False) for text in texts]

    monkeypatch.setattr(questions, "generate", generate)
    return prompts


def solve(prompt: str) -> str:
    """The right answer to the questions of our own."""
    for question, answer in (
        ("7 boxes", "42"), ("even", "8"), ("half of 90", "45"), ("group of units", "4"), ("lim", "1"),
        ("shells", "7"), ("25 times", "1,200"),
    ):  # fmt: skip
        if question in prompt:
            lines = [line for line in prompt.splitlines() if line[1:] == f". {answer}"]
            return f"The answer is {lines[0][0]}." if lines else f"It is {answer}."
    raise AssertionError(prompt)


def test_rotations_by_hand() -> None:
    rows = rotations(ENTRY, name="f:1")
    assert [row["id"] for row in rows] == ["f:1 ABCD", "f:1 BCDA", "f:1 CDAB", "f:1 DABC"]
    assert [row["answer"] for row in rows] == ["B", "A", "D", "C"]
    assert rows[1]["prompt"] == "Question: Pick {x} of 3.\nA. two\nB. three\nC. four\nD. one\nAnswer:"
    for row in rows:
        assert row["choices"]["ABCD".index(row["answer"])] == "two"
    assert all(row["choices"] == list("ABCD") for row in rotations(ENTRY, letters_only=True))


def test_who_knows_is_right_in_all_rotations(monkeypatch) -> None:
    prompts = answering(monkeypatch, solve)
    found = run_mathbench(small(), toy_tokenizer(), FILES)
    assert len(prompts) == 5 * 4 + 2
    assert found.subsets == ["college/single_choice_en", "primary/cloze_en", "primary/single_choice_en"]
    assert found.accuracy().value == 1
    assert found.to_dict()["subsets"]["primary/cloze_en"]["n"] == 2
    assert [question.id for question in found.questions][:3] == [
        "college/single_choice_en:1", "college/single_choice_en:2", "primary/cloze_en:1",
    ]  # fmt: skip


def test_a_favourite_letter_scores_a_share_once_and_nothing_in_circles(monkeypatch) -> None:
    answering(monkeypatch, lambda prompt: " A.")
    found = run_mathbench(small(), toy_tokenizer(), FILES / "primary" / "single_choice_en.jsonl")
    assert found.accuracy(circular=False).value == pytest.approx(1 / 3)
    assert found.accuracy().value == 0
    assert [question.right for question in found.questions][2] == (True, False, False, False)


def test_right_in_three_of_four_is_wrong(monkeypatch) -> None:
    answering(monkeypatch, lambda prompt: "D" if "A. 48" in prompt else solve(prompt))
    found = run_mathbench(small(), toy_tokenizer(), FILES / "primary")
    assert found.accuracy().value == pytest.approx(4 / 5)
    assert found.accuracy(subset="single_choice_en").value == pytest.approx(2 / 3)
    assert found.accuracy(circular=False).value == 1
    with pytest.raises(InputError, match="unknown subset 'x': choose from cloze_en, single_choice_en"):
        found.accuracy(subset="x")


def test_likelihood_takes_the_likeliest_letter() -> None:
    model, tokenizer = small(), toy_tokenizer()
    found = run_mathbench(model, tokenizer, FILES / "college", how="likelihood")
    wanted = []
    for line in (FILES / "college" / "single_choice_en.jsonl").read_text().splitlines():
        for row in rotations(json.loads(line)):
            scores = []
            for letter in "ABCD":
                prompt = tokenizer(row["prompt"])["input_ids"]
                ids = tokenizer(f"{row['prompt']} {letter}")["input_ids"]
                with torch.no_grad():
                    log = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
                scores.append(sum(float(log[at - 1, ids[at]]) for at in range(len(prompt), len(ids))))
            wanted.append("ABCD"[int(np.argmax(scores))] == row["answer"])
    assert [right for question in found.questions for right in question.right] == wanted


def test_prompts_of_ones_own_and_chat(monkeypatch) -> None:
    prompts = answering(monkeypatch, solve)
    tokenizer = toy_tokenizer(chat_template=PLAIN_CHAT)
    run_mathbench(
        small(), tokenizer, FILES / "primary", limit=1, chat=True,
        choice_prompt="{question} Choose.\n{options}\n", cloze_prompt="{question} Say.",
    )  # fmt: skip
    assert len(prompts) == 4 + 1
    assert "user\nA box holds 6 eggs. How many eggs do 7 boxes hold? Choose.\nA. 13\n" in prompts[0]
    assert prompts[4].endswith("are left? Say.\nassistant\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"question": "x"}', r"one.jsonl:2: no 'answer'; MathBench's lines have"),
        ('{"options": ["1", "2"], "answer": "A"}', "one.jsonl:2: no 'question'"),
        ('{"question": "x", "options": ["1"], "answer": "A"}', "one.jsonl:2: 'options' must be a list"),
        ('{"question": "x", "options": ["1", "2"], "answer": "C"}', "one.jsonl:2: the answer 'C' is none of A, B"),
        ("{", "one.jsonl:2: broken JSON"),
    ],
)
def test_broken_lines_are_named(tmp_path, line, said) -> None:
    (tmp_path / "one.jsonl").write_text(json.dumps(ENTRY) + "\n" + line + "\n")
    with pytest.raises(InputError, match=said):
        run_mathbench(None, None, tmp_path / "one.jsonl")


def test_other_mistakes_are_one_line(tmp_path) -> None:
    with pytest.raises(InputError, match=r"no \.jsonl files; give MathBench's folder"):
        run_mathbench(None, None, tmp_path)
    with pytest.raises(InputError, match=r"choice_prompt has no \{options\}"):
        run_mathbench(None, None, FILES, choice_prompt="{question}")
    with pytest.raises(InputError, match="how is 'guess'; choose from generate, likelihood"):
        run_mathbench(None, None, FILES, how="guess")
