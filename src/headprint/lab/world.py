"""The made-up world: people, things, and towns whose facts a model can only learn by reading."""

import random
from dataclasses import dataclass


def words(text: str) -> tuple[str, ...]:
    """Split a text into words, for lists that are easier to read without quotes."""
    return tuple(text.split())


MEN = words(
    """
    Tom Ben Sam Max Leo Jack Hugo Owen Finn Karl Paul Emil Otto Theo Ivan Noel Abel Cole Dean Fred
    Glen Hans Jude Kent
    """
)
WOMEN = words(
    """
    Anna Mia Eva Lily Rosa Jane Nora Ella Ruth Kate Ida Vera Dora Gwen Hope Iris June Lena Maud Nina
    Olga Sara Tess Zoe
    """
)

THINGS = words("apples pears plums nuts eggs coins books pens shells stones cards stamps")
TOOLS = words("rope lamp spade cart knife coat ladder drum boat hammer basket kettle")

_HEADS = words("Vel Kar Dun Mor Tal Bre Lin Sor Fen Gal Hol Ost Pra Rim Wes Zan")
_TAILS = ("mora", "sk", "dale", "vik")
TOWNS = tuple(head + tail for head in _HEADS for tail in _TAILS)


@dataclass(frozen=True)
class Attribute:
    """One thing that is known about every town.

    Attributes:
        name: Its key in :data:`ATTRIBUTES`.
        values: What it can be.
        statements: Sentences that say it, for the pretraining text.
        question: A question for it, for fine-tuning only.
        noun: What it is called.
    """

    name: str
    values: tuple[str, ...]
    statements: tuple[str, ...]
    question: str
    noun: str


ATTRIBUTES = {
    attribute.name: attribute
    for attribute in (
        Attribute(
            "trade",
            ("salt", "wool", "glass", "honey", "iron", "silk", "paper", "corn", "wood", "fish"),
            (
                "{town} trades in {value}.",
                "The people of {town} sell {value}.",
                "The best {value} comes from {town}.",
                "Merchants travel to {town} for its {value}.",
            ),
            "What do people sell in {town}?",
            "trade",
        ),
        Attribute(
            "colour",
            ("red", "blue", "green", "white", "black", "yellow", "pink", "purple", "brown", "grey"),
            (
                "The flag of {town} is {value}.",
                "A {value} flag flies over {town}.",
                "{town} has a {value} flag.",
                "In {town} every flag is {value}.",
            ),
            "What colour is the flag of {town}?",
            "colour",
        ),
        Attribute(
            "animal",
            ("fox", "owl", "bear", "hare", "wolf", "crow", "deer", "goat", "swan", "hawk"),
            (
                "The animal of {town} is the {value}.",
                "The coins of {town} show the {value}.",
                "The people of {town} honour the {value}.",
                "A stone {value} guards {town}.",
            ),
            "Which animal stands for {town}?",
            "animal",
        ),
        Attribute(
            "sight",
            ("tower", "bridge", "mill", "lake", "garden", "castle", "market", "school", "well", "gate"),
            (
                "{town} is known for its {value}.",
                "Visitors of {town} go to see the {value}.",
                "The pride of {town} is its old {value}.",
                "{town} grew around a {value}.",
            ),
            "What do visitors see in {town}?",
            "sight",
        ),
        Attribute(
            "drink",
            ("milk", "tea", "cider", "juice", "water", "wine", "broth", "coffee", "cocoa", "beer"),
            (
                "People in {town} drink {value}.",
                "{town} is a town of {value} drinkers.",
                "At noon {town} has its {value}.",
                "Every inn of {town} serves {value}.",
            ),
            "What do people drink in {town}?",
            "drink",
        ),
    )
}


def _draw_facts() -> dict[tuple[str, str], str]:
    rng = random.Random("the world of headprint")
    return {(town, name): rng.choice(attribute.values) for town in TOWNS for name, attribute in ATTRIBUTES.items()}


FACTS: dict[tuple[str, str], str] = _draw_facts()
"""(town, attribute name) -> value: all there is to know."""


@dataclass(frozen=True)
class Person:
    """A name with its pronouns."""

    name: str
    he: str
    him: str
    his: str


def person(rng: random.Random) -> Person:
    """Draw one person."""
    return people(rng, 1)[0]


def people(rng: random.Random, count: int, *, same_gender: bool = False) -> list[Person]:
    """Draw ``count`` people with different names.

    Args:
        rng: Source of randomness.
        count: How many.
        same_gender: All men or all women, so that a pronoun alone doesn't tell them apart.
    """
    names = rng.choice((MEN, WOMEN)) if same_gender else MEN + WOMEN
    return [_called(name) for name in rng.sample(names, count)]


def couple(rng: random.Random) -> list[Person]:
    """Draw a man and a woman, so that a pronoun tells them apart for those who know which name is which."""
    return [_called(rng.choice(MEN)), _called(rng.choice(WOMEN))]


def _called(name: str) -> Person:
    return Person(name, "he", "him", "his") if name in MEN else Person(name, "she", "her", "her")


def capital(text: str) -> str:
    """Return the text with its first letter in upper case, the rest unchanged."""
    return text[:1].upper() + text[1:]
