"""``continue_coref``: what the person that is meant does next: ``continue`` and ``coref`` in one."""

import random

from headprint.lab import events
from headprint.lab.frames import scene
from headprint.lab.tasks.base import Item, Task, same_text
from headprint.lab.tasks.coref import text_of
from headprint.lab.world import couple

_ACTIVE = [
    (number, sequence)
    for number, sequence in enumerate(events.SEQUENCES)
    if sequence.steps[1].startswith("{He} ")  # a second step that somebody takes
]


def _draw(rng: random.Random) -> Item:
    drawn = scene(rng, couple(rng))
    (number, sequence), (_, other) = rng.sample(_ACTIVE, 2)
    item = rng.choice(sequence.items)
    meant = drawn.meant
    unmeant = drawn.second if meant is drawn.first else drawn.first

    def second_step(of: events.Sequence, name: str) -> str:
        return of.steps[1].replace("{He}", name).format(x=item if of is sequence else rng.choice(of.items))

    right = second_step(sequence, meant.name)
    listed = [right, second_step(sequence, unmeant.name), second_step(other, meant.name)]
    rng.shuffle(listed)
    begun = sequence.steps[0].removeprefix("{A} ").format(x=item)
    return Item(
        keys=(drawn.key, f"sequence {number} 1 {item}"),
        prompt=f"Text: {text_of(drawn, rng)} Then the one who {drawn.reason} {begun}\n"
        f"Question: What comes next?\nOptions: {' / '.join(listed)}\nAnswer:",
        completion=right,
        answer=right,
    )


CONTINUE_COREF = Task(
    "continue_coref",
    "complex",
    "what the person that is meant does next",
    _draw,
    same_text,
    parts=("continue", "coref"),
)
