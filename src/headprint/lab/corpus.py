"""The pretraining text: broad, generated, endless, and without a row of any task's test split.

It gives a model partial knowledge of the skills behind the tasks: small stories with quantities, sums in words and
at a Python prompt, Python functions with comments, an encyclopedia of the made-up world, everyday sequences of
events, stories about who did what to whom and why, small talk, and requests with their answers in many forms.
"""

import random
from collections.abc import Callable, Iterator

from headprint.lab import events, exchanges, frames, functions, problems
from headprint.lab.world import (
    ATTRIBUTES,
    FACTS,
    THINGS,
    TOWNS,
    capital,
    people,
    person,
)

_NAMES = ["scale", "shift", "adjust", "change", "convert", "update", "measure", "apply"]


def documents(seed: int = 0) -> Iterator[str]:
    """Yield documents of about 30 to 120 words without end; the same seed gives the same text."""
    rng = random.Random(f"headprint corpus {seed}")
    kinds, weights = zip(*_MIX, strict=True)
    while True:
        yield rng.choices(kinds, weights)[0](rng)


def _narrative(rng: random.Random) -> str:
    """Small stories with quantities about the same people and things, each with its result stated."""
    cast, things = people(rng, 2), rng.choice(THINGS)
    told = [problems.problem(rng, cast=cast, things=things).narrative() for _ in range(rng.randint(2, 4))]
    return f"Today {' Then '.join(told)}"


