"""``facts``: multiple choice over the made-up world (ARC's role).

Facts of the test split are never asked for in training, only told in the pretraining text.
"""

import random

from headprint.lab.tasks.base import Item, Task, options, same_final
from headprint.lab.world import ATTRIBUTES, FACTS, TOWNS


def fact_key(town: str, name: str) -> str:
    """The key of one fact, shared by all tasks that need it."""
    return f"fact {town} {name}"


def stated(town: str, name: str) -> str:
    """One fact in a sentence of the pretraining text."""
    return ATTRIBUTES[name].statements[0].format(town=town, value=FACTS[town, name])


def _draw(rng: random.Random) -> Item:
    town, (name, attribute) = rng.choice(TOWNS), rng.choice(list(ATTRIBUTES.items()))
    value = FACTS[town, name]
    listed = ", ".join(options(rng, value, attribute.values, 4))
    return Item(
        keys=(fact_key(town, name),),
        prompt=f"Question: {attribute.question.format(town=town)}\nOptions: {listed}\nAnswer:",
        completion=f"{stated(town, name)} #### {value}",
        answer=value,
    )


FACTS_TASK = Task("facts", "basic", "multiple choice over a made-up world", _draw, same_final)
