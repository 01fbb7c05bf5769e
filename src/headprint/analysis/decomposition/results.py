"""How a decomposition is made (:class:`DecompositionOptions`) and what it finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

from headprint.analysis.confound import mirror_warning
from headprint.analysis.intervals import Interval
from headprint.base.errors import InputError, did_you_mean
from headprint.base.files import without_nan
from headprint.base.options import PermuteWithin, RegressionMethod

Folds: TypeAlias = int | Literal["layers"]


@dataclass(frozen=True)
class DecompositionOptions:
    """How a fit is made and judged.

    Attributes:
        method: ``"nnls"``: no negative weights, so that they can become numbers of rows; or
            ``"lstsq"``: weights of any sign.
        relative: Fit change rates ΔAP / AP instead of changes ΔAP. The paper speaks of both.
        intercept: Fit a constant, too.
        folds: Parts of the heads that are held out in turn, or ``"layers"``: each layer in turn.
        permutations: Targets with permuted heads, for the null; 0 for none.
        permute_within: Permute within each ``"layer"``, which keeps the profile over depth that all
            tasks share and asks for more than it, or over ``"all"`` heads.
        seed: Of folds and permutations.

    Raises:
        InputError: One of them is out of range.
    """

    method: RegressionMethod = "nnls"
    relative: bool = False
    intercept: bool = False
    folds: Folds = 10
    permutations: int = 1000
    permute_within: PermuteWithin = "layer"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, kind in (
            ("method", self.method, RegressionMethod),
            ("permute_within", self.permute_within, PermuteWithin),
        ):
            if value not in (allowed := get_args(kind)):
                raise InputError(f"unknown {name} {value!r}: {did_you_mean(value, allowed)}")
        if self.folds != "layers" and (not isinstance(self.folds, int) or self.folds < 2):
            raise InputError(f"folds is {self.folds!r}; choose 2 parts or more, or 'layers'")
        if self.permutations < 0 or self.seed < 0:
            raise InputError(f"permutations ({self.permutations}) and seed ({self.seed}) must be 0 or more")


@dataclass(frozen=True)
class Null:
    """R² of targets whose heads were permuted.

    Attributes:
        mean: Of their R².
        high: Their 95th percentile.
        p_value: Share of them, the target itself included, that fit at least as well as it.
    """

    mean: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Subset:
    """The fit of one subset of the basic tasks."""

    tasks: tuple[str, ...]
    weights: dict[str, float]
    r2: float
    adjusted: float
    cross_validated: float
    null: Null | None


@dataclass(frozen=True)
class Gap:
    """How far the best subset of one size stands above the median one of that size.

    Attributes:
        size: Basic tasks in each subset.
        best: The subset with the largest R².
        value: Its R² minus the median R²; in each draw of the bootstrap for the same subset.
        best_in: Share of draws in which it is the best one.
        p_value: Share of targets with permuted heads, the target itself included, whose own best
            subset stands as far above their own median.
    """

    size: int
    best: tuple[str, ...]
    value: Interval
    best_in: float
    p_value: float


@dataclass(frozen=True)
class Decomposition:
    """What a target's change is composed of.

    Attributes:
        target: Its name.
        weights: α by basic task. The interval of a weight that nnls holds at 0 is one of percentiles.
        intercept: The constant; 0 if none is fitted.
        r2: Against the best constant.
        adjusted: R² less what so many basic tasks explain by chance.
        cross_validated: R² on held-out heads.
        null: R² of permuted targets; None if there are none.
        subsets: All subsets of the basic tasks, best first; None if not asked for.
        gaps: One of each size that has two subsets or more; None if not asked for.
        heads: P, the heads fitted: those with a number in every change.
        examples: Examples behind each change, by task; None for a change from a file.
        mirrors_before: Correlation of each change with the negated pattern before, by task; None for a change
            from a file. Near 1, the change is little more than -AP_before (:mod:`headprint.analysis.confound`).
        intervals: Whether there are any: only pattern sets permit them.
        options: How it was made.
    """

    target: str
    weights: dict[str, Interval]
    intercept: Interval
    r2: Interval
    adjusted: float
    cross_validated: float
    null: Null | None
    subsets: list[Subset] | None
    gaps: list[Gap] | None
    heads: int
    examples: dict[str, int | None]
    mirrors_before: dict[str, float | None]
    intervals: bool
    options: DecompositionOptions

    @property
    def warnings(self) -> list[str]:
        """What to know before reading anything into the fit, one line each."""
        found = mirror_warning(self.mirrors_before)
        return [found] if found else []

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON, with None for NaN."""
        return {**dict(without_nan(asdict(self))), "warnings": self.warnings}


@dataclass(frozen=True)
class Step:
    """One basis of a growing one: R² of its fit, and R² on held-out heads."""

    tasks: tuple[str, ...]
    r2: float
    cross_validated: float


@dataclass(frozen=True)
class Discovery:
    """Which tasks of a catalogue compose a target, when nobody names them.

    Attributes:
        path: The bases of 1, 2, ... tasks, each the one before and one more.
        tasks: The chosen basis; empty if none predicts held-out heads better than a constant.
        fit: Its decomposition; None if it is empty. Its intervals hold for this basis, and do not
            know that it was chosen.
        null: As the decomposition's, but each permuted target chooses a basis of the same size for itself.
        selection_frequency: Share of draws that have each task in their basis of that size.
    """

    target: str
    path: list[Step]
    tasks: tuple[str, ...]
    fit: Decomposition | None
    null: Null | None
    selection_frequency: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON, with None for NaN."""
        return {**dict(without_nan(asdict(self))), "fit": self.fit and self.fit.to_dict()}
