"""What a decomposition says, as ``results.json`` holds it (Figure 4)."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal, TypeAlias

from pydantic.dataclasses import dataclass

from headprint.study.estimates import Estimate
from headprint.study.records import STRICT

Method: TypeAlias = Literal["nnls", "lstsq"]


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
class Mixture:
    """Shares for training, drawn towards the uniform mixture; the penalty is None where it is infinite."""

    shares: dict[str, Estimate]
    penalty: float | None


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
    shares: dict[str, Estimate] | None = None
    mixture: Mixture | None = None
    random_tasks: Null | None = None
    mirrors_before: dict[str, float | None] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

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
    selection_frequency: dict[str, float]


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
