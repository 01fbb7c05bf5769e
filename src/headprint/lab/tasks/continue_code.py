"""``continue_code``: the sensible continuation, returned by a Python function: ``continue`` and ``code`` in one."""

import random

from headprint.lab.tasks.base import Item, Task
from headprint.lab.tasks.code import returning, returns_text
from headprint.lab.tasks.continuation import CONTINUE


def _draw(rng: random.Random) -> Item:
    item = CONTINUE.draw(rng)
    prompt = item.prompt.replace("What comes next?", "What comes next? Use Python.")
    return Item(item.keys, prompt, returning(item.answer), item.answer)


CONTINUE_CODE = Task(
    "continue_code",
    "complex",
    "the sensible continuation, returned by a Python function",
    _draw,
    returns_text,
    parts=("continue", "code"),
)
