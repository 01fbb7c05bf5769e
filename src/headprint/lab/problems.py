"""Quantities in small stories: the problem behind ``math``, ``math_code`` and the narratives of the pretraining text.

One problem is a situation with numbers and the steps that lead to the result. Its three tellings (a question, a
worked answer, a Python function) belong to the tasks; a narrative that simply states the result belongs to the corpus.
"""

import operator
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headprint.lab.world import THINGS, Person, capital, people

LIMIT = 50
"""No number in a problem, given or computed, is larger."""

OPERATORS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
}


@dataclass(frozen=True)
class Step:
    """``left op right = value``; an operand is a number or, as a string, the name of an earlier step."""

    name: str
    left: int | str
    op: str
    right: int | str


@dataclass(frozen=True)
class Problem:
    """A situation in present tense, what is asked, and the steps to the answer."""

    key: str
    story: str
    question: str
    result: str
    steps: tuple[Step, ...]

    def worked(self) -> list[tuple[int, str, int, int]]:
        """The steps with numbers put in: (left, operator, right, value)."""
        values: dict[int | str, int] = {}
        lines = []
        for step in self.steps:
            left = values.get(step.left, step.left)
            right = values.get(step.right, step.right)
            assert isinstance(left, int)
            assert isinstance(right, int)
            value = OPERATORS[step.op](left, right)
            values[step.name] = value
            lines.append((left, step.op, right, value))
        return lines

    @property
    def answer(self) -> int:
        """The last step's value."""
        return self.worked()[-1][3]

    def narrative(self) -> str:
        """The story with its result stated, as a book would tell it."""
        return f"{self.story} {self.result.format(answer=self.answer)}"


@dataclass(frozen=True)
class Template:
    """One kind of situation; {a} {b} {c} are its numbers, drawn from ``ranges``."""

    name: str
    story: str
    question: str
    result: str
    ranges: Sequence[tuple[int, int]]
    steps: tuple[Step, ...]


_SMALL, _MEDIUM, _LARGE = (2, 9), (3, 20), (12, 45)

TEMPLATES = (
    Template(
        "gain",
        "{A} has {a} {things}. {B} gives {him} {b} more.",
        "How many {things} does {A} have now?",
        "Now {A} has {answer} {things}.",
        (_LARGE, _MEDIUM),
        (Step("x", "a", "+", "b"),),
    ),
    Template(
        "loss",
        "{A} has {a} {things}. {He} loses {b} on the way.",
        "How many {things} are left?",
        "So {answer} {things} are left.",
        (_LARGE, _MEDIUM),
        (Step("x", "a", "-", "b"),),
    ),
    Template(
        "bags",
        "{A} buys {a} bags with {b} {things} in each bag.",
        "How many {things} does {A} buy?",
        "That is {answer} {things} for {A}.",
        (_SMALL, _SMALL),
        (Step("x", "a", "*", "b"),),
    ),
    Template(
        "share",
        "{A} shares {a} {things} among {b} friends.",
        "How many {things} does each friend get?",
        "Each friend gets {answer} {things}.",
        (_LARGE, _SMALL),
        (Step("x", "a", "//", "b"),),
    ),
    Template(
        "more_bags",
        "{A} has {a} {things}. {He} buys {b} bags with {c} {things} in each bag.",
        "How many {things} does {A} have now?",
        "Now {A} has {answer} {things}.",
        (_MEDIUM, _SMALL, _SMALL),
        (Step("x", "b", "*", "c"), Step("y", "a", "+", "x")),
    ),
    Template(
        "boxes_gift",
        "{A} has {a} boxes with {b} {things} in each box. {He} gives {c} {things} to {B}.",
        "How many {things} are left?",
        "So {answer} {things} are left.",
        (_SMALL, _SMALL, _MEDIUM),
        (Step("x", "a", "*", "b"), Step("y", "x", "-", "c")),
    ),
    Template(
        "together",
        "{A} has {a} {things}. {B} has {b} more {things} than {A}.",
        "How many {things} do they have together?",
        "Together they have {answer} {things}.",
        (_MEDIUM, _MEDIUM),
        (Step("x", "a", "+", "b"), Step("y", "a", "+", "x")),
    ),
    Template(
        "times",
        "{A} has {a} {things}. {B} has {b} times as many {things} as {A}.",
        "How many {things} do they have together?",
        "Together they have {answer} {things}.",
        (_SMALL, (2, 5)),
        (Step("x", "a", "*", "b"), Step("y", "a", "+", "x")),
    ),
    Template(
        "day",
        "{A} finds {a} {things} in the morning and {b} {things} at night. {He} gives {c} {things} to {B}.",
        "How many {things} are left?",
        "So {answer} {things} are left.",
        (_MEDIUM, _MEDIUM, _SMALL),
        (Step("x", "a", "+", "b"), Step("y", "x", "-", "c")),
    ),
    Template(
        "change",
        "One lamp costs {a} coins. {A} buys {b} lamps and pays with {c} coins.",
        "How many coins does {A} get back?",
        "{A} gets {answer} coins back.",
        (_SMALL, _SMALL, _LARGE),
        (Step("x", "a", "*", "b"), Step("y", "c", "-", "x")),
    ),
    Template(
        "walk",
        "{A} walks {a} miles a day for {b} days. Then {he} walks {c} miles more.",
        "How many miles does {A} walk?",
        "That is a walk of {answer} miles.",
        (_SMALL, _SMALL, _MEDIUM),
        (Step("x", "a", "*", "b"), Step("y", "x", "+", "c")),
    ),
    Template(
        "share_gain",
        "{A} and {his} friends share {a} {things} among {b} people. Then {B} gives {A} {c} more.",
        "How many {things} does {A} have now?",
        "Now {A} has {answer} {things}.",
        (_LARGE, _SMALL, _MEDIUM),
        (Step("x", "a", "//", "b"), Step("y", "x", "+", "c")),
    ),
)


ASKED = tuple(t for t in TEMPLATES if t.name not in ("share", "share_gain", "more_bags"))
"""The situations that the tasks ask about; the others are only told. A model of this size needs more rows for those."""


def problem(
    rng: random.Random,
    templates: Sequence[Template] = TEMPLATES,
    *,
    cast: Sequence[Person] | None = None,
    things: str | None = None,
) -> Problem:
    """Draw a problem whose numbers stay within 2 to ``LIMIT`` and whose divisions come out even.

    Args:
        rng: Source of randomness.
        templates: Situations to choose from.
        cast: Two people to tell it about, in either order; drawn if none are given.
        things: What they have, likewise.
    """
    template = rng.choice(templates)
    while True:
        numbers = dict(zip("abc", (rng.randint(*r) for r in template.ranges), strict=False))
        steps = tuple(
            Step(s.name, numbers.get(str(s.left), s.left), s.op, numbers.get(str(s.right), s.right))
            for s in template.steps
        )
        drawn = Problem("", "", "", "", steps)
        worked = drawn.worked()
        if all(2 <= value <= LIMIT for *_, value in worked) and all(
            left % right == 0 for left, op, right, _ in worked if op == "//"
        ):
            break
    first, second = rng.sample(cast or people(rng, 2), 2)
    words = {
        "A": first.name,
        "B": second.name,
        "he": first.he,
        "He": capital(first.he),
        "him": first.him,
        "his": first.his,
        "things": things or rng.choice(THINGS),
    }
    return Problem(
        key=f"problem {template.name} {' '.join(map(str, numbers.values()))}",
        story=template.story.format(**words, **numbers),
        question=template.question.format(**words),
        result=template.result.format(**words, answer="{answer}"),
        steps=steps,
    )
