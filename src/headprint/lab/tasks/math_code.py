"""``math_code``: a word problem answered by a Python function (SGSM's role), judged by running it."""

import random

from headprint.lab.problems import ASKED, Problem, problem
from headprint.lab.pyeval import EvaluationError, call
from headprint.lab.tasks.base import Item, Row, Task


def solution(drawn: Problem) -> str:
    """The gold function: one named step a line."""
    lines = [f"    {step.name} = {step.left} {step.op} {step.right}\n" for step in drawn.steps]
    return f"def solution():\n{''.join(lines)}    return {drawn.steps[-1].name}"


def returns_answer(row: Row, output: str) -> bool:
    """Calling the output's function gives the answer."""
    try:
        return bool(call(output) == int(row["answer"]))
    except EvaluationError:
        return False


def _draw(rng: random.Random) -> Item:
    drawn = problem(rng, ASKED)
    return Item(
        keys=(drawn.key,),
        prompt=f"Question: {drawn.story} {drawn.question} Use Python.\nAnswer:",
        completion=solution(drawn),
        answer=str(drawn.answer),
    )


MATH_CODE = Task(
    "math_code", "complex", "word problem, answered by a Python function", _draw, returns_answer, parts=("math", "code")
)
