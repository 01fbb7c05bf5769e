"""Application 1: mix rows of basic tasks by pattern weights, to train on before a task with few rows (Table 2)."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic.dataclasses import dataclass

from headprint.study.chapters.arms import ArmRow, MeanArm, arms_figure, by_target, compared, counted, means
from headprint.study.chapters.chapter import Chapter, Claim, View
from headprint.study.records import STRICT
from headprint.study.verdicts import Check, Evidence
from headprint.study.views import Column, Table


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PublishedArms:
    """The paper's own accuracies on MathBench, in percent."""

    model: str
    base: float
    target: float
    random: float
    mixture: float


PUBLISHED = [
    PublishedArms(model="Llama-7B", base=28.68, target=31.78, random=33.82, mixture=36.82),
    PublishedArms(model="Llama2-7B", base=29.07, target=34.50, random=36.75, mixture=38.50),
    PublishedArms(model="Llama3-8B", base=46.12, target=49.22, random=50.10, mixture=52.33),
]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Table2:
    """Every arm of every target; ``arms`` says in words what each one does."""

    title: str = "Mixtures of basic tasks before a task with few rows"
    caption: str = (
        "Held-out accuracy and loss of the target. Every first stage has as many supervised tokens as "
        "the mixture; the second stage is the same for all."
    )
    arms: dict[str, str]
    rows: list[ArmRow]
    summary: list[MeanArm]
    paper: list[PublishedArms]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    table2: Table2


_OTHERS = {"target": "target rows only", "random": "a random mixture first"}
_NAME = "the pattern mixture first"


def _views(exhibit: Exhibit, seeds: Sequence[int]) -> list[View]:
    table = exhibit.table2
    published = Table(
        title="In the paper: accuracy, %",
        columns=[Column(name) for name in ("Model", "base", "target", "random", "mixture")],
        rows=[[row.model, row.base, row.target, row.random, row.mixture] for row in table.paper],
        is_open=True,
    )
    return [
        arms_figure(
            "table2", table.title, table.caption, table.arms, table.rows, table.summary, seeds, published=[published]
        )
    ]


def _evidence(exhibit: Exhibit) -> Evidence:
    """The mixture first beats target rows only, and a random mixture first, for each target.

    The positive control is the arm of the tasks that the target is made of, which should beat random rows. Where it
    does not, the target cannot tell whether the pattern mixture helps, and its comparisons decide nothing.
    """
    table = exhibit.table2
    paper = "; ".join(
        f"{row.model}, MathBench: {row.target:.1f} → {row.mixture:.1f} % (random {row.random:.1f} %)"
        for row in table.paper
    )
    checks: list[Check] = []
    seen: list[Check] = []
    sentences, numbers, controls = [], [], []
    for target, rows in by_target(table.rows).items():
        known = [
            each
            for other, label in _OTHERS.items()
            if (each := compared(rows, target, "mixture", other, names=(_NAME, label)))
        ]
        if not known:
            continue
        text = f"on {target} {' and '.join(text for _, text in known)}"
        permuted = compared(rows, target, "mixture", "permuted", names=(_NAME, "its shares permuted"))
        if permuted:  # our own control and no claim of the paper's: reported, and not judged
            text += f" (and {permuted[1]} over the tasks)"
        control = compared(rows, target, "named", "random", names=("the named parts first", "random rows"))
        if control:
            controls.append(control[0].holds is True)
            text += f"; the positive control, the parts that people name, changes {control[1]}"
        works = control is None or controls[-1]
        end = "" if works else " (undecided: the positive control shows no effect either)"
        seen += [check for check, _ in known]
        checks += [Check(check.text + end, check.holds if works else None) for check, _ in known]
        sentences.append(text)
        numbers.append(f"{target}: {means(rows, ('base', 'target', 'random', 'mixture'))}")
    if not checks:
        return Evidence(paper=paper)
    return Evidence(
        checks=checks,
        here=f"Training on the pattern mixture first changes, {'; '.join(sentences)}.{counted(seen)}",
        number="; ".join(numbers),
        paper=paper,
        control=any(controls) if controls else None,
    )


CHAPTER = Chapter(
    name="mixture",
    exhibit=Exhibit,
    title="Application 1: mix basic tasks for a complex one",
    question="When a complex task has few rows: does it help to train on basic tasks first, mixed by the weights of "
    "Finding 2?",
    views=_views,
    claim=Claim(
        text="Basic tasks mixed by pattern weights, trained on first, help a complex task whose rows are scarce.",
        evidence=_evidence,
        meanings={
            "replicates": "Here too, weights from patterns make a better first step than chance or none.",
            "mixed": "Some comparisons favor the mixture and others do not, or cannot tell: see each below.",
            "does not": "Here the mixture by pattern weights does not help.",
        },
    ),
)
