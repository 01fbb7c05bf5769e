"""The page's parts in order: what was asked, what was found, what it means, and the exhibits that show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headprint.study import gather
from headprint.study.checks import listed, named
from headprint.study.estimates import number, value_of
from headprint.study.report import tables
from headprint.study.report.drawings import Drawing
from headprint.study.report.tables import Table

Tables = Callable[[Mapping[str, Any]], list[Table | None]]


@dataclass(frozen=True)
class Figure:
    """An exhibit on the page: a drawing, its caption, and its tables, folded."""

    name: str
    title: str
    caption: str
    notes: list[str]
    tables: list[Table]


@dataclass(frozen=True)
class Section:
    """One part of the page.

    Attributes:
        key: Its anchor, and its finding's key.
        title: Heading.
        question: What is asked.
        finding: As in ``results.json``; None if it has none.
        meaning: What the verdict means here.
        note: Something else that the numbers say.
        figures: Exhibits; without any, one line says so.
    """

    key: str
    title: str
    question: str
    finding: Mapping[str, Any] | None = None
    meaning: str = ""
    note: str = ""
    figures: list[Figure] = field(default_factory=list)


# (key of the section, title, what is asked, {drawing: (exhibit, its tables)})
_SECTIONS: tuple[tuple[str, str, str, dict[str, tuple[str, Tables | None]]], ...] = (
    (
        "base",
        "Where the models start",
        "A study of fine-tuning can only show something on tasks that are mostly failed before and learned after.",
        {"base_rates": ("base_rates", tables.base_rates)},
    ),
    (
        "spreading",
        "Finding 1: activation spreads",
        "Does a task use a few heads, and do more of them share the work after fine-tuning? Lower Gini, coefficient of "
        "variation and kurtosis mean a more even pattern.",
        {"table1": ("table1", tables.table1), "fig1": ("fig1", None)},
    ),
    (
        "composition",
        "Finding 2: complex tasks are made of basic ones",
        "Is what fine-tuning on a complex task changes a weighted sum of what its basic tasks change? Nearly all pairs "
        "of tasks fit each other somewhat, so look at how far the best one stands above the rest.",
        {"fig3": ("fig3", None), "fig4": ("fig4", tables.fig4), "fig2": ("fig2", None)},
    ),
    (
        "few_samples",
        "Finding 3: few samples suffice",
        "How soon does the pattern leave the place where it was before training?",
        {"fig5": ("fig5", tables.fig5), "patterns": ("fig5", None)},
    ),
    (
        "mixture",
        "Application 1: mix basic tasks for a complex one",
        "When a complex task has few rows: does it help to train on basic tasks first, mixed by Finding 2's weights?",
        {"table2": ("table2", tables.arms)},
    ),
    (
        "selection",
        "Application 2: select rows from a pool",
        "When nobody knows the basic tasks: does it help to train first on the rows of a pool whose patterns are most "
        "like the target's?",
        {"table3": ("table3", tables.arms)},
    ),
    (
        "causal",
        "Ablation: do active heads matter?",
        "A level is a product with a gradient, not an effect. Here heads are switched off: does the task suffer more "
        "without the heads that are most active, or that changed most, than without as many random ones?",
        {"ablation": ("ablation", tables.ablation)},
    ),
)

_MEANINGS: dict[str, dict[str, str]] = {
    "spreading": {
        "replicates": "Here too, fine-tuning does not sharpen a few heads: more of them come to share the work.",
        "mixed": "Spreading is no general rule here: look at which tasks spread and which do not before relying on it.",
        "does not": "Here fine-tuning concentrates activation or leaves it as it was, unlike in the paper.",
    },
    "composition": {
        "replicates": "Here too, the fit points at the skills that the complex task was built from.",
        "mixed": "The fit knows something of the skills behind a complex task, and not enough to be trusted alone.",
        "does not": "Here the fit does not single out the skills that the complex task was built from.",
    },
    "few_samples": {
        "replicates": "Most of the movement is early: a short run already shows where a long one takes the pattern.",
        "mixed": "The early steps move the pattern, and later ones still do: a short run shows part of the way only.",
        "does not": "Here the pattern keeps moving through training; the first steps do not tell where it ends.",
    },
    "mixture": {
        "replicates": "Here too, weights from patterns make a better first stage than chance or none.",
        "mixed": "Some comparisons favour the mixture and others do not, or cannot tell: see each below.",
        "does not": "Here the mixture by pattern weights does not help.",
    },
    "selection": {
        "replicates": "Here too, rows selected by patterns are better to train on than random ones.",
        "mixed": "Some ways to compare patterns help and others do not, or cannot be told from chance: see each below.",
        "does not": "Here selecting by patterns is no better than choosing at random.",
    },
    "causal": {
        "replicates": "The level is a usable guide: the most active heads carry more of the task than others.",
        "mixed": "The level tells something about which heads matter, but not reliably.",
        "does not": "A high level does not mean that the task needs the head.",
    },
}


def sections(results: Mapping[str, Any], drawn: Mapping[str, Drawing]) -> list[Section]:
    """The parts of a study's page.

    Args:
        results: What ``results.json`` holds.
        drawn: Its drawings.
    """
    found = {finding["key"]: finding for finding in results.get("findings") or []}
    return [
        Section(
            key,
            title,
            question,
            found.get(key),
            _MEANINGS.get(key, {}).get(found.get(key, {}).get("verdict", ""), ""),
            _learned(results["exhibits"].get("base_rates")) if key == "base" else "",
            [
                figure
                for name, (exhibit, make) in of.items()
                if (figure := _figure(name, results["exhibits"].get(exhibit), make, results, name in drawn))
            ],
        )
        for key, title, question, of in _SECTIONS
    ]


_HALF = 0.5


def _learned(exhibit: Mapping[str, Any] | None) -> str:
    """In how many tasks there is something to see, and what the others are."""
    rows = gather.summary_of(exhibit)
    stages = {
        named(row, rows): [
            value_of(gather.estimate_at(rows, "accuracy", model=row["model"], task=row["task"], stage=stage))
            for stage in ("before", "after")
        ]
        for row in rows
    }
    known = {task: (a, b) for task, (a, b) in stages.items() if a is not None and b is not None}
    if not known:
        return ""
    others = {task: x for task, x in known.items() if not x[0] < _HALF < x[1]}
    told = [f"{task} ({number(a, percent=True)} → {number(b, percent=True)})" for task, (a, b) in others.items()]
    end = f"; not in {listed(told)}" if told else ""
    return (
        f"Here that holds for {len(known) - len(told)} of {len(known)} tasks: below 50 % before, above it after{end}."
    )


_TITLES = {"fig3": "The idea on this run's numbers", "patterns": "The pattern, step by step"}
_CAPTIONS = {
    "fig3": "Changes of the basic tasks, weighted and added up, beside the complex task's change; all on one scale.",
    "patterns": "Move the slider through training: the pattern at that step, and its change since before training.",
    "fig1": "Point at a head to read it, or focus a map and use the arrow keys.",
}


def _figure(
    name: str, exhibit: Mapping[str, Any] | None, make: Tables | None, results: Mapping[str, Any], is_drawn: bool
) -> Figure | None:
    exhibit = exhibit or {}
    shown = [each for each in (make(exhibit) if make else []) if each]
    if not is_drawn and not shown:
        return None
    own = "" if name in _TITLES else str(exhibit.get("caption") or "")
    caption = " ".join(text for text in (own, _CAPTIONS.get(name, "")) if text)
    return Figure(
        name, _TITLES.get(name) or str(exhibit.get("title") or name), caption, _notes(name, exhibit, results), shown
    )


def _notes(name: str, exhibit: Mapping[str, Any], results: Mapping[str, Any]) -> list[str]:
    """How many examples and seeds stand behind the numbers, and what the whiskers are."""
    rows = [row for key in ("rows", "maps", "runs", "intact") for row in exhibit.get(key) or []]
    counts = sorted({row["n"] for row in rows if row.get("n")})
    seeds = len(results.get("seeds") or [])
    notes = []
    if counts:
        size = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        notes.append(f"n = {size} examples per task")
    if name == "fig1":
        notes.append("Each seed is a training run of its own" if seeds > 1 else f"Seed {_first_seed(results)}")
    elif name in ("patterns", "fig3"):
        notes.append(f"Seed {_first_seed(results)}")
    elif name == "fig2":
        notes.append(
            "Point at a cell for its 95 % interval over examples" + (" (of a single seed)" if seeds > 1 else "")
        )
    elif name == "fig4":
        notes.append(
            "Intervals: Student's t over seeds, 95 %" if seeds > 1 else "One seed: no intervals in the drawing"
        )
        notes.append("● marks the tasks that the target is made of")
    elif seeds > 1:
        notes.append(f"Means over {seeds} seeds; intervals: Student's t over seeds, 95 %")
    else:
        notes.append("One seed; intervals are over examples, 95 %, and do not cover the luck of a training run")
    if name in ("table2", "table3"):
        arms = gather.names(exhibit.get("rows"), "arm")
        notes.append(
            f"{len(arms)} arms, no correction for many comparisons; the dashed line is training on the target only"
        )
    return notes


def _first_seed(results: Mapping[str, Any]) -> Any:
    seeds = results.get("seeds") or ["–"]
    return seeds[0]
