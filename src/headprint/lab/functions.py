"""Small Python functions with what they do in words: behind ``code`` and the snippets of the pretraining text."""

import random
from dataclasses import dataclass

from headprint.lab.world import words

WORDS = words("sun moon star tree rain snow wind leaf")


@dataclass(frozen=True)
class Function:
    """One function and two descriptions of it.

    Attributes:
        key: What makes two functions the same item.
        argument: Name of its one argument.
        body: Lines of its body.
        docstring: The description in the prompts of ``code``.
        comment: The description in the pretraining text.
    """

    key: str
    argument: str
    body: tuple[str, ...]
    docstring: str
    comment: str

    def source(self, name: str) -> str:
        """Return the definition under the given name."""
        return f"def {name}({self.argument}):\n" + "\n".join(f"    {line}" for line in self.body)


_CHAIN = {
    "+": (("Add {k} to x", "then add {k}"), ("x plus {k}", "plus {k}")),
    "-": (("Subtract {k} from x", "then subtract {k}"), ("x less {k}", "less {k}")),
    "*": (("Multiply x by {k}", "then multiply by {k}"), ("{k} times x", "all of it times {k}")),
}

_LISTS = (
    ("Return the sum of the items plus {k}.", "total of the items and {k}", "return sum(items) + {k}"),
    ("Return the largest item minus {k}.", "the biggest item less {k}", "return max(items) - {k}"),
    ("Return the smallest item times {k}.", "{k} times the least item", "return min(items) * {k}"),
    ("Return the number of items plus {k}.", "how many items and {k}", "return len(items) + {k}"),
    ("Return the items, each times {k}.", "every item {k} times", "return [i * {k} for i in items]"),
    ("Return the items, each plus {k}.", "every item and {k}", "return [i + {k} for i in items]"),
    ("Return the items above {k}.", "only items over {k}", "return [i for i in items if i > {k}]"),
    ("Return the items below {k}.", "only items under {k}", "return [i for i in items if i < {k}]"),
    ("Return the items that are not {k}.", "items without {k}", "return [i for i in items if i != {k}]"),
)

_TEXTS = (
    ('Return the text with "{w}" at the end.', "text, then {w}", 'return text + "{w}"'),
    ('Return the text with "{w}" in front.', "{w}, then text", 'return "{w}" + text'),
    ('Return the text in capitals with "{w}" at the end.', "loud text, then {w}", 'return text.upper() + "{w}"'),
    ('Return the text in capitals with "{w}" in front.', "{w}, then loud text", 'return "{w}" + text.upper()'),
    ('Return whether "{w}" is in the text.', "is there {w} in text", 'return "{w}" in text'),
    ("Return the length of the text plus {k}.", "size of text and {k}", "return len(text) + {k}"),
)


def function(rng: random.Random) -> Function:
    """Draw a function: half are chains of arithmetic, the rest conditions, lists and texts."""
    family = rng.choices((_chain, _condition, _list, _text), weights=(4, 2, 3, 1))[0]
    return family(rng)


def _chain(rng: random.Random) -> Function:
    first, second = rng.choice("+-*"), rng.choice("+-*")
    k = [rng.randint(2, 9 if op == "*" else 20) for op in (first, second)]
    start = f"x {first} {k[0]}"
    # A product of a sum needs brackets; everything else reads from left to right.
    if second == "*" and first != "*":
        start = f"({start})"
    docstring, comment = (
        f"{_CHAIN[first][style][0].format(k=k[0])}, {_CHAIN[second][style][1].format(k=k[1])}" for style in (0, 1)
    )
    body = f"return {start} {second} {k[1]}"
    return Function(f"function {body}", "x", (body,), docstring + ".", comment)


def _condition(rng: random.Random) -> Function:
    op, word, short = rng.choice(((">", "larger", "over"), ("<", "smaller", "under")))
    k, high, low = (rng.randint(2, 20) for _ in range(3))
    body = (f"if x {op} {k}:", f"    return {high}", f"return {low}")
    return Function(
        f"function {' '.join(body)}",
        "x",
        body,
        f"Return {high} if x is {word} than {k}, else {low}.",
        f"{high} for x {short} {k}, {low} for the rest",
    )


def _list(rng: random.Random) -> Function:
    return _fill(rng, "items", rng.choice(_LISTS))


def _text(rng: random.Random) -> Function:
    return _fill(rng, "text", rng.choice(_TEXTS))


def _fill(rng: random.Random, argument: str, pattern: tuple[str, str, str]) -> Function:
    k, w = rng.randint(2, 20), rng.choice(WORDS)
    docstring, comment, body = (part.format(k=k, w=w) for part in pattern)
    return Function(f"function {body}", argument, (body,), docstring, comment)
