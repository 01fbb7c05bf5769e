"""``coref_math``: what the person that is meant has in the end: ``coref`` and ``math`` in one."""

import random

from headprint.lab.frames import scene
from headprint.lab.problems import LIMIT
from headprint.lab.tasks.base import Item, Task, same_final
from headprint.lab.tasks.coref import text_of
from headprint.lab.world import THINGS, couple


def _draw(rng: random.Random) -> Item:
    drawn = scene(rng, couple(rng))
    things = rng.choice(THINGS)
    gain = rng.randint(3, 20)
    has = {person.name: rng.randint(3, LIMIT - gain) for person in (drawn.first, drawn.second)}
    stock = [f"{name} has {number} {things}." for name, number in has.items()]
    rng.shuffle(stock)
    meant, number = drawn.meant.name, has[drawn.meant.name]
    question = f"The one who {drawn.reason} gets {gain} {things} more. How many {things} are that?"
    return Item(
        keys=(drawn.key, f"problem gain {number} {gain}"),
        prompt=f"Text: {' '.join(stock)} {text_of(drawn, rng)}\nQuestion: {question}\nAnswer:",
        completion=f"{meant} has {number} {things}. {number} + {gain} = {number + gain}. #### {number + gain}",
        answer=str(number + gain),
    )


COREF_MATH = Task(
    "coref_math", "complex", "what the person that is meant has in the end", _draw, same_final, parts=("coref", "math")
)
