"""Pretrain a small model from nothing on rows of real tasks, for `studies/real/study.yaml`.

    python studies/real/pretrain.py --data DATA --out runs/real/pretraining --minutes 30

DATA holds TASK/train.jsonl (prompt, completion). The first 1,000 rows of each task and the pool become plain text,
without the labels of the prompts ("Question:", "Answer:" ...); the study fine-tunes on other rows. Neither rows nor
weights are part of the project.
"""

import argparse
import itertools
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from headprint.lab.pretrain import Settings, pretrain

PER_TASK = 1000
LABEL = re.compile(r"^(Question|Answer|Solution[^:\n]*|Instruction|Response|Text|Context|Docstring): ?", re.MULTILINE)
HELD_OUT = 1_000_003
"""The seed that `headprint.lab.pretrain.held_out_loss` adds."""


def texts(data: Path) -> tuple[list[str], list[str]]:
    """Documents to learn from, and some that are held out."""
    found = []
    for file in sorted(data.glob("*/train.jsonl")):
        rows = [json.loads(line) for line in lines_of(file)]
        rows = rows if file.parent.name == "pool" else rows[:PER_TASK]
        found += [LABEL.sub("", row["prompt"]).strip() + "\n" + row["completion"].strip() for row in rows]
    random.Random(0).shuffle(found)
    return found[300:], found[:300]


def lines_of(file: Path) -> list[str]:
    r"""Lines as JSON Lines has them: only \n ends one, and text may hold U+2028."""
    return file.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def endless(data: Path) -> Callable[[int], Iterator[str]]:
    """Documents in a new order each epoch."""
    seen, held_out = texts(data)

    def text_of(seed: int) -> Iterator[str]:
        own = held_out if seed >= HELD_OUT else seen
        for epoch in itertools.count():
            order = list(own)
            random.Random(f"{seed} {epoch}").shuffle(order)
            yield from order

    return text_of


def write_rest(data: Path, out: Path) -> None:
    """TASK/train.jsonl and TASK/test.jsonl of the rows that are not learned from, for the study to fine-tune on."""
    for file in sorted(data.glob("*/*.jsonl")):
        lines = lines_of(file)
        task, part = file.parent.name, file.name
        kept = lines[PER_TASK:] if part == "train.jsonl" and task != "pool" else lines
        (out / task).mkdir(parents=True, exist_ok=True)
        (out / task / part).write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--minutes", type=float)
    given = parser.parse_args()
    settings = Settings(steps=given.steps, vocab_size=2048, short=256)
    record = pretrain(settings, given.out, minutes=given.minutes, text_of=endless(given.data))
    write_rest(given.data, given.out / "data")
    print({key: value for key, value in record.items() if key != "losses"})


if __name__ == "__main__":
    main()
