"""The section ``evidence`` of a config: which experiments are run, on what, and how large."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from pydantic.dataclasses import dataclass

from headprint.base.errors import InputError, did_you_mean
from headprint.study.bounds import Count, Distinct, Name, Seed, Tokens
from headprint.study.groundwork import BaseConfig, TaskConfig
from headprint.study.records import STRICT

ALL_WEIGHTS = "all-weights gradient"
"""Cosine of the gradients of all weights, folded into buckets: LESS (arXiv 2402.04333) without its warm-up and Adam.
The yardstick of the methods that look at fewer numbers, and no selector of the package."""

Share: TypeAlias = Annotated[float, Field(gt=0, lt=1)]
Precision: TypeAlias = Literal["float32", "bfloat16"]  # as headprint.training.short, which imports torch


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Training:
    """One step of training: as many supervised tokens in as many optimizer steps for every arm.

    Attributes:
        tokens: Supervised tokens; rows are gone through again where they have fewer.
        steps: Optimizer steps, of equal tokens.
        learning_rate: The highest; it rises linearly, and falls linearly to 0.
        warmup: The share of the steps in which it rises.
        precision: Of matrix products; weights are float32.
    """

    tokens: Tokens = 3000
    steps: Count = 24
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    warmup: Annotated[float, Field(ge=0, le=0.1)] = 0.1
    precision: Precision = "float32"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Section:
    """What all experiments have.

    Attributes:
        seeds: Of the study's seeds, those that the experiment is run with; None: all.
    """

    seeds: Distinct[Seed] | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Calibration(Section):
    """E1: which targets can show an effect.

    Attributes:
        accuracy: Of the model that has had the target's own rows only: lowest and highest that pass.
        gain: Fall of the log loss that the named parts must bring over the target's own rows only, to pass.
    """

    accuracy: tuple[float, float] = (0.1, 0.6)
    gain: float = 0.3


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Transfer(Section):
    """E2: the gain of training on each source first, for each target.

    Attributes:
        methods: Selectors whose scores predict it.
        rows: Of each source that are scored.
        changes: Also predict it by the tasks' changes ΔAP, for which every source and target is fine-tuned.
    """

    methods: Distinct[str]
    rows: Count = 48
    changes: bool = False


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Mixtures(Section):
    """LDS: what random mixtures of the pool do to every task's held-out loss.

    Attributes:
        methods: Selectors whose scores predict it.
        count: Mixtures.
        rows: Of the pool that mixtures are drawn from.
        concentration: Of the Dirichlet distribution that the shares of the skills are drawn from.
    """

    methods: Distinct[str]
    count: Count = 60
    rows: Count = 1000
    concentration: Annotated[float, Field(gt=0)] = 0.3


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Surface(Section):
    """E3: computed mixtures of the basic tasks among random ones.

    Attributes:
        targets: Those that passed the calibration.
        count: Random mixtures, from the uniform Dirichlet distribution.
        repeats: Draws and orders of the rows for each computed mixture.
    """

    targets: Distinct[str]
    count: Count = 40
    repeats: Count = 3


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Selecting(Section):
    """E4: training first on what each method selects.

    Attributes:
        methods: Selectors.
        targets: On which they are compared; None: all of the section.
        without_own: Also select from the pool without the rows of the target's own type.
        deciles: Selectors whose deciles are trained on; none where the list is empty.
    """

    methods: Distinct[str]
    targets: Distinct[str] | None = None
    without_own: bool = True
    deciles: list[str] = field(default_factory=list)
    decile_seeds: Distinct[Seed] | None = None
    decile_targets: Distinct[str] | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Evidence:
    """Experiments that can decide whether a score of rows helps.

    Attributes:
        targets: Complex tasks with few rows.
        tuned_on: Targets among these on which learning rate, steps and methods were chosen; conclusions leave them out.
        sources: Beside the basic tasks: rows that should help nobody.
        pool: Rows to choose from, with ``skills``.
        pool_rows: Of the pool.
        keep: The share of the pool that a selection takes.
        query: Training rows of a target that scores look at.
        sketch: Random directions of each head's gradient.
        first: Step one, on rows that the arms differ in.
        own: Step two, on the target's own rows.
        checkpoints: Of the second step at which the held-out loss is taken; the outcome is the mean of its logarithm.
        calibration: E1.
        transfer: E2.
        mixtures: LDS.
        surface: E3.
        selecting: E4.
    """

    targets: Distinct[str]
    tuned_on: list[str] = field(default_factory=list)
    sources: dict[Name, TaskConfig] = field(default_factory=dict)
    pool: TaskConfig | None = None
    pool_rows: Count = 4000
    keep: Share = 0.04
    query: Count = 48
    sketch: Count = 64
    first: Training = field(default_factory=Training)
    own: Training = field(default_factory=Training)
    checkpoints: Count = 5
    calibration: Calibration | None = None
    transfer: Transfer | None = None
    mixtures: Mixtures | None = None
    surface: Surface | None = None
    selecting: Selecting | None = None

    def check(self, config: BaseConfig) -> None:
        """Refuse names that are not there, and experiments that lack what they need.

        Raises:
            InputError: With the place in the config.
        """
        from headprint.analysis.selection import SELECTORS

        config.check_tasks("evidence.targets", self.targets)
        config.check_tasks("evidence.tuned_on", self.tuned_on)
        for name in self.targets:
            task = config.tasks[name]
            if task.kind != "complex" or not task.parts:
                raise InputError(f"evidence.targets: {name} is not a complex task with parts: give it kind and parts")
        for name in self.sources:
            if name in config.tasks:
                raise InputError(f"evidence.sources: {name} is a task already: give the source another name")
        if self.checkpoints > self.own.steps:
            raise InputError(f"evidence.checkpoints: {self.checkpoints} in {self.own.steps} steps: ask for fewer")
        if self.query > min(config.train_rows(name) for name in config.tasks):
            raise InputError(f"evidence.query: {self.query} rows, and a task has fewer to train on: ask for fewer")
        if self.pool is None and (self.mixtures or self.selecting):
            raise InputError("evidence.pool: mixtures and selecting need rows to choose from: give their source")
        for where, section in self.sections().items():
            if strange := set(section.seeds or ()) - set(config.seeds):
                raise InputError(f"evidence.{where}.seeds: {min(strange)} is not among the study's seeds")
            methods: list[str] = getattr(section, "methods", []) + getattr(section, "deciles", [])
            for name in methods:
                if name not in (known := [*SELECTORS.names(), ALL_WEIGHTS]):
                    raise InputError(
                        f"evidence.{where}.methods: there is no selector {name!r}; {did_you_mean(name, known)}"
                    )
            for name in getattr(section, "targets", None) or ():
                if name not in self.targets:
                    raise InputError(
                        f"evidence.{where}.targets: {name!r} is no target of the section; "
                        f"{did_you_mean(name, self.targets)}"
                    )

    def sections(self) -> dict[str, Section]:
        """The experiments that are asked for, by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Section)}
