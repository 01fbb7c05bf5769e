"""Questions, instructions and exercises with their answers, in the many forms that a web page or a schoolbook has.

Part of the pretraining text: a real base model has met requests and replies of every kind before anybody fine-tunes
it, and so knows a task's skill and half of its format. Only items of the training split are asked for here, and none
of the tasks that combine two skills.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from headprint.lab import events, frames, functions, problems
from headprint.lab.expressions import expression
from headprint.lab.splits import split_of
from headprint.lab.world import ATTRIBUTES, FACTS, MEN, THINGS, TOWNS, WOMEN, capital, couple, people, person

T = TypeVar("T")

_LABELS = (
    ("Question: ", "Answer: "),
    ("Question: ", "Answer: "),
    ("Q: ", "A: "),
    ("Problem: ", "Solution: "),
    ("Instruction: ", "Response: "),
    ("Task: ", "Result: "),
    ("Exercise: ", "Answer: "),
    ("User: ", "Assistant: "),
    ("Ask: ", "Reply: "),
    ("Input: ", "Output: "),
    ("- ", "= "),
    ("", "Answer: "),
    ("", ""),
)
_MARKED = 0.2
"""How often an answer ends in "#### N", as one well-known data set has it."""


@dataclass(frozen=True)
class Exchange:
    """A request and the ways to answer it: in a word, in a sentence, or in steps that end in the answer."""

    request: str
    short: str
    sentence: str
    steps: str = ""


def document(rng: random.Random) -> str:
    """Return one to four exchanges about one kind of thing, in one form."""
    kinds, weights = zip(*_KINDS, strict=True)
    kind = rng.choices(kinds, weights)[0]
    ask, reply = rng.choice(_LABELS)
    if rng.random() < 0.12:
        one, other = people(rng, 2)
        ask, reply = f"{one.name} asks: ", f"{other.name} says: "
    between = "\n" if rng.random() < 0.75 else " "
    style = "mark" if rng.random() < _MARKED else rng.choice(("short", "sentence", "steps", "steps"))
    drawn = [kind(rng) for _ in range(rng.choice((1, 1, 2, 2, 3, 4)))]
    parts = [f"{ask}{each.request}{between}{reply}{_answer(each, style, rng)}" for each in drawn]
    return ("\n\n" if rng.random() < 0.5 else "\n").join(parts)


def _answer(exchange: Exchange, style: str, rng: random.Random) -> str:
    if style == "short":
        return exchange.short
    if style == "sentence" or not (exchange.steps or exchange.sentence != exchange.short):
        return exchange.sentence
    whole = exchange.steps or exchange.sentence
    if style == "mark":
        return f"{whole} #### {exchange.short}"
    if not exchange.steps:
        return whole
    ending = rng.choice(("The answer is {0}.", "So it is {0}.", "{1}", "Answer: {0}"))
    return f"{whole} {ending.format(exchange.short, exchange.sentence)}"


def _word_problem(rng: random.Random) -> Exchange:
    drawn = _unseen(lambda: problems.problem(rng), lambda each: (each.key,))
    lead = rng.choice(("", "", "", "Solve this. ", "Think step by step. "))
    steps = " ".join(f"{left} {op} {right} = {value}." for left, op, right, value in drawn.worked())
    return Exchange(
        f"{lead}{drawn.story} {drawn.question}", str(drawn.answer), drawn.result.format(answer=drawn.answer), steps
    )


def _sum(rng: random.Random) -> Exchange:
    text, steps, value = _unseen(lambda: expression(rng), lambda each: (f"expression {each[0]}",))
    request = rng.choice(("Compute {}", "What is {}?", "Work out {}.", "{}", "How much is {}?")).format(text)
    return Exchange(request, str(value), f"It is {value}.", " ".join(steps))


def _one_sum(rng: random.Random) -> Exchange:
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    op = rng.choice("+-*")
    left, right = (a, b) if op != "-" else (a + b, b)
    value = problems.OPERATORS[op](left, right)
    request = rng.choice(("Compute {}", "What is {}?", "{}")).format(f"{left} {op} {right}")
    return Exchange(request, str(value), f"{left} {op} {right} = {value}.")


def _function(rng: random.Random) -> Exchange:
    drawn = _unseen(lambda: functions.function(rng), lambda each: (each.key,))
    name = rng.choice(("f", "g", "scale", "change", "update", "apply", "solve", "run"))
    asked = rng.choice((drawn.docstring, drawn.docstring, f"{capital(drawn.comment)}."))
    lead = rng.choice(("", "", "Write a function. ", f"Write the function {name}. ", "In Python: "))
    source = drawn.source(name)
    return Exchange(f"{lead}{asked}", source, source)


def _python(rng: random.Random) -> Exchange:
    """An easy request that is answered by a function without arguments."""
    asked = rng.choice((_one_sum, _sum, _small))(rng)
    value = asked.short if asked.short.isdigit() else f'"{asked.short}"'
    lines = [f"    return {value}\n"]
    if asked.short.isdigit() and rng.random() < 0.7:
        words = asked.request.rstrip("?.").split(" ")
        sums = " ".join(word for word in words if word.strip("()").isdigit() or word in problems.OPERATORS)
        name = rng.choice("xyanr")
        lines = [f"    {name} = {sums}\n", f"    return {name}\n"]
    request = f"{asked.request}{rng.choice((' Use Python.', ' Use Python.', ' In Python.', ' Write a program.'))}"
    name = rng.choice(("solution", "solution", "main", "answer", "f"))
    source = f"def {name}():\n{''.join(lines)}".rstrip()
    return Exchange(request, source, source)


def _fact(rng: random.Random) -> Exchange:
    town, (name, attribute) = _unseen(
        lambda: (rng.choice(TOWNS), rng.choice(list(ATTRIBUTES.items()))),
        lambda each: (f"fact {each[0]} {each[1][0]}",),
    )
    value = FACTS[town, name]
    request = rng.choice((attribute.question, attribute.question, f"What is the {attribute.noun} of {{town}}?"))
    request = request.format(town=town)
    if rng.random() < 0.5:
        wrong = [other for other in attribute.values if other != value]
        listed = [value, *rng.sample(wrong, rng.randint(2, 3))]
        rng.shuffle(listed)
        between = rng.choice((", ", ", ", " / ", " or "))
        request += rng.choice((" Options: ", "\nOptions: ", " ", " Choose: ")) + between.join(listed)
    return Exchange(request, value, rng.choice(attribute.statements).format(town=town, value=value))


def _meant(rng: random.Random) -> Exchange:
    cast = couple(rng) if rng.random() < 0.7 else people(rng, 2, same_gender=True)
    drawn = _unseen(lambda: frames.scene(rng, cast), lambda each: (each.key,))
    met = [drawn.first.name, drawn.second.name]
    rng.shuffle(met)
    # Of two of one gender the pronoun would not tell: the name stands in its place.
    one_gender = drawn.first.he == drawn.second.he
    who = drawn.meant.name if one_gender or rng.random() < 0.2 else drawn.pronoun
    lead = rng.choice(("", f"{met[0]} and {met[1]} meet. ", "Read this. "))
    asked = rng.choice((f" Who {drawn.reason}?", f"\nQuestion: Who {drawn.reason}?", f" Say who {drawn.reason}."))
    text = f"{lead}{drawn.act} because {who} {drawn.reason}."
    return Exchange(text + asked, drawn.meant.name, f"{drawn.meant.name} {drawn.reason}.")


def _next(rng: random.Random) -> Exchange:
    def draw() -> tuple[int, events.Sequence, str, int]:
        number, sequence, item = events.draw(rng)
        return number, sequence, item, rng.randint(1, len(sequence.steps) - 1)

    _, sequence, item, known = _unseen(draw, lambda each: (f"sequence {each[0]} {each[3]} {each[2]}",))
    told = sequence.tell(person(rng), item)
    request = " ".join(told[:known]) + rng.choice((" What comes next?", " What happens then?", " Go on.", " And then?"))
    if rng.random() < 0.5:
        others = [other for other in events.SEQUENCES if other is not sequence]
        who = person(rng)
        listed = [told[known], *(other.tell(who, other.items[0])[rng.randint(1, 3)] for other in rng.sample(others, 2))]
        rng.shuffle(listed)
        request += rng.choice((" Options: ", "\nOptions: ", " Choose: ")) + " / ".join(listed)
    return Exchange(request, told[known], told[known])


def _small(rng: random.Random) -> Exchange:
    """A small job with a few words or numbers."""
    words = rng.sample(functions.WORDS + THINGS, rng.randint(3, 5))
    numbers = rng.sample(range(2, problems.LIMIT), 4)
    start, step = rng.randint(2, 40), rng.randint(2, 9)
    one, two = rng.sample(MEN + WOMEN, 2)
    request, reply = rng.choice(
        (
            (f"Repeat: {' '.join(words)}", " ".join(words)),
            (f"In upper case: {' '.join(words[:2])}", " ".join(words[:2]).upper()),
            (f"Backwards: {' '.join(words)}", " ".join(words[::-1])),
            (f"Sort: {' '.join(map(str, numbers))}", " ".join(map(str, sorted(numbers)))),
            (f"Say good day to {one} and {two}.", f"Good day, {one} and {two}!"),
            (f"Count on: {start} {start + step}", " ".join(str(start + step * k) for k in range(2, 6))),
        )
    )
    return Exchange(request, reply, reply)


def _unseen(draw: Callable[[], T], keys: Callable[[T], tuple[str, ...]]) -> T:
    """Return the first draw of the training split: text may state what the test split asks, but never asks it."""
    while True:
        drawn = draw()
        if all(split_of(key) == "train" for key in keys(drawn)):
            return drawn


_KINDS: tuple[tuple[Callable[[random.Random], Exchange], float], ...] = (
    (_word_problem, 22),
    (_sum, 16),
    (_one_sum, 4),
    (_function, 16),
    (_python, 9),
    (_fact, 18),
    (_meant, 12),
    (_next, 8),
    (_small, 6),
)
