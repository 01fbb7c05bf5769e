"""A task's rows: read, put into TRL's prompt/completion by templates, split into train, reserve, probe and test."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateError, UndefinedError
from jinja2.sandbox import SandboxedEnvironment

from headprint.base.errors import InputError
from headprint.base.files import write_json_lines
from headprint.data import read_rows, row_id
from headprint.study.groundwork.settings import TaskConfig
from headprint.study.pipeline import Needs, stage

TaskRow = dict[str, Any]

MOST = 50_000
"""Rows of one source that are looked at; samples are drawn from these."""

READ_FIELDS = ("train_split", "test_split", "prompt", "completion", "columns", "keep")
"""The fields of a task that decide its rows, beside what is in the sources."""


@stage(version=1, ignores={"data", "test_data"})
def rows(
    out: Path,
    needs: Needs,
    *,
    task: dict[str, Any],
    data: str,
    test_data: str | None,
    content: str,
    held_out: str | None,
    divided: bool,
    name: str,
    seed: int,
    parts: list[str],
    train: int = 0,
    reserve: int | None = 0,
    probe: int = 0,
    test: int = 0,
) -> None:
    """Split a task's rows, and write the parts that are asked for, as ``PART.jsonl``.

    What is in the sources decides the key, by the hashes ``content`` and ``held_out`` and by whether one source is
    ``divided``; where they are does not.
    """
    found = split_rows(
        TaskConfig(data=data, test=test_data, **task),
        name,
        train=train,
        reserve=reserve,
        probe=probe,
        test=test,
        seed=seed,
    )
    for part in parts:
        write_json_lines(out / f"{part}.jsonl", found[part])


def split_rows(
    task: TaskConfig, name: str, *, train: int, reserve: int | None, probe: int, test: int, seed: int
) -> dict[str, list[TaskRow]]:
    """Draw a task's rows and split them.

    Args:
        task: Where they are and what becomes of them.
        name: Of the task, for messages and as the rows' ``task``.
        train: Rows to train on.
        reserve: Rows to draw mixtures from, those to train on among them; None: all.
        probe: Rows to measure patterns on, of the test split.
        test: Rows to judge answers on, others of the test split.
        seed: Of the draw.

    Returns:
        ``train``, ``reserve``, ``probe`` and ``test``.

    Raises:
        InputError: There are too few, a column is missing, or a template fails.
    """
    parts: dict[str, list[TaskRow]] = {}
    rng = random.Random(f"{name} {seed}")
    own = shuffled(task, name, task.data, task.train_split, rng)
    if one_source(task):
        own, held = divided(own, probe + test)
    else:
        held = shuffled(task, name, task.test or task.data, task.test_split, rng) if probe + test else []
        seen = {_text(row) for row in own}
        held = [row for row in held if _text(row) not in seen]
    parts["train"] = _take(own, train, f"{name}: {task.data}", "train")
    parts["reserve"] = own if reserve is None else own[: max(reserve, train)]
    parts["probe"] = _take(held, probe, f"{name}: {task.test or task.data}", "probe")
    parts["test"] = _take(held[probe:], test, f"{name}: {task.test or task.data}", "test")
    return parts


def one_source(task: TaskConfig) -> bool:
    """Whether rows to train on and held-out rows are all in one place: one split, or a file, which has no splits."""
    return task.test is None and (task.train_split == task.test_split or Path(task.data).is_file())


def divided(rows: list[TaskRow], held: int) -> tuple[list[TaskRow], list[TaskRow]]:
    """Rows to train on, and the first ``held`` rows to hold out, no text on both sides."""
    seen = {_text(row) for row in rows[:held]}
    return [row for row in rows[held:] if _text(row) not in seen], rows[:held]


def shuffled(task: TaskConfig, name: str, source: str, split: str, rng: random.Random) -> list[TaskRow]:
    """All rows of a split in random order, with templates applied and an id of their own."""
    rows = list(_formed(task, name, source, split))
    rng.shuffle(rows)
    return rows


def _formed(task: TaskConfig, name: str, source: str, split: str) -> Iterator[TaskRow]:
    environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    try:
        texts = {
            field: environment.from_string(template)
            for field in ("prompt", "completion")
            if (template := getattr(task, field)) is not None
        }
        values = {
            field: environment.compile_expression(code, undefined_to_none=False) for field, code in task.columns.items()
        }
        keep = environment.compile_expression(task.keep, undefined_to_none=False) if task.keep else None
    except TemplateError as error:
        raise InputError(f"tasks.{name}: a template is broken: {error}") from error
    for number, row in enumerate(islice(read_rows(source, split=split), MOST)):
        columns = dict(row.data)
        try:
            if keep is not None and not keep(**columns):
                continue
            made = {field: value(**columns) for field, value in values.items()}
            for field, value in made.items():
                if isinstance(value, StrictUndefined):
                    raise UndefinedError(f"{task.columns[field]!r} finds nothing")
            made |= {field: template.render(**columns) for field, template in texts.items()}
        except (TemplateError, TypeError, ValueError, KeyError) as error:
            there = ", ".join(columns)
            raise InputError(f"{row.place}: tasks.{name}'s templates fail: {error}; columns: {there}") from error
        formed = {**columns, **made, "task": columns.get("task", name)}
        formed["id"] = f"{name}-{row_id(row, number)}"
        if not ("messages" in formed or {"prompt", "completion"} <= formed.keys()):
            raise InputError(
                f"{row.place}: tasks.{name} needs prompt and completion (or messages); columns: {', '.join(columns)}; "
                "give templates: prompt: '...{{ column }}...'"
            )
        yield formed


def _take(rows: list[TaskRow], count: int, where: str, what: str) -> list[TaskRow]:
    if len(rows) < count:
        raise InputError(f"{where}: {count} {what} rows were asked for, {len(rows)} are left: ask for fewer (sizes)")
    return rows[:count]


def _text(row: TaskRow) -> str:
    return json.dumps(row["messages"]) if "messages" in row else str(row["prompt"])
