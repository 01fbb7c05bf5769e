"""A finding's checks, and the verdict that they add up to; the rules are told in :mod:`headprint.study.findings`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from headprint.study.estimates import ends_of

Verdict: TypeAlias = Literal["replicates", "mixed", "does not", "not tested"]

CHANCE = 0.05
"""The p up to which something is taken for more than chance."""

_MOST = 3 / 4
_FEW = 1 / 4


@dataclass(frozen=True)
class Check:
    """One thing that the claim says, and whether it holds here; None if that is unclear."""

    text: str
    holds: bool | None


@dataclass(frozen=True)
class Finding:
    """The paper's number, what this run shows, this run's number, and the checks; empty if there is nothing to show."""

    paper: str | None = None
    here: str | None = None
    number: str | None = None
    checks: list[Check] = field(default_factory=list)


def judged(estimate: Any, side: int = 1) -> bool | None:
    """Whether the whole interval lies on one side of 0: above it for ``side`` 1, below it for -1."""
    ends = ends_of(estimate)
    if ends is None:
        return None
    near, far = sorted(side * end for end in ends)
    return True if near > 0 else False if far < 0 else None


def judged_share(count: int, total: int) -> bool | None:
    """Whether most cases (3/4) agree, or few (1/4) do."""
    return True if count >= _MOST * total else False if count <= _FEW * total else None


def verdict(checks: Sequence[Check]) -> Verdict:
    """What the checks add up to."""
    states = [check.holds for check in checks]
    if not states:
        return "not tested"
    if all(states):
        return "replicates"
    return "does not" if True not in states and False in states else "mixed"


def listed(names: Iterable[str]) -> str:
    """``a, b and c``."""
    *first, last = list(names)
    return f"{', '.join(first)} and {last}" if first else last


def named(cell: Mapping[str, Any], cells: Sequence[Mapping[str, Any]], key: str = "task") -> str:
    """A cell's task, and its model where there are several."""
    return str(cell[key]) if len({each["model"] for each in cells}) == 1 else f"{cell[key]} ({cell['model']})"


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return text[:1].upper() + text[1:] + "."
