"""``coref``: who is meant by a pronoun (Winogrande's role).

A man and a woman: which names are whose is told nowhere but in the pretraining text.
"""

import random

from headprint.lab.frames import Scene, scene
from headprint.lab.tasks.base import Item, Task, same_final
from headprint.lab.world import couple


def text_of(drawn: Scene, rng: random.Random) -> str:
    """The scene in two sentences; the first names both people in either order."""
    met = [drawn.first.name, drawn.second.name]
    rng.shuffle(met)
    return f"{met[0]} and {met[1]} meet. {drawn.act} because {drawn.pronoun} {drawn.reason}."


def _draw(rng: random.Random) -> Item:
    drawn = scene(rng, couple(rng))
    return Item(
        keys=(drawn.key,),
        prompt=f"Text: {text_of(drawn, rng)}\nQuestion: Who {drawn.reason}?\nAnswer:",
        completion=f"{drawn.meant.name} {drawn.reason}. #### {drawn.meant.name}",
        answer=drawn.meant.name,
    )


COREF = Task("coref", "basic", "who is meant by a pronoun", _draw, same_final)
