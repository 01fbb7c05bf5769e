"""Application 2: train on the rows of a pool that are most like the target before a task with few rows (Table 3)."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic.dataclasses import dataclass

from headprint.study.chapters.arms import ArmRow, MeanArm, arms_figure, by_target, compared, counted, means
from headprint.study.chapters.chapter import Chapter, Claim, View
from headprint.study.chapters.common import distinct
from headprint.study.records import STRICT
from headprint.study.verdicts import Check, Evidence, listed


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


_SIMILARITIES = ("correlation", "cosine")


def _views(exhibit: Exhibit, seeds: Sequence[int]) -> list[View]:
    table = exhibit.table3
    return [arms_figure("table3", table.title, table.caption, table.arms, table.rows, table.summary, seeds)]


def is_pattern_method(arm: str) -> bool:
    """Whether an arm selects by patterns (``raw-correlation``, ``change-cosine``, ...)."""
    return arm.endswith(_SIMILARITIES)


def _evidence(exhibit: Exhibit) -> Evidence:
    """Rows selected by patterns beat random rows of the pool, for each method and target."""
    rows = exhibit.table3.rows
    checks: list[Check] = []
    sentences, numbers = [], []
    for target, of in by_target(rows).items():
        methods = [arm for arm in distinct(of, "arm") if is_pattern_method(arm)]
        found = {method: compared(of, target, method, "random", names=(method, "random rows")) for method in methods}
        known = {method: each[0] for method, each in found.items() if each}
        if not known:
            continue
        checks += known.values()
        better = [method for method, check in known.items() if check.holds]
        worse = [method for method, check in known.items() if check.holds is False]
        text = f"on {target} {len(better)} of {len(known)} pattern methods beat random rows"
        text += f" ({listed(better)})" if better else ""
        text += f", {listed(worse)} did worse" if worse else ""
        sentences.append(text)
        numbers.append(f"{target}: {means(of, ('random', *known))}")
    if not checks:
        return Evidence()
    text = "; ".join(sentences)
    here = f"{text[:1].upper()}{text[1:]}.{counted(checks)}"
    return Evidence(checks=checks, here=here, number="; ".join(numbers))


CHAPTER = Chapter(
    name="selection",
    exhibit=Exhibit,
    title="Application 2: select rows from a pool",
    question="When nobody knows the basic tasks: does it help to train first on the rows of a pool whose patterns are "
    "most like the target's?",
    views=_views,
    claim=Claim(
        text="Rows of a pool whose patterns are like the target's are better to train on than random ones.",
        evidence=_evidence,
        meanings={
            "replicates": "Here too, rows selected by patterns are better to train on than random ones.",
            "mixed": "Some ways to compare patterns help; others do not, or cannot be told from chance.",
            "does not": "Here selecting by patterns is no better than choosing at random.",
        },
    ),
)
