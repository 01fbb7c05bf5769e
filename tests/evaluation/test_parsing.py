"""Reading rows and outputs, by examples of the formats."""

from __future__ import annotations

import random

import pytest

from headprint.base.errors import InputError
from headprint.evaluation.parsing import (
    expected_answer,
    final_answer,
    last_boxed,
    option_letter,
    prompt_of,
    read_choices,
    right_choice,
    same_value,
    source_of,
)


def test_prompt_and_expected_answer() -> None:
    talk = [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": "Seven."}]
    assert prompt_of({"prompt": "How many?", "completion": " Seven."}) == "How many?"
    assert prompt_of({"messages": talk, "prompt": None}) == talk[:1]
    assert prompt_of({"messages": talk[:1]}) == talk[:1]
    assert expected_answer({"answer": 7, "completion": " Seven."}) == "7"
    assert expected_answer({"answer": None, "completion": " Seven."}) == " Seven."
    assert expected_answer({"messages": talk}) == "Seven."
    for broken in ({"text": "all of it"}, {"messages": []}, {"messages": "text"}, {"prompt": []}):
        with pytest.raises(InputError, match=r"nothing to answer \(found: (text|messages|prompt)\)"):
            prompt_of(broken)
    with pytest.raises(InputError, match="no right answer"):
        expected_answer({"prompt": "How many?"})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("He has 3 + 4 = 7 eggs.\n#### 7", "7"),
        ("#### 5\nno wait\n#### 1,234\nQuestion: 9", "1,234"),
        ("She pays $1,250.50 for 3.", "3"),
        ("It is -4.", "-4"),
        ("about 1e-3", "1e-3"),
        ("one half, 1/2", "1/2"),
        ("#### Ella", "Ella"),
        ("it ends in 12 ####", "12"),
        ("no number here", None),
        ("", None),
    ],
)
def test_final_answer(text, found) -> None:
    assert final_answer(text) == found


def test_same_value() -> None:
    assert same_value(1e6, "1,000,000")
    assert same_value(0.1 + 0.2, 0.3)
    assert same_value([1, "a "], [1.0, "A"])
    assert same_value(0, "0.0")
    assert not same_value([1], [1, 2])
    assert not same_value(float("nan"), 1)
    assert not same_value(True, 1)
    assert not same_value(None, 0)
    assert not same_value("1/0", 1)
    assert not same_value(10**400, 1)  # does not fit a float
    rng = random.Random(0)
    for _ in range(50):
        number = rng.uniform(-1e6, 1e6)
        assert same_value(f"{number:,.4f}", number) == (abs(number) > 50 or abs(float(f"{number:.4f}") - number) < 1e-9)
        assert not same_value(number * 1.001, number)


def test_last_boxed() -> None:
    assert last_boxed(r"so $\boxed{1}$, no, $\boxed{\frac{1}{2}}$.") == r"\frac{1}{2}"
    assert last_boxed(r"\boxed 5$ and") == "5"
    assert last_boxed(r"\fbox{x^{2}}") == "x^{2}"
    assert last_boxed(r"\boxed{never closed") is None
    assert last_boxed("5") is None


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (" B. the colour of its fur", "B"),
        ("(C)", "C"),
        ("D", "D"),
        ("The answer is B.", "B"),
        ("Answer: (C) because A. is wrong", "C"),
        ("the correct answer is option D", "D"),
        ("I first thought A. but the answer is C", "C"),
        ("A dog has fur, so B.", "B"),
        ("A dog has fur", None),
        ("So we take\n**C**", "C"),
        (r"\boxed{B}", "B"),
        ("E.", None),
        ("", None),
        ("Because", None),
    ],
)
def test_option_letter(output, found) -> None:
    assert option_letter(output, list("ABCD")) == found


def test_right_choice() -> None:
    assert right_choice({"choices": ["x", "y"], "completion": " y"}) == 1
    assert right_choice({"choices": ["x", "y"], "completion": " B. y"}) == 1
    assert right_choice({"choices": ["B", "A"], "answer": "A"}) == 0  # a label before a text
    for wrong in ({"answer": "z"}, {"answer": 2}, {"answer": -1}, {"answer": True}):
        with pytest.raises(InputError, match=r"none of the choices' labels \(A, B\)"):
            right_choice({"choices": ["x", "y"], **wrong})
    for broken in (["x"], "xy", [1, 2], None, {"text": "xy"}):
        with pytest.raises(InputError, match="list of at least two texts"):
            read_choices(broken)
    with pytest.raises(InputError, match="2 choices and 1 labels"):
        read_choices({"text": ["x", "y"], "label": ["A"]})


def test_source_of() -> None:
    plain = "def solution():\n    x = 1\n\n    return x"
    assert source_of(f" {plain}".lstrip()) == plain
    assert source_of(f"{plain}\n\nQuestion: what now?\nMore").rstrip() == plain
    assert source_of(f"Here it is:\n```python\n{plain}\n```\nDone.") == f"{plain}\n"
    assert source_of(f"```\n{plain}") == plain
    both = f"import math\n\ndef helper(x):\n    return x\n\n{plain}"
    assert source_of(f"{both}\nprint(solution())") == both
