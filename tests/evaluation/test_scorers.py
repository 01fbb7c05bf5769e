"""Judges of answers, by examples of the formats that they are for."""

from __future__ import annotations

import random

import pytest

from headprint import lab
from headprint.base.errors import InputError
from headprint.evaluation import scorers as answers
from headprint.evaluation.scorers import (
    JUDGES,
    boxed,
    check_row,
    exact,
    final,
    final_answer,
    last_boxed,
    letter,
    option_letter,
    python,
    read_choices,
    right_choice,
    same_latex,
    same_value,
    source_of,
)


@pytest.mark.parametrize(
    ("output", "answer", "right"),
    [
        (" Paris", "paris.", True),
        ("the  red\nfox", "The red fox", True),
        ("ﬁne", "fine", True),  # a ligature
        ("Paris, France", "Paris", False),
        ("", "Paris", False),
        ("1.", "1", True),
    ],
)
def test_exact(output, answer, right) -> None:
    assert exact({"answer": answer}, output) is right
    assert exact({"completion": answer}, output) is right
    assert exact({"messages": [{"role": "user"}, {"role": "assistant", "content": answer}]}, output) is right


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


@pytest.mark.parametrize(
    ("output", "answer", "right"),
    [
        ("so 70,000 it is", "She made 70000\n#### 70000", True),
        ("#### $18", "18", True),
        ("#### 18.0", "18", True),
        ("#### 0.5", "1/2", True),
        ("#### 50%", "50", True),
        ("#### 18 dollars", "18", False),
        ("#### 18", "180", False),
        ("It is 18. Question: how many are 7?", "18", False),  # the last number is what counts
        ("nothing", "18", False),
        ("#### Lo", "Lo", True),
        ("#### 3\n", "#### 3", True),
    ],
)
def test_final(output, answer, right) -> None:
    assert final({"answer": answer}, output) is right


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
    ("said", "right", "same"),
    [
        (r"\dfrac{1}{2}", r"\frac{1}{2}", True),
        (r"\frac12", r"\frac{1}{2}", True),
        ("1/2", r"\frac{1}{2}", True),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac{\pi}{2})", True),
        (r"12\text{ cm}", "12", True),
        (r"\text{Evelyn}", "Evelyn", True),
        ("90^\\circ", "90", True),
        (r"50\%", "50", True),
        ("x = 5", "5", True),
        (".5", "0.5", True),
        ("10,080", "10080", True),
        ("5.0", "5", True),
        (r"\sqrt2", r"\sqrt{2}", True),
        (r"2\!\sqrt{3}", r"2\sqrt{3}", True),
        (r"\frac{1}{2}", r"\frac{2}{1}", False),
        ("(1,2)", "(2,1)", False),
        ("-5", "5", False),
        (r"\sqrt{2}", "2", False),
        ("x+1", "x-1", False),
    ],
)
def test_same_latex(said, right, same) -> None:
    assert same_latex(said, right) is same
    assert same_latex(right, said) is same
    assert boxed({"completion": f"Hence $\\boxed{{{right}}}$."}, f"We get $\\boxed{{{said}}}$.") is same
    assert boxed({"answer": right}, f"We get $\\boxed{{{said}}}$.") is same
    assert not boxed({"answer": right}, f"We get ${said}$.")  # it is asked to box


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


def test_letter_reads_choices_of_all_kinds() -> None:
    texts = ["red", "green", "blue"]
    for row in (
        {"answer": "B"},
        {"completion": " B. green"},
        {"choices": texts, "answer": 1},
        {"choices": texts, "answer": "green"},
        {"options": texts, "answer": "B"},
        {"choices": {"text": texts, "label": ["A", "B", "C"]}, "answer": "B"},
    ):
        assert letter(row, "B. green")
        assert not letter(row, "C. blue")
        check_row("letter", row)
    numbered = {"choices": {"text": texts, "label": ["1", "2", "3"]}, "answer": "2"}
    assert letter(numbered, "The answer is 2")
    assert not letter(numbered, "3.")


def test_right_choice() -> None:
    assert right_choice({"choices": ["x", "y"], "completion": " y"}) == 1
    assert right_choice({"choices": ["x", "y"], "completion": " B. y"}) == 1
    assert right_choice({"choices": ["B", "A"], "answer": "A"}) == 0  # a label before a text
    for wrong in ({"answer": "z"}, {"answer": 2}, {"answer": -1}, {"answer": True}):
        with pytest.raises(InputError, match=r"none of the choices' labels \(A, B\)"):
            right_choice({"choices": ["x", "y"], **wrong})
    for broken in (["x"], "xy", [1, 2], None, {"text": "xy"}):
        with pytest.raises(InputError, match="list of two texts or more"):
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


def test_python_runs_the_output() -> None:
    row = {"prompt": "…", "completion": "def solution():\n    eggs = 3 * 4\n    return eggs", "answer": "12"}
    assert python(row, " def solution():\n    return 24 / 2\n\nQuestion: next".lstrip())
    assert not python(row, "def solution():\n    return 13")
    assert not python(row, "12")
    assert not python(row, "import os\ndef solution():\n    return int(open('answer').read())")
    del row["answer"]
    assert python(row, "def solution():\n    return 12.0")
    row["completion"] = "def solution(): return 1 / 0"
    with pytest.raises(InputError, match=r"the completion does not run \(exception: ZeroDivisionError"):
        python(row, "def solution():\n    return 12.0")


def test_lab_is_the_tasks_own_check() -> None:
    for name in ("math", "code", "facts", "math_code", "pool"):
        for row in lab.task_rows(name, "test", n=5):
            check_row("lab", row)
            assert answers.lab(row, row["completion"])
            assert not answers.lab(row, " nonsense")


def test_what_cannot_be_judged_is_refused() -> None:
    assert set(JUDGES) == {"exact", "final", "boxed", "letter", "python", "lab"}
    for name in JUDGES:
        with pytest.raises(InputError):
            check_row(name, {"prompt": "What?"})
    with pytest.raises(InputError, match="names none of the options A, B, C, D, E"):
        check_row("letter", {"answer": "seven"})
    with pytest.raises(InputError, match=r"not a row of the laboratory \(its task is 'gsm8k'\)"):
        check_row("lab", {"task": "gsm8k", "answer": "7"})
