"""What a task is: a seeded generator of rows and a check of answers."""

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from headprint.base.errors import InputError
from headprint.lab.splits import split_of

Kind = Literal["basic", "complex", "pool"]
"""A basic skill, a composite of basic ones, or a mixture of everything to select from."""
Row = dict[str, Any]
"""A ``prompt``, a ``completion``, and what checks an answer to it."""

_TRIES = 400
"""Draws per row before the task counts as used up."""


@dataclass(frozen=True)
class Item:
    """One drawn item, before it becomes a row.

    Attributes:
        keys: What is asked, whatever the wording; they decide the split, across all tasks.
        prompt: The prompt.
        completion: The completion, without a leading space.
        answer: What :meth:`Task.check` compares with; for functions, the source of a right one.
        skills: What the item needs; for a pool.
    """

    keys: tuple[str, ...]
    prompt: str
    completion: str
    answer: str
    skills: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """A task of the laboratory.

    Attributes:
        name: As in ``lab:NAME``.
        kind: ``"basic"``, ``"complex"`` (made of basic ones) or ``"pool"`` (to select from).
        description: One line.
        draw: Makes one item from a source of randomness.
        judge: Compares a row's answer with a model's output.
        parts: The basic tasks that a complex one is made of.
    """

    name: str
    kind: Kind
    description: str
    draw: Callable[[random.Random], Item] = field(repr=False)
    judge: Callable[[Row, str], bool] = field(repr=False)
    parts: tuple[str, ...] = ()

    def generate(self, split: str = "train", n: int = 1000, *, seed: int = 0) -> list[Row]:
        """Draw ``n`` rows with different prompts.

        Args:
            split: ``"train"`` or ``"test"``; they share no item, whatever the seeds.
            n: Number of rows.
            seed: Another seed draws other rows; the same seed draws the same rows, and fewer of them are a prefix.

        Returns:
            Rows in TRL's prompt/completion convention with ``id`` (which depends on the prompt alone), ``prompt``,
            ``completion``, ``task``, ``answer``, and ``skills`` for a pool.

        Raises:
            InputError: Unknown split, or more rows asked for than the task has.
        """
        if split not in ("train", "test"):
            raise InputError(f'task {self.name}: no split "{split}"; choose "train" or "test"')
        rng = random.Random(f"headprint {self.name} {split} {seed}")
        rows: dict[str, Row] = {}
        for _ in range(_TRIES * n):
            if len(rows) == n:
                break
            item = self.draw(rng)
            if item.prompt not in rows and all(split_of(key) == split for key in item.keys):
                rows[item.prompt] = self._row(item)
        if len(rows) < n:
            raise InputError(
                f"task {self.name}: only about {len(rows)} different {split} rows exist, {n} were asked for; "
                "ask for fewer"
            )
        return list(rows.values())

    def check(self, row: Row, output: str) -> bool:
        """Return whether a model's output (what follows the prompt, without special tokens) answers the row."""
        return self.judge(row, output)

    def _row(self, item: Item) -> Row:
        digest = hashlib.sha256(item.prompt.encode()).hexdigest()[:12]
        row: Row = {
            "id": f"{self.name}-{digest}",
            "prompt": item.prompt,
            "completion": f" {item.completion}",
            "task": self.name,
            "answer": item.answer,
        }
        if self.kind == "pool":
            row["skills"] = list(item.skills)
        return row


def same_text(row: Row, output: str) -> bool:
    """Return whether the output's first line is the answer, apart from spaces and a final full stop."""
    lines = output.strip().splitlines()
    return bool(lines) and lines[0].strip().rstrip(".") == row["answer"].rstrip(".")


def same_final(row: Row, output: str) -> bool:
    """Return whether the word after the last ``####`` is the answer, as in GSM8K."""
    _, mark, final = output.rpartition("####")
    words = final.split()
    return bool(mark) and bool(words) and words[0] == row["answer"]


def options(rng: random.Random, right: str, wrong: Sequence[str], count: int) -> list[str]:
    """Return the right option among ``count - 1`` wrong ones, in random order."""
    chosen = [right, *rng.sample([option for option in wrong if option != right], count - 1)]
    rng.shuffle(chosen)
    return chosen