def _sum(rng: random.Random) -> tuple[int, str, int, int]:
    """One operation with its value, all within 0 to ``problems.LIMIT``."""
    op = rng.choice(("+", "+", "-", "-", "*", "//"))
    if op in "*//":
        a = rng.randint(2, 9)
        b = rng.randint(2, min(9, problems.LIMIT // a))
        return (a, "*", b, a * b) if op == "*" else (a * b, "//", b, a)
    b = rng.choice((rng.randint(1, 9), rng.randint(1, 30)))
    a = rng.randint(1, problems.LIMIT - b)
    return (a, "+", b, a + b) if op == "+" else (a + b, "-", b, a)


_SPOKEN = {
    "+": ("{a} and {b} make {c}.", "{a} plus {b} is {c}.", "If you add {b} to {a} you get {c}."),
    "-": ("{a} less {b} is {c}.", "Take {b} from {a} and {c} is left.", "{a} minus {b} is {c}."),
    "*": ("{a} times {b} is {c}.", "{a} rows of {b} are {c}.", "{a} bags of {b} hold {c}."),
    "//": ("{a} shared by {b} gives {c} each.", "{b} goes {c} times into {a}."),
}


def _spoken_sums(rng: random.Random) -> str:
    """Arithmetic in words."""
    lines = []
    for _ in range(rng.randint(5, 9)):
        a, op, b, c = _sum(rng)
        lines.append(rng.choice(_SPOKEN[op]).format(a=a, b=b, c=c))
    return " ".join(lines)


def _counting(rng: random.Random) -> str:
    """Numbers in steps, upwards and downwards."""
    step = rng.randint(1, 9)
    numbers = list(range(rng.randint(0, 20), problems.LIMIT + 1, step))[: rng.randint(8, 16)]
    if rng.random() < 0.4:
        numbers.reverse()
    return f"Count in steps of {step}: " + ", ".join(map(str, numbers)) + "."


def _prompt(rng: random.Random) -> str:
    """A Python session: expressions, names, their values."""
    lines = []
    for _ in range(rng.randint(4, 7)):
        a, op, b, c = _sum(rng)
        if rng.random() < 0.35:
            d = rng.randint(1, 9)
            name, other = rng.sample("abcnmk", 2)
            lines.append(f">>> {name} = {a} {op} {b}\n>>> {other} = {name} + {d}\n>>> {other}\n{c + d}")
        else:
            lines.append(f">>> {a} {op} {b}\n{c}")
    return "\n".join(lines)


def _functions(rng: random.Random) -> str:
    """Python functions, each under a comment that says what it does."""
    parts = []
    for name in rng.sample(_NAMES, rng.randint(2, 3)):
        drawn = functions.function(rng)
        parts.append(f"# {drawn.comment}\n{drawn.source(name)}")
    return "\n\n".join(parts)


def _step_function(rng: random.Random) -> str:
    """A Python function that computes in named steps."""
    parts = []
    for _ in range(2):
        a, b, c = rng.sample("abcnmk", 3)
        first, second = _sum(rng), rng.choice("+-")
        parts.append(
            f"def {rng.choice(_NAMES)}({c}):\n    {a} = {first[0]} {first[1]} {first[2]}\n"
            f"    {b} = {a} {second} {c}\n    return {b}"
        )
    return "\n\n".join(parts)


def _table(rng: random.Random) -> str:
    """A Python dictionary about people or towns, and look-ups in it."""
    name, attribute = rng.choice(list(ATTRIBUTES.items()))
    towns = rng.sample(TOWNS, 3)
    entries = ", ".join(f'"{town}": "{FACTS[town, name]}"' for town in towns)
    asked = rng.sample(towns, 2)
    looks = "\n".join(f'>>> {name}["{town}"]\n"{FACTS[town, name]}"' for town in asked)
    return f"# {attribute.noun} of the towns\n>>> {name} = {{{entries}}}\n{looks}"


def _register(rng: random.Random) -> str:
    """Who has how many of what, in sentences and then in Python: names come with and without quotes."""
    cast, things = people(rng, 3), rng.choice(THINGS)
    counts = [rng.randint(2, problems.LIMIT) for _ in cast]
    told = " ".join(f"{who.name} has {count} {things}." for who, count in zip(cast, counts, strict=True))
    entries = ", ".join(f'"{who.name}": {count}' for who, count in zip(cast, counts, strict=True))
    most = max(range(len(cast)), key=counts.__getitem__)
    return (
        f"# {told}\n>>> {things} = {{{entries}}}\n"
        f'>>> {things}["{cast[most].name}"]\n{counts[most]}\n'
        f'>>> max({things}, key={things}.get)\n"{cast[most].name}"'
    )


def _town(rng: random.Random) -> str:
    """An encyclopedia's entry: all that is known about two towns."""
    return " ".join(
        rng.choice(attribute.statements).format(town=town, value=FACTS[town, name])
        for town in rng.sample(TOWNS, 2)
        for name, attribute in rng.sample(list(ATTRIBUTES.items()), len(ATTRIBUTES))
    )


def _survey(rng: random.Random) -> str:
    """One kind of fact across several towns."""
    name, attribute = rng.choice(list(ATTRIBUTES.items()))
    return " ".join(
        rng.choice(attribute.statements).format(town=town, value=FACTS[town, name]) for town in rng.sample(TOWNS, 8)
    )


def _traveller(rng: random.Random) -> str:
    """Somebody from one town visits another: people, towns and their facts in one story."""
    who = person(rng)
    home, away = rng.sample(TOWNS, 2)
    told = [
        rng.choice(attribute.statements).format(town=town, value=FACTS[town, name])
        for town, (name, attribute) in zip((home, away, away), rng.sample(list(ATTRIBUTES.items()), 3), strict=True)
    ]
    return (
        f"It is said that {who.name} is from {home}. {told[0]} One day {who.he} travels to {away}. {told[1]} {told[2]} "
        f"Then {who.name} from {home} goes back to {home}."
    )


def _everyday(rng: random.Random) -> str:
    """One person's two everyday sequences of events, from start to end."""
    who = person(rng)
    told = []
    for _ in range(2):
        _, sequence, item = events.draw(rng)
        told.append(" ".join(sequence.tell(who, item)))
    return f"This morning {' Then '.join(told)}"


_SCENES = (
    "{act} because {he} {reason}.",
    "{act} because {name} {reason}.",
    "{name} {reason}. So {act}.",
    "{act} because {he} {reason}. It is true that {name} {reason}.",
)


def _scenes(rng: random.Random) -> str:
    """What two people do to each other and why: sometimes with a pronoun, sometimes with the name instead of it."""
    cast = people(rng, 2, same_gender=True)
    told = []
    for _ in range(rng.randint(2, 4)):
        drawn = frames.scene(rng, cast)
        told.append(
            rng.choice(_SCENES).format(act=drawn.act, reason=drawn.reason, he=drawn.pronoun, name=drawn.meant.name)
        )
    return f"One day {cast[0].name} and {cast[1].name} meet. {' Then '.join(told)}"


def _talk(rng: random.Random) -> str:
    """Small talk: offers and choices, greetings, who has what."""
    first, second = people(rng, 2)
    attribute = rng.choice(list(ATTRIBUTES.values()))
    offer = rng.sample(attribute.values, 4)
    thing, other = rng.sample(THINGS, 2)
    choice = rng.choice(offer)
    lines = [
        f'"Good day, {second.name}!" says {first.name}.',
        f'"Would you like {", ".join(offer[:3])} or {offer[3]}?" asks {first.name}. "{capital(choice)}," '
        f"says {second.name}. So {first.name} brings the {choice}.",
        f'"I have {thing} and you have {other}," says {second.name}. Then {first.name} gives {second.him} '
        f"the {other} and takes the {thing}.",
        f'"Can you say {", ".join(offer)}?" "Yes: {", ".join(offer)}."',
    ]
    return " ".join(rng.sample(lines, 3))


_MIX: tuple[tuple[Callable[[random.Random], str], float], ...] = (
    (_narrative, 17),
    (_spoken_sums, 12),
    (_counting, 3),
    (_prompt, 15),
    (_functions, 12),
    (_step_function, 4),
    (_table, 3),
    (_register, 4),
    (_town, 6),
    (_survey, 4),
    (_traveller, 3),
    (_everyday, 7),
    (_scenes, 12),
    (_talk, 8),
    (exchanges.document, 6),
)
