"""Application 2: train on the rows of a pool that are most like the target before a task with few rows (Table 3)."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from headprint.study.chapters.arms import ArmRow, MeanArm
from headprint.study.chapters.chapter import Chapter
from headprint.study.records import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Table3:
    """Every method of selecting, for every target; ``arms`` says in words what each one does."""

    title: str = "Rows selected from a pool before a task with few rows"
    caption: str = (
        "Held-out accuracy and loss of the target. Every method takes as many supervised tokens; the "
        "second stage is the same for all."
    )
    arms: dict[str, str]
    rows: list[ArmRow]
    summary: list[MeanArm]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    table3: Table3


CHAPTER = Chapter("selection", Exhibit)
