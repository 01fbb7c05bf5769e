"""The pretraining text: deterministic, tells everything that tasks need, and knows no fine-tuning format."""

import itertools
import re

import pytest

from headprint.lab import TASKS, events, frames, task_rows
from headprint.lab.corpus import documents
from headprint.lab.world import ATTRIBUTES, FACTS, MEN, THINGS, TOOLS, TOWNS, WOMEN

FORMATS = (
    "Question:",
    "Answer:",
    "Options:",
    "Docstring:",
    "Text:",
    "Instruction:",
    "Response:",
    "User:",
    "Assistant:",
    "####",
    "def solution",
    "def f(",
    "Use Python",
    "What comes next",
    "Compute",
    " = ?",
)


@pytest.fixture(scope="module")
def text() -> str:
    return "\n".join(itertools.islice(documents(0), 20_000))


def test_same_seed_same_text_and_another_seed_other() -> None:
    first, again, other = (list(itertools.islice(documents(s), 200)) for s in (7, 7, 8))
    assert first == again
    assert len(set(first) & set(other)) < 10


@pytest.mark.parametrize("mark", FORMATS)
def test_no_format_of_fine_tuning_occurs(text: str, mark: str) -> None:
    assert mark not in text


def test_the_formats_tested_for_are_those_of_the_tasks() -> None:
    labels = {
        label
        for name in TASKS
        for row in task_rows(name, n=50)
        for label in re.findall(r"^([A-Z][a-z]+:)", row["prompt"], flags=re.MULTILINE)
    }
    assert labels
    assert labels <= set(FORMATS)


@pytest.mark.parametrize("name", TASKS)
def test_no_prompt_line_is_in_the_text(text: str, name: str) -> None:
    for row in task_rows(name, "test", n=100):
        assert row["prompt"] not in text
        question = re.search(r"[^.!?]*\?", row["prompt"].split("Options")[0])
        if question and name != "pool":
            assert question[0].strip() not in text


def test_no_equation_as_in_worked_answers(text: str) -> None:
    # Sums are told in words or at a Python prompt; "2 + 3 = 5" is the fine-tuning's own notation.
    assert not re.search(r"\d [-+*/]+ \d+ = \d", text)


def test_every_fact_is_told_in_every_way(text: str) -> None:
    for (town, name), value in FACTS.items():
        told = [s.format(town=town, value=value) in text for s in ATTRIBUTES[name].statements]
        assert all(told), (town, name)


def test_nothing_false_is_told_about_a_town(text: str) -> None:
    for name, attribute in ATTRIBUTES.items():
        for statement in attribute.statements:
            pattern = re.escape(statement).replace(r"\{town\}", "(?P<town>[A-Z][a-z]+)")
            pattern = pattern.replace(r"\{value\}", f"(?P<value>{'|'.join(attribute.values)})\\b")
            for found in re.finditer(pattern, text):
                if found["town"] in TOWNS:
                    assert FACTS[found["town"], name] == found["value"]


def test_every_event_name_and_reason_is_told(text: str) -> None:
    words = set(re.findall(r"[A-Za-z]+", text))
    assert words >= {*TOWNS, *MEN, *WOMEN, *THINGS, *TOOLS}
    assert words >= {item for sequence in events.SEQUENCES for item in sequence.items}
    for frame in frames.FRAMES:
        assert frame.reason.split("{")[0] in text


def test_spoken_and_computed_sums_are_right(text: str) -> None:
    for a, b, c in re.findall(r"\b(\d+) plus (\d+) is (\d+)\.", text):
        assert int(a) + int(b) == int(c)
    for a, b, c in re.findall(r">>> (\d+) - (\d+)\n(\d+)", text):
        assert int(a) - int(b) == int(c)
    products = re.findall(r"\b(\d+) times (\d+) is (\d+)\.", text)
    assert len(products) > 200
    assert all(int(a) * int(b) == int(c) for a, b, c in products)
