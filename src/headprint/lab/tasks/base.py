"""What a task is: a seeded generator of rows and a check of answers."""

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from headprint.base.errors import InputError

Split = Literal["train", "test"]
Kind = Literal["basic", "complex", "pool"]
Row = dict[str, Any]

TEST_SHARE = 0.2
_TRIES = 400
"""Draws per row before the task counts as used up."""


@dataclass(frozen=True)
class Item:
    """One drawn item, before it becomes a row.

    `keys` name what is asked, whatever the wording: they decide the split, across all tasks. `completion` has no
    leading space; `answer` is what `check` compares with (for functions: the gold source).
    """

    keys: tuple[str, ...]
    prompt: str
    completion: str
    answer: str
    skills: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """A task of the laboratory.

    `draw` makes one item from a random source, `judge` compares a row's answer with a model's output.
    """

    name: str
    kind: Kind
    description: str
    draw: Callable[[random.Random], Item] = field(repr=False)
    judge: Callable[[Row, str], bool] = field(repr=False)

    def generate(self, split: str = "train", n: int = 1000, *, seed: int = 0) -> list[Row]:
        """Draw `n` rows with different prompts.

        Args:
            split: "train" or "test"; they share no item, whatever the seeds.
            n: number of rows.
            seed: another seed draws other rows; the same seed draws the same rows, and fewer of them are a prefix.

        Returns:
            Rows in TRL's prompt/completion convention with `id`, `prompt`, `completion`, `task`, `answer`, and
            `skills` for a pool. An id depends on the prompt alone.

        Raises:
            InputError: unknown split, or more rows asked for than the task has.
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
        """Whether a model's output (what follows the prompt, without special tokens) answers the row."""
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


def split_of(key: str) -> Split:
    """The split that an item belongs to for ever: a hash of its key, so that no two seeds or tasks disagree."""
    share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") / 2**32
    return "test" if share < TEST_SHARE else "train"


def same_text(row: Row, output: str) -> bool:
    """The output's first line is the answer, but for spaces and a final full stop."""
    lines = output.strip().splitlines()
    return bool(lines) and lines[0].strip().rstrip(".") == row["answer"].rstrip(".")


def same_final(row: Row, output: str) -> bool:
    """What follows the last "####" is the answer, as in GSM8K."""
    _, mark, final = output.rpartition("####")
    words = final.split()
    return bool(mark) and bool(words) and words[0] == row["answer"]


def options(rng: random.Random, right: str, wrong: Sequence[str], count: int) -> list[str]:
    """The right option among `count - 1` wrong ones, in random order."""
    chosen = [right, *rng.sample([option for option in wrong if option != right], count - 1)]
    rng.shuffle(chosen)
    return chosen
