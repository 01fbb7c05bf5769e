"""The pretraining text: deterministic, says everything that tasks need, and asks nothing of a test split."""

import itertools
import random
import re

import pytest

from headprint.lab import TASKS, events, exchanges, frames, task_rows
from headprint.lab.corpus import documents
from headprint.lab.problems import OPERATORS
from headprint.lab.splits import split_of
from headprint.lab.world import ATTRIBUTES, FACTS, MEN, THINGS, TOOLS, TOWNS, WOMEN


@pytest.fixture(scope="module")
def text() -> str:
    return "\n".join(itertools.islice(documents(0), 20_000))


@pytest.fixture(scope="module")
def requests() -> str:
    rng = random.Random(1)
    return "\n".join(exchanges.document(rng) for _ in range(5_000))


def test_same_seed_same_text_and_another_seed_other() -> None:
    first, again, other = (list(itertools.islice(documents(s), 200)) for s in (7, 7, 8))
    assert first == again
    assert len(set(first) & set(other)) < 10


@pytest.mark.parametrize(
    ("name", "split"),
    [*((name, "test") for name in TASKS), *((name, "train") for name, task in TASKS.items() if task.kind == "complex")],
)
def test_no_row_of_a_composite_or_of_a_test_split_is_in_the_text(
    text: str, requests: str, name: str, split: str
) -> None:
    for row in task_rows(name, split, n=200):
        body = re.sub(r"^(Question|Docstring|Text|Instruction): (Compute )?", "", row["prompt"])
        body = re.sub(r"\n(Answer|Response):$", "", body)
        assert not re.search(re.escape(body) + r"(?!\d)", text + requests)


def test_no_fact_of_the_test_split_is_asked_for(requests: str) -> None:
    asked = [
        (split_of(f"fact {town} {name}"), question.format(town=town) in requests)
        for town in TOWNS
        for name, attribute in ATTRIBUTES.items()
        for question in (attribute.question, f"What is the {attribute.noun} of {{town}}?")
    ]
    assert not any(found for split, found in asked if split == "test")
    assert sum(found for split, found in asked if split == "train") > 400


def test_no_expression_of_the_test_split_is_asked_for(requests: str) -> None:
    nested = set(re.findall(r"\(\d+ [-+*/]+ \d+\) [-+*/]+ \d+", requests))
    assert len(nested) > 500
    assert all(split_of(f"expression {each}") == "train" for each in nested)


def test_equations_are_right(requests: str) -> None:
    equations = re.findall(r"(?<![-\d+*/)] )\b(\d+) (\+|-|\*|//) (\d+) = (\d+)\b(?! [-+*/])", requests)
    assert len(equations) > 1000
    for left, op, right, value in equations:
        assert OPERATORS[op](int(left), int(right)) == int(value)


def test_answers_come_in_many_forms(requests: str) -> None:
    for label in ("Question: ", "Q: ", "Problem: ", "Instruction: ", "User: ", "Input: ", "Options: ", "Choose: "):
        assert requests.count(label) > 50, label
    assert requests.count("#### ") > 300


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
