"""Decompositions: their settings, their work, and what they say, as ``results.json`` holds it (Figure 4)."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic.dataclasses import dataclass

from headprint.base.errors import InputError
from headprint.base.files import write_json
from headprint.patterns.pattern_set import PatternSet
from headprint.study.bounds import Count, CountOrNone, Distinct
from headprint.study.estimates import Estimate
from headprint.study.groundwork import BaseConfig, Run
from headprint.study.groundwork.training import before_and_after, bootstrap
from headprint.study.pipeline import Job, Needs, stage
from headprint.study.records import STRICT

Method: TypeAlias = Literal["nnls", "lstsq"]

Reading: TypeAlias = Literal["change", "rate", "gradient"]
"""What of a task is decomposed."""

READINGS: dict[Reading, str] = {"change": "ΔAP", "rate": "ΔAP / AP", "gradient": "head gradients"}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Fits:
    """Figure 4, and the weights of the mixtures.

    Attributes:
        targets: Tasks to decompose; None: all complex ones.
        basis: Tasks to compose them of; None: all basic ones.
        methods: ``nnls``, ``lstsq``.
        readings: What is fitted: ``change``, ΔAP, and ``rate``, ΔAP / AP before, of which the paper may mean either;
            ``gradient``, mean head gradients of rows to train on, which need no fine-tuning.
        permutations: Targets with permuted heads, beside which a fit stands.
        draws: Of the bootstrap, here and in every other exhibit.
    """

    targets: list[str] | None = None
    basis: list[str] | None = None
    methods: Distinct[Method] = field(default_factory=lambda: ["nnls", "lstsq"])
    readings: Distinct[Reading] = field(default_factory=lambda: ["change", "rate", "gradient"])
    permutations: CountOrNone = 1000
    draws: Count = 1000

    def check(self, config: BaseConfig) -> None:
        """Refuse names of tasks that the config does not have, and a target that is part of its own basis.

        Raises:
            InputError: With the place in the config.
        """
        config.check_tasks("fits.targets", self.targets)
        config.check_tasks("fits.basis", self.basis)
        for name in self.targets or ():
            self.check_target(config, name)

    def check_target(self, config: BaseConfig, name: str) -> None:
        """Refuse a target that is part of its own basis.

        Raises:
            InputError: With the task.
        """
        if name in self.basis_of(config):
            raise InputError(f"fits.basis: {name} cannot be composed of itself; name a basis without it")

    def basis_of(self, config: BaseConfig) -> list[str]:
        """The tasks that others are composed of."""
        return self.basis or [name for name, task in config.tasks.items() if task.kind == "basic"]

    def targets_of(self, config: BaseConfig) -> list[str]:
        """The tasks that are decomposed."""
        if self.targets is not None:
            return self.targets
        return [name for name, task in config.tasks.items() if task.kind == "complex"]


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
        reading: What is decomposed.
        named: The basic tasks that people say the target is made of; None if that is not known.
        named_rank: Their place among all subsets of as many tasks, by R².
        decomposition: By every subset of the basis.
        discovery: A basis found among all tasks; only for ``nnls``.
    """

    model: str
    seed: int
    target: str
    method: Method
    reading: Reading = "change"
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
        reading: What is decomposed.
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
    reading: Reading = "change"
    seeds: int
    best: list[str] | None
    best_in: float | None
    named_rank: Estimate
    r2_named: Estimate
    r2_best_pair: Estimate
    r2_median_pair: Estimate
    above_median: Estimate | None
    null_r2: Estimate


@stage(version=2)
def fit(
    out: Path,
    needs: Needs,
    *,
    target: str,
    basis: list[str],
    method: Method,
    reading: Reading,
    permutations: int,
    seed: int,
    draws: int,
) -> None:
    """Compose a target of the tasks of the basis, rank all subsets, and discover a basis.

    Writes ``fit.json``.
    """
    from headprint.analysis.decomposition import MOST_RANKED, DecompositionOptions, decompose, discover

    options = DecompositionOptions(
        by="gradients" if reading == "gradient" else "levels",
        method=method,
        relative=reading == "rate",
        permutations=permutations,
        seed=seed,
    )
    given: dict[str, Any] = {
        task: PatternSet.load(folder / "set") if reading == "gradient" else before_and_after(folder)
        for task, folder in needs.items()
    }
    common: dict[str, Any] = {"name": target, "options": options, "bootstrap": bootstrap(seed, draws)}
    found = decompose(given[target], {task: given[task] for task in basis}, subsets=len(basis) <= MOST_RANKED, **common)
    discovered = None
    if method == "nnls":
        catalogue = {task: each for task, each in given.items() if task != target}
        discovered = discover(given[target], catalogue, **common).to_dict()
    write_json(out / "fit.json", {"decomposition": found.to_dict(), "discovery": discovered})


def fit_of(run: Run, fits: Fits, target: str, method: Method, reading: Reading) -> Job:
    """A decomposition of one target in one run."""
    needs = run.tuned
    if reading == "gradient":
        limit = run.config.sizes.probe
        needs = {task: run.levels(task, rows, sketch=0, limit=limit) for task, rows in run.rows.items()}
    return fit.job(
        run.label(target, method, reading),
        needs,
        **run.drawing,
        target=target,
        basis=fits.basis_of(run.config),
        method=method,
        reading=reading,
        permutations=fits.permutations,
    )
