"""``continue``: choose the sensible continuation of an everyday sequence (HellaSwag's role)."""

import random

from headprint.lab import events
from headprint.lab.tasks.base import Item, Task, options, same_text
from headprint.lab.world import person


def _draw(rng: random.Random) -> Item:
    number, sequence, item = events.draw(rng)
    who = person(rng)
    told = sequence.tell(who, item)
    known = rng.randint(1, len(told) - 1)
    # Wrong continuations are steps of other sequences or of this one out of turn, about the same person.
    others = [other for other in events.SEQUENCES if other is not sequence]
    wrong = [other.tell(who, rng.choice(other.items))[rng.randint(1, 3)] for other in rng.sample(others, 3)]
    wrong += [step for place, step in enumerate(told) if place > known]
    listed = " / ".join(options(rng, told[known], wrong, 3))
    return Item(
        keys=(f"sequence {number} {known} {item}",),
        prompt=f"Question: {' '.join(told[:known])} What comes next?\nOptions: {listed}\nAnswer:",
        completion=told[known],
        answer=told[known],
    )


CONTINUE = Task("continue", "basic", "choose the sensible continuation", _draw, same_text)
