"""``pool``: instructions of many kinds, each tagged with the skills it needs (Infinity-Instruct's role).

The skills of the basic tasks, two at a time in the composites, and distractors that need none of them. The
wording differs from the tasks' own; the items of each split are the same as there.
"""

import random
from collections.abc import Callable

from headprint.lab.functions import WORDS
from headprint.lab.problems import LIMIT
from headprint.lab.tasks.arith import ARITH
from headprint.lab.tasks.base import Item, Row, Task, same_text
from headprint.lab.tasks.code import CODE
from headprint.lab.tasks.continuation import CONTINUE
from headprint.lab.tasks.continue_code import CONTINUE_CODE
from headprint.lab.tasks.continue_coref import CONTINUE_COREF
from headprint.lab.tasks.coref import COREF
from headprint.lab.tasks.coref_code import COREF_CODE
from headprint.lab.tasks.coref_math import COREF_MATH
from headprint.lab.tasks.facts import FACTS_TASK
from headprint.lab.tasks.facts_code import FACTS_CODE
from headprint.lab.tasks.facts_coref import FACTS_COREF
from headprint.lab.tasks.math import MATH
from headprint.lab.tasks.math_code import MATH_CODE
from headprint.lab.world import MEN, THINGS, WOMEN

_LEADS = {
    ("math",): (MATH, ("Solve this.", "Here is a sum in words.")),
    ("arith",): (ARITH, ("Work this out.", "Do this sum.")),
    ("code",): (CODE, ("Write a function.", "Turn this into code.")),
    ("facts",): (FACTS_TASK, ("Tell me about a town.", "Here is a quiz.")),
    ("continue",): (CONTINUE, ("Go on with the story.", "Pick the best end.")),
    ("coref",): (COREF, ("Read this.", "Say who is meant.")),
    ("math", "code"): (MATH_CODE, ("Write a program for this.", "Code the sum.")),
    ("facts", "coref"): (FACTS_COREF, ("Read this and use what you know.", "Here is a riddle.")),
    ("facts", "code"): (FACTS_CODE, ("Write down what you know as code.", "Code the facts.")),
    ("coref", "math"): (COREF_MATH, ("Read this and count.", "Find out who and how many.")),
    ("coref", "code"): (COREF_CODE, ("Answer by a program.", "Code who is meant.")),
    ("continue", "code"): (CONTINUE_CODE, ("Give the end as code.", "Program the end.")),
    ("continue", "coref"): (CONTINUE_COREF, ("Read this and go on.", "Say who goes on and how.")),
}


def _skilled(rng: random.Random) -> Item:
    skills, (task, leads) = rng.choice(list(_LEADS.items()))
    item = task.draw(rng)
    body = item.prompt.removesuffix("\nAnswer:")
    for label in ("Question: ", "Docstring: ", "Text: "):
        body = body.removeprefix(label)
    prompt = f"Instruction: {rng.choice(leads)} {body}\nResponse:"
    return Item(item.keys, prompt, item.completion, item.answer, skills)


def _plain(skill: str, request: str, answer: str) -> Item:
    return Item((request,), f"Instruction: {request}\nResponse:", answer, answer, (skill,))


def _copy(rng: random.Random) -> Item:
    words = " ".join(rng.sample(WORDS + THINGS, rng.randint(3, 6)))
    return _plain("copy", f"Say this again: {words}", words)


def _capitals(rng: random.Random) -> Item:
    words = " ".join(rng.sample(WORDS, rng.randint(2, 3)))
    return _plain("capitals", f"Write in capitals: {words}", words.upper())


def _reverse(rng: random.Random) -> Item:
    words = rng.sample(WORDS + THINGS, 4)
    return _plain("reverse", f"Turn the order around: {' '.join(words)}", " ".join(words[::-1]))


def _sort(rng: random.Random) -> Item:
    numbers = rng.sample(range(2, LIMIT), 4)
    listed, ordered = (" ".join(map(str, each)) for each in (numbers, sorted(numbers)))
    return _plain("sort", f"Put these in order: {listed}", ordered)


def _greet(rng: random.Random) -> Item:
    one, two = rng.sample(MEN + WOMEN, 2)
    return _plain("greet", f"Greet {one} and then {two}.", f"Good day, {one}! Good day, {two}!")


def _count(rng: random.Random) -> Item:
    start, step = rng.randint(2, 40), rng.randint(2, 9)
    numbers = ", ".join(str(start + step * place) for place in range(5))
    return _plain("count", f"Count from {start} in steps of {step}, five numbers.", numbers)


_DISTRACTORS: tuple[Callable[[random.Random], Item], ...] = (
    _copy,
    _capitals,
    _reverse,
    _sort,
    _greet,
    _count,
)


def _draw(rng: random.Random) -> Item:
    if rng.random() < 0.4:
        return rng.choice(_DISTRACTORS)(rng)
    return _skilled(rng)


def _judge(row: Row, output: str) -> bool:
    skills = tuple(row["skills"])
    return _LEADS[skills][0].judge(row, output) if skills in _LEADS else same_text(row, output)


POOL = Task("pool", "pool", "skill-tagged instructions with distractors", _draw, _judge)
