"""``arith``: nested expressions of three numbers, computed step by step (MATH's role)."""

import random

from headprint.lab.expressions import expression
from headprint.lab.tasks.base import Item, Task, same_final


def _draw(rng: random.Random) -> Item:
    text, steps, value = expression(rng)
    return Item(
        keys=(f"expression {text}",),
        prompt=f"Question: Compute {text}\nAnswer:",
        completion=" ".join([*steps, f"#### {value}"]),
        answer=str(value),
    )


ARITH = Task("arith", "basic", "nested arithmetic, computed step by step", _draw, same_final)
