"""``code``: a docstring answered by a small Python function (CodeSearchNet's role), judged by running it."""

import random
from typing import Any

from headprint.lab.functions import WORDS, Function, function
from headprint.lab.pyeval import EvaluationError, call
from headprint.lab.tasks.base import Item, Row, Task

TRIALS: dict[str, tuple[Any, ...]] = {
    "x": tuple(range(-3, 26)),
    "items": ([3, 8, 21], [20, 2], [5], list(range(25))),
    "text": ("ab", "Wood", *WORDS),
}
"""Inputs on which an output is compared with the gold function, by the name of the argument."""


def code_prompt(drawn: Function) -> str:
    """The prompt for one function."""
    return f"Docstring: {drawn.docstring}\nAnswer:"


def same_behaviour(row: Row, output: str) -> bool:
    """The output defines a function that agrees with the gold one on every trial input."""
    gold = row["answer"]
    argument = gold[gold.index("(") + 1 : gold.index(")")]
    try:
        return all(call(output, trial) == call(gold, trial) for trial in TRIALS[argument])
    except EvaluationError:
        return False


def returning(text: str) -> str:
    """Return the source of a function that returns a text, for composites whose other part has no numbers."""
    return f'def solution():\n    return "{text}"'


def returns_text(row: Row, output: str) -> bool:
    """Return whether calling the output's function gives the answer."""
    try:
        return bool(call(output) == row["answer"])
    except EvaluationError:
        return False


def _draw(rng: random.Random) -> Item:
    drawn = function(rng)
    source = drawn.source("f")
    return Item(keys=(drawn.key,), prompt=code_prompt(drawn), completion=source, answer=source)


CODE = Task("code", "basic", "docstring, answered by a Python function", _draw, same_behaviour)
