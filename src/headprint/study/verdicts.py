"""The verdict on a claim: checks, and the rules by which they add up.

Each finding is a list of checks. A check **holds**, **fails**, or is **unclear**, and the verdict is the first of these
that applies::

    not tested         there is no check: the exhibit is absent, has no numbers, or is too small to tell
    one seed           the study has a single training run of each kind: its intervals are over examples and leave out
                       the luck of training, so nothing is said to replicate or not
    cannot be decided  the experiment's positive control, something that is known to help, shows no effect either
    replicates         every check holds
    unclear            no check holds and none fails
    does not           no check holds, and at least one fails
    mixed              some checks hold and others do not

A check on a number holds if its 95% interval lies on the claimed side of 0, fails if it lies on the other side, and is
unclear if it reaches across 0 or if there is no interval. Intervals are Student's over seeds, or over tasks where the
text says so; of a single seed they are the exhibit's own, over examples. A check on a share of cases holds from 3/4 of
them and fails up to 1/4. Nothing is corrected for many comparisons: their number is given instead.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

from pydantic.dataclasses import dataclass

from headprint.study.estimates import Number, ends_of
from headprint.study.records import STRICT

Verdict: TypeAlias = Literal[
    "replicates", "mixed", "unclear", "does not", "cannot be decided", "one seed", "not tested"
]

CHANCE = 0.05
"""The p up to which something counts as more than chance."""

_MOST = 3 / 4
_FEW = 1 / 4


@dataclass(frozen=True, config=STRICT)
class Check:
    """One thing that a claim says.

    Attributes:
        text: With the numbers that decide.
        holds: Whether it holds here; None if that is unclear.
    """

    text: str
    holds: bool | None


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What an exhibit says about a claim.

    Attributes:
        checks: Everything that the claim says and that the exhibit can tell.
        here: What this study shows, in a sentence or two; None if it cannot tell.
        number: This study's numbers.
        paper: The paper's own.
        control: Whether the positive control shows an effect; None where the experiment has none.
        meanings: What some verdicts mean here, where the numbers allow to say more than the claim's own meanings.
        seeds: Behind the exhibit, where it has not all seeds of the study.
    """

    checks: Sequence[Check] = ()
    here: str | None = None
    number: str | None = None
    paper: str | None = None
    control: bool | None = None
    meanings: Mapping[Verdict, str] = dataclasses.field(default_factory=dict)
    seeds: int | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Finding:
    """A claim and what a study shows of it.

    Attributes:
        key: Of the chapter.
        claim: The paper's, in a sentence.
        verdict: What the checks add up to.
        here: What this study shows, in a sentence or two.
        meaning: What that means.
        paper: The paper's own numbers.
        number: This study's numbers.
        checks: All of them, also those that fail.
        is_question: Whether the paper leaves the claim open.
    """

    key: str
    claim: str
    verdict: Verdict
    here: str
    meaning: str = ""
    paper: str | None = None
    number: str | None = None
    checks: list[Check] = dataclasses.field(default_factory=list)
    is_question: bool = False


def judged(number: Number, side: int = 1) -> bool | None:
    """Whether the whole interval lies on one side of 0: above it for ``side`` 1, below it for -1."""
    ends = ends_of(number)
    if ends is None:
        return None
    near, far = sorted(side * end for end in ends)
    return True if near > 0 else False if far < 0 else None


def judged_share(count: int, total: int) -> bool | None:
    """Whether most cases (3/4) agree, or few (1/4) do."""
    return True if count >= _MOST * total else False if count <= _FEW * total else None


def verdict(checks: Sequence[Check], *, seeds: int, control: bool | None = None) -> Verdict:
    """What the checks add up to.

    Args:
        checks: Of one claim.
        seeds: Training runs of each kind.
        control: Whether the positive control shows an effect; None where the experiment has none.
    """
    states = {check.holds for check in checks}
    if not states:
        return "not tested"
    if seeds == 1:
        return "one seed"
    if control is False:
        return "cannot be decided"
    if states == {True}:
        return "replicates"
    if states == {None}:
        return "unclear"
    return "mixed" if True in states else "does not"


_MEANINGS: dict[Verdict, str] = {
    "unclear": "The numbers lean one way or the other, but no check is clear: more seeds, tasks or rows would tell.",
    "one seed": "One training run of each kind shows what can happen, not what usually does: more seeds would tell.",
    "cannot be decided": "Even what is known to help makes no clear difference here, so this experiment could not have "
    "shown an effect: it takes more seeds, or a target that rows of other tasks help.",
}
"""What a verdict means, whatever the claim."""


def concluded(
    key: str,
    claim: str,
    evidence: Evidence,
    *,
    seeds: int,
    meanings: Mapping[Verdict, str],
    is_question: bool = False,
) -> Finding:
    """The finding that evidence adds up to.

    Args:
        key: Of the chapter.
        claim: In a sentence.
        evidence: What the exhibit says.
        seeds: Training runs of each kind.
        meanings: What the verdicts mean for this claim.
        is_question: Whether the paper leaves the claim open.
    """
    found = verdict(evidence.checks, seeds=seeds, control=evidence.control)
    return Finding(
        key=key,
        claim=claim,
        verdict=found,
        here=evidence.here or "Not tested in this run.",
        meaning=evidence.meanings.get(found) or meanings.get(found) or _MEANINGS.get(found, ""),
        paper=evidence.paper,
        number=evidence.number,
        checks=list(evidence.checks),
        is_question=is_question,
    )


def listed(names: Iterable[str]) -> str:
    """``a, b and c``."""
    *first, last = list(names)
    return f"{', '.join(first)} and {last}" if first else last


def sentence(text: str) -> str:
    """The text with a capital letter and a full stop."""
    return text[:1].upper() + text[1:] + "."
