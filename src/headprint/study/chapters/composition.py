"""Claim 2: what a complex task changes is a combination of what basic tasks change (Figures 2, 3 and 4)."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal, TypeAlias

from pydantic.dataclasses import dataclass

from headprint.study.chapters.chapter import Chapter
from headprint.study.estimates import Estimate
from headprint.study.records import STRICT, Matrix

Method: TypeAlias = Literal["nnls", "lstsq"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Correlations:
    """Tasks × tasks, with the ends of each entry's interval."""

    value: Matrix
    low: Matrix
    high: Matrix


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TaskMatrices:
    """Correlation over heads of every two tasks' patterns, in one run."""

    model: str
    seed: int
    tasks: list[str]
    method: str
    before: Correlations
    after: Correlations
    change: Correlations
    relative: Correlations


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeanMatrices:
    """The same, averaged over seeds."""

    model: str
    tasks: list[str]
    seeds: int
    before: Matrix
    after: Matrix
    change: Matrix
    relative: Matrix


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Fig2:
    """How alike the tasks' patterns and changes are."""

    title: str = "Correlation of tasks' patterns"
    caption: str = (
        "Pearson correlation over heads of two tasks' patterns before and after fine-tuning, of the "
        "changes, and of the change rates (change / before). Patterns are dense and positive, so high correlations are "
        "no news by themselves."
    )
    matrices: list[TaskMatrices]
    summary: list[MeanMatrices]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Equation:
    """A complex task beside the weighted changes of the basic tasks that it is made of, in the first run that has both.

    Attributes:
        model: Name in the config.
        seed: Of the run.
        target: The complex task.
        parts: The basic tasks.
        weights: Of each part, in the fit of these parts alone.
        r2: Of that fit.
        maps: Change by task, layers × heads: of the parts, and of the target.
        fitted: The parts' changes, weighted and added up.
    """

    model: str
    seed: int
    target: str
    parts: list[str]
    weights: dict[str, float]
    r2: float | None
    maps: dict[str, Matrix]
    fitted: Matrix


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Fig3:
    """The idea, on this run's numbers: one equation for each model that has one."""

    title: str = "The idea"
    caption: str = "A complex task needs the skills, and the heads, of basic ones."
    equations: list[Equation] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Null:
    """R² of targets whose heads were permuted: mean, 95th percentile, and the share that fits as well as the target."""

    mean: float | None
    high: float | None
    p_value: float | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Subset:
    """The fit of one subset of the basic tasks."""

    tasks: list[str]
    weights: dict[str, float]
    r2: float | None
    adjusted: float | None
    cross_validated: float | None
    null: Null | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Gap:
    """How far the best subset of one size stands above the median one of that size."""

    size: int
    best: list[str]
    value: Estimate
    best_in: float | None
    p_value: float | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Decomposition:
    """One fit, as :class:`headprint.analysis.decomposition.results.Decomposition` writes it."""

    target: str
    weights: dict[str, Estimate]
    intercept: Estimate
    r2: Estimate
    adjusted: float | None
    cross_validated: float | None
    null: Null | None
    subsets: list[Subset] | None
    gaps: list[Gap] | None
    heads: int
    examples: dict[str, int | None]
    intervals: bool
    options: dict[str, Any]

    def of_size(self, size: int) -> list[Subset]:
        """The fits of subsets of one size, best first; one that failed comes last."""
        found = [subset for subset in self.subsets or [] if len(subset.tasks) == size]
        return sorted(found, key=lambda subset: -(subset.r2 if subset.r2 is not None else float("-inf")))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Step:
    """One basis of a growing one."""

    tasks: list[str]
    r2: float | None
    cross_validated: float | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Discovery:
    """A basis found among all tasks, as :class:`headprint.analysis.decomposition.results.Discovery` writes it."""

    target: str
    path: list[Step]
    tasks: list[str]
    fit: Decomposition | None
    null: Null | None
    frequency: dict[str, float]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Fit:
    """One decomposition of one run.

    Attributes:
        model: Name in the config.
        seed: Of the run.
        target: The complex task.
        method: Of the regression.
        named: The basic tasks that people say the target is made of; None if that is not known.
        named_rank: Their place among all subsets of as many tasks, by R².
        decomposition: By every subset of the basis.
        discovery: A basis found among all tasks; only for ``nnls``.
    """

    model: str
    seed: int
    target: str
    method: Method
    named: list[str] | None
    named_rank: int | None
    decomposition: Decomposition
    discovery: Discovery | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeanFit:
    """What seeds agree on.

    Attributes:
        model: Name in the config.
        target: The complex task.
        method: Of the regression.
        seeds: Fits behind the means.
        best: The pair of basic tasks that is the best one most often.
        best_in: Share of fits in which it is.
        named_rank: Mean place of the named tasks.
        r2_named: Mean R² of the named tasks.
        r2_best_pair: Mean R² of the best pair.
        r2_median_pair: Mean R² of the median pair.
        above_median: R² of the best pair minus that of the median one.
        null_r2: Mean R² of targets with permuted heads.
    """

    model: str
    target: str
    method: Method
    seeds: int
    best: list[str] | None
    best_in: float | None
    named_rank: Estimate
    r2_named: Estimate
    r2_best_pair: Estimate
    r2_median_pair: Estimate
    above_median: Estimate | None
    null_r2: Estimate


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PublishedFit:
    """The paper's own best pair."""

    target: str
    best: list[str]
    r2: float


PUBLISHED = PublishedFit(target="SGSM", best=["CodeSearchNet", "GSM8K"], r2=0.97)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Fig4:
    """Every decomposition."""

    title: str = "A complex task's change as a combination of basic tasks' changes"
    caption: str = (
        "R² of least-squares fits by every subset of the basic tasks, with R² on held-out heads and of "
        "targets whose heads were permuted beside it. What tells is how far the best pair stands above the median one."
    )
    fits: list[Fit]
    summary: list[MeanFit]
    paper: PublishedFit


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results; None where there is too little to compare or to fit."""

    fig2: Fig2 | None
    fig3: Fig3
    fig4: Fig4 | None


CHAPTER = Chapter("composition", Exhibit)
