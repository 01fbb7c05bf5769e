"""``facts_code``: a Python function that looks up facts of the world: ``facts`` and ``code`` in one."""

import random

from headprint.lab.pyeval import EvaluationError, call
from headprint.lab.tasks.base import Item, Row, Task
from headprint.lab.tasks.facts import fact_key
from headprint.lab.world import ATTRIBUTES, FACTS, TOWNS


def looks_up(row: Row, output: str) -> bool:
    """The output's function gives the right value for both towns."""
    wanted = [pair.split("=") for pair in row["answer"].split(", ")]
    try:
        return all(call(output, town) == value for town, value in wanted)
    except EvaluationError:
        return False


def _draw(rng: random.Random) -> Item:
    name, attribute = rng.choice(list(ATTRIBUTES.items()))
    one, two = rng.sample(TOWNS, 2)
    first, second = FACTS[one, name], FACTS[two, name]
    return Item(
        keys=(fact_key(one, name), fact_key(two, name)),
        prompt=f"Docstring: Return the {attribute.noun} of the town, {one} or {two}.\nAnswer:",
        completion=(f'def f(town):\n    if town == "{one}":\n        return "{first}"\n    return "{second}"'),
        answer=f"{one}={first}, {two}={second}",
    )


FACTS_CODE = Task(
    "facts_code", "complex", "a Python function that looks up facts", _draw, looks_up, parts=("facts", "code")
)
