"""Scorers by examples of the formats that they are for, their registry, and what is known before a model is loaded."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

import headprint
from headprint import lab
from headprint.base import registry
from headprint.base.errors import InputError
from headprint.cli.app import run
from headprint.data.rows import read_rows
from headprint.evaluation import scorers
from headprint.evaluation.parsing import same_latex
from headprint.evaluation.scorers import (
    SCORERS,
    ChoiceScorer,
    TextScorer,
    boxed,
    check_rows,
    exact,
    final,
    get_scorer,
    letter,
    python,
)
from support.toy_rows import small, text_rows
from support.toy_tokenizers import toy_tokenizer


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
        letter.check_row(row)
    numbered = {"choices": {"text": texts, "label": ["1", "2", "3"]}, "answer": "2"}
    assert letter(numbered, "The answer is 2")
    assert not letter(numbered, "3.")


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
            scorers.lab.check_row(row)
            assert scorers.lab(row, row["completion"])
            assert not scorers.lab(row, " nonsense")


def test_choices_are_taken_by_likelihood_and_by_likelihood_per_letter() -> None:
    texts, log_likelihoods = ["no", "certainly", "no"], [-3.0, -4.5, -3.0]
    choice, choice_norm = get_scorer("choice"), get_scorer("choice-norm")
    assert choice.choose(texts, log_likelihoods) == "no"
    assert choice_norm.choose(texts, log_likelihoods) == "certainly"  # -0.5 a letter, and -1.5
    row = {"choices": texts, "answer": 1}
    assert (choice(row, "no"), choice(row, "certainly")) == (False, True)
    assert not choice({**row, "answer": 2}, "no")  # the first of equals is what is taken


NEEDS = {
    "exact": "no right answer",
    "final": "no right answer",
    "boxed": "no right answer",
    "python": "no right answer",
    "letter": "no right answer",
    "lab": r"not a row of the laboratory \(its task is None\)",
    "choice": "no 'choices'",
    "choice-norm": "no 'choices'",
}


def test_rows_that_cannot_be_scored_are_refused_with_their_place() -> None:
    assert {*NEEDS, "none"} == set(SCORERS.names())
    for name, said in NEEDS.items():
        rows = [*lab.task_rows("facts", "test", n=2), {"prompt": "What?"}]
        if name.startswith("choice"):
            rows[:2] = [{**row, "choices": ["x", "y"], "answer": 0} for row in rows[:2]]
        if name == "letter":
            rows[:2] = [{"prompt": "What?", "answer": "B"}] * 2
        with pytest.raises(InputError, match=f"^row 2: {said}"):
            check_rows(name, read_rows(rows))
        check_rows(name, read_rows(rows[:2]))
    check_rows("none", read_rows([{"text": "no question"}]))
    with pytest.raises(InputError, match="row 0: the answer 'seven' names none of the options A, B, C, D, E"):
        check_rows("letter", read_rows([{"prompt": "What?", "answer": "seven"}]))
    with pytest.raises(InputError, match="row 1: nothing to answer"):
        check_rows("exact", read_rows([{"prompt": "What?", "answer": "x"}, {"answer": "x"}]))
    with pytest.raises(InputError, match="0 rows to evaluate, and at least 1 needed"):
        check_rows("none", [])
    with pytest.raises(InputError, match="2 rows to evaluate, and at least 5 needed"):
        check_rows("exact", read_rows([{"prompt": "What?", "answer": "x"}] * 2), at_least=5)


def test_unknown_scorers_are_refused() -> None:
    with pytest.raises(InputError, match="unknown scorer 'exakt': did you mean 'exact'"):
        get_scorer("exakt")
    with pytest.raises(InputError, match="unknown scorer 'zzzz': choose from exact, final, boxed"):
        get_scorer("zzzz")


def test_rows_are_checked_without_torch() -> None:
    program = """
import sys
from headprint.evaluation import check_rows, get_scorer
from headprint.data.rows import read_rows
get_scorer("final")
check_rows("final", read_rows([{"prompt": "What?", "answer": "7"}]))
assert not {"torch", "transformers"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def even(row, output):
    """Rows of even number are right."""
    return int(row["id"][1:]) % 2 == 0


@TextScorer
def odd(row, output) -> bool:
    return not even(row, output)


@ChoiceScorer
def shortest(texts, log_likelihoods):
    return [-len(text) for text in texts]


NOT_A_SCORER = 7


@pytest.fixture
def plugins(monkeypatch):
    """Scorers of another package."""
    added = {
        name: EntryPoint(name, f"{__name__}:{attribute}", "headprint.scorers")
        for name, attribute in {"even": "even", "odd": "odd", "shortest": "shortest", "seven": "NOT_A_SCORER"}.items()
    }
    monkeypatch.setitem(sys.modules, __name__, SimpleNamespace(**globals()))
    monkeypatch.setattr(
        registry, "entry_points", lambda group, name=None: [e for e in added.values() if name in (None, e.name)]
    )


def test_scorers_of_other_packages_work_by_name_in_python_and_on_the_command_line(plugins, tmp_path, capsys) -> None:
    model, tokenizer, rows = small(), toy_tokenizer(), text_rows(5)
    for row in rows:
        row["choices"] = ["longer text", "text"]
        row["answer"] = 1
    assert headprint.evaluate(model, tokenizer, rows, scorer="even", max_new_tokens=2).accuracy == 0.6
    assert headprint.evaluate(model, tokenizer, rows, scorer="odd", max_new_tokens=2).accuracy == 0.4
    assert headprint.evaluate(model, tokenizer, rows, scorer="shortest").accuracy == 1
    del rows[3]["answer"], rows[3]["completion"]
    with pytest.raises(InputError, match="row 3: no right answer"):  # a TextScorer knows what it needs
        headprint.evaluate(model, tokenizer, rows, scorer="odd", loss=False)
    with pytest.raises(InputError, match="the scorer 'seven' is a int, not a function of a row and an output"):
        get_scorer("seven")
    with pytest.raises(InputError, match="did you mean 'shortest'"):
        get_scorer("shortes")
    (tmp_path / "rows.jsonl").write_text('{"prompt": "x"}\n')
    assert run(["evaluate", str(tmp_path), str(tmp_path / "rows.jsonl"), "--scorer", "shortes"]) == 2
    assert "did you mean 'shortest'?" in capsys.readouterr().err
