"""``math``: a word problem answered by worked steps and "#### N" (GSM8K's role)."""

import random

from headprint.lab.problems import ASKED, Problem, problem
from headprint.lab.tasks.base import Item, Task, same_final


def worked(drawn: Problem) -> str:
    """The gold answer: every step as an equation, then the result."""
    lines = [f"{left} {op} {right} = {value}." for left, op, right, value in drawn.worked()]
    return " ".join([*lines, f"#### {drawn.answer}"])


def _draw(rng: random.Random) -> Item:
    drawn = problem(rng, ASKED)
    return Item(
        keys=(drawn.key,),
        prompt=f"Question: {drawn.story} {drawn.question}\nAnswer:",
        completion=worked(drawn),
        answer=str(drawn.answer),
    )


MATH = Task("math", "basic", "word problem, answered by worked steps", _draw, same_final)
