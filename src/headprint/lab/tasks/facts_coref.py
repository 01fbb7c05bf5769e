"""``facts_coref``: a fact about the town of whoever is meant: ``facts`` and ``coref`` in one."""

import random

from headprint.lab.frames import scene
from headprint.lab.tasks.base import Item, Task, same_final
from headprint.lab.tasks.coref import text_of
from headprint.lab.tasks.facts import fact_key, stated
from headprint.lab.world import ATTRIBUTES, FACTS, TOWNS, couple


def _draw(rng: random.Random) -> Item:
    drawn = scene(rng, couple(rng))
    name, attribute = rng.choice(list(ATTRIBUTES.items()))
    town, other = rng.sample(TOWNS, 2)
    meant = drawn.meant.name
    unmeant = (drawn.second if drawn.meant is drawn.first else drawn.first).name
    homes = [f"{meant} is from {town}.", f"{unmeant} is from {other}."]
    rng.shuffle(homes)
    question = f"What is the {attribute.noun} of the town of the one who {drawn.reason}?"
    return Item(
        keys=(drawn.key, fact_key(town, name)),
        prompt=f"Text: {' '.join(homes)} {text_of(drawn, rng)}\nQuestion: {question}\nAnswer:",
        completion=f"{meant} is from {town}. {stated(town, name)} #### {FACTS[town, name]}",
        answer=FACTS[town, name],
    )


FACTS_COREF = Task(
    "facts_coref",
    "complex",
    "a fact about the town of the person that is meant",
    _draw,
    same_final,
    parts=("facts", "coref"),
)
