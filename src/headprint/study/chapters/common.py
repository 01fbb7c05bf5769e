"""What several chapters share: rows picked and grouped, and the notes on examples and seeds below their figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from headprint.study.estimates import Estimate, mean_of, value_of, values_of
from headprint.study.views import Chooser, Column, Text

Row = TypeVar("Row")

MODEL = Column("Model", is_context=True)
BY_MODEL = Chooser(label="Model", on_paper="file")


def where(rows: Iterable[Row], **fields: Any) -> list[Row]:
    """The rows whose fields have these values."""
    return [row for row in rows if all(getattr(row, name) == value for name, value in fields.items())]


def distinct(rows: Iterable[Any], name: str) -> list[Any]:
    """The values of a field, each once, in the order of the rows."""
    return list(dict.fromkeys(getattr(row, name) for row in rows))


def groups(rows: Iterable[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by the values of some fields, in their order."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(getattr(row, name) for name in names), []).append(row)
    return found


def over(estimates: Iterable[Estimate | float | None]) -> Estimate:
    """The mean over seeds with Student's interval; of a single seed its own estimate."""
    known = [each for each in estimates if value_of(each) is not None]
    only = known[0] if len(known) == 1 else None
    return only if isinstance(only, Estimate) else mean_of(values_of(known))


def qualified(row: Any, rows: Sequence[Any], name: str = "task") -> str:
    """A row's task, with its model where there are several."""
    return str(getattr(row, name)) if len(distinct(rows, "model")) == 1 else f"{getattr(row, name)} ({row.model})"


def examples(counts: Iterable[int]) -> Text:
    """How many examples stand behind the numbers."""
    known = sorted(set(counts))
    size = " to ".join(map(str, dict.fromkeys((known[0], known[-1])))) if known else "–"
    return Text(f"n = {size} examples per task.")


def spread_of(seeds: Sequence[int]) -> Text:
    """What the intervals are over."""
    if len(seeds) > 1:
        return Text(f"Means over {len(seeds)} seeds; intervals: Student's t over seeds, 95 %.")
    return Text("One seed; intervals are over examples, 95 %, and do not cover the luck of a training run.")
