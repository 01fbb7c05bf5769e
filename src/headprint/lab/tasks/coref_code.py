"""``coref_code``: who is meant by a pronoun, returned by a Python function: ``coref`` and ``code`` in one."""

import random

from headprint.lab.frames import scene
from headprint.lab.tasks.base import Item, Task
from headprint.lab.tasks.code import returning, returns_text
from headprint.lab.tasks.coref import text_of
from headprint.lab.world import couple


def _draw(rng: random.Random) -> Item:
    drawn = scene(rng, couple(rng))
    return Item(
        keys=(drawn.key,),
        prompt=f"Text: {text_of(drawn, rng)}\nQuestion: Who {drawn.reason}? Use Python.\nAnswer:",
        completion=returning(drawn.meant.name),
        answer=drawn.meant.name,
    )


COREF_CODE = Task(
    "coref_code", "complex", "who is meant, returned by a Python function", _draw, returns_text, parts=("coref", "code")
)
