"""What a decomposition finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from headprint.analysis.confound import mirror_warning
from headprint.analysis.intervals import Interval
from headprint.base.files import without_nan
from headprint.base.options import DecompositionOptions


@dataclass(frozen=True)
class Null:
    """R² that chance gives: of targets whose heads were permuted, or by random basic tasks.

    Attributes:
        mean: Of their R².
        high: Their 95th percentile.
        p_value: Share of them, the actual fit included, that fit at least as well as it.
    """

    mean: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Mixture:
    """Shares of training tokens, drawn towards the uniform mixture (:mod:`headprint.analysis.decomposition.shares`).

    Attributes:
        shares: By basic task, 0 or more, of sum 1, with intervals.
        penalty: λ, in units of the mean squared length of the columns; infinite for the uniform mixture.
    """

    shares: dict[str, Interval]
    penalty: float


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
    """What a target's change, or its mean head gradient, is composed of.

    Attributes:
        target: Its name.
        weights: α by basic task; by gradients, of columns of norm 1. The interval of a weight that nnls holds at 0 is
            one of percentiles.
        shares: α_i / Σ α, with intervals; None for weights of any sign, and NaN if all are 0.
        mixture: Shares for training; None without two rows of the target.
        intercept: The constant; 0 if none is fitted.
        r2: Against the best constant; by gradients, whose signs are those of random directions, against 0.
        adjusted: R² less what so many basic tasks explain by chance.
        cross_validated: R² on held-out heads.
        null: R² of permuted targets; None if there are none.
        random_tasks: R² by basic tasks whose rows were shuffled among them; None if there are none, and for
            levels.
        subsets: All subsets of the basic tasks, best first; None if not asked for.
        gaps: One of each size that has two subsets or more; None if not asked for.
        heads: The heads fitted: those with a number in every task.
        examples: Examples behind each change, by task; None for a change from a file.
        mirrors_before: Correlation of each change with the negated pattern before, by task; None for a change
            from a file. Near 1, the change is little more than -AP_before (:mod:`headprint.analysis.confound`).
        intervals: Whether there are any: only pattern sets permit them.
        options: How it was made.
    """

    target: str
    weights: dict[str, Interval]
    shares: dict[str, Interval] | None
    mixture: Mixture | None
    intercept: Interval
    r2: Interval
    adjusted: float
    cross_validated: float
    null: Null | None
    random_tasks: Null | None
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
