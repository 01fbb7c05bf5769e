"""Training in two steps, as both applications do it: on chosen rows first, then on a target's own few rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from pydantic.dataclasses import dataclass

from headprint.base.errors import InputError
from headprint.study.bounds import Count, Distinct
from headprint.study.chapters.chapter import Jobs
from headprint.study.groundwork import BaseConfig, Run
from headprint.study.groundwork.settings import rows_a_step, steps_of
from headprint.study.pipeline import Job
from headprint.study.records import STRICT

BASE, TARGET, RANDOM, UNIFORM = "base", "target", "random", "uniform"

WITHOUT_STEP_1 = {BASE: "no training", TARGET: "the target's own rows only"}
"""The arms that every table has beside its own."""

_WARM_UP = 0.1
"""Share of the steps that may warm up: of short trainings it would otherwise decide how much is learned."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TwoSteps:
    """Training in two steps, as both applications do it. Step 1 of all arms has equal tokens and equal steps.

    Attributes:
        targets: Complex tasks, whose own few rows are step 2.
        rows: Step 1 of every arm has the supervised tokens of so many average rows.
        steps: Optimizer steps of step 1 of every arm, one pass over its rows; None: one for each batch of ``rows``.
        first: Fields of ``SFTConfig`` for step 1, over the study's.
    """

    targets: Distinct[str]
    rows: Count
    steps: Count | None = None
    first: dict[str, Any] = field(default_factory=dict)

    def steps_on(self, config: BaseConfig, model: str) -> int:
        """Optimizer steps of step 1."""
        return self.steps or math.ceil(self.rows / rows_a_step(config.sft_for(model, step_1=self.first)))

    def check_steps(self, config: BaseConfig, block: str) -> None:
        """Refuse targets that are not there, another length of step 1, and steps that warm up for too long.

        Args:
            config: The study.
            block: Name of these settings there.

        Raises:
            InputError: With the place in the config.
        """
        config.check_tasks(f"{block}.targets", self.targets)
        for name in ("num_train_epochs", "max_steps"):
            if name in self.first:
                raise InputError(f"{block}.first.{name}: step 1 is one pass over its rows; give {block}.steps instead")
        for model in config.models:
            first = config.sft_for(model, step_1=self.first)
            lengths = {"step 1": (first, self.steps_on(config, model))}
            for target in self.targets:
                sft = config.sft_for(model, target)
                lengths[f"step 2 on {target}"] = (sft, steps_of(sft, config.train_rows(target)))
            for what, (sft, steps) in lengths.items():
                warm_up = sft.get("warmup_steps", 0)
                if isinstance(warm_up, int | float) and (warm_up / steps if warm_up >= 1 else warm_up) > _WARM_UP:
                    raise InputError(
                        f"{block}: sft.warmup_steps is {warm_up}, too long for the {steps} steps of {what}: give the "
                        f"share {_WARM_UP}, or less"
                    )


def two_step_jobs(run: Run, given: TwoSteps, target: str, chosen: Mapping[tuple[str, int], Job]) -> Jobs:
    """Evaluations of a target: of the arms without a step 1, and of each arm after both steps.

    Args:
        run: One model and seed.
        given: The settings.
        target: The complex task.
        chosen: The job that chose the rows of step 1, by arm and draw.

    Returns:
        Jobs under target, arm, draw, and ``evaluation`` or ``choice``.
    """
    steps = given.steps_on(run.config, run.name)
    jobs: dict[tuple[str, ...], Job] = {
        (target, BASE, "0", "evaluation"): run.evaluate(target, None, f"{target} before"),
        (target, TARGET, "0", "evaluation"): run.evaluate(target, run.tuned[target], f"{target} after"),
    }
    for (arm, draw), choice in chosen.items():
        label = (target, f"{arm} {draw + 1}" if draw else arm)
        jobs[target, arm, str(draw), "choice"] = choice
        jobs[target, arm, str(draw), "evaluation"] = run.two_steps(target, choice, given.first, steps, *label)
    return jobs
