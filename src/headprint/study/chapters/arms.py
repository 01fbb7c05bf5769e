"""Arms of two-step training: a target's rows after rows that a mixture or a selection chose (Tables 2 and 3)."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from headprint.study.estimates import Estimate
from headprint.study.records import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Gain:
    """How much more one run has than another of the same seed, paired by test rows."""

    accuracy: Estimate | None
    loss: Estimate | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ArmRow:
    """One run of one arm.

    Attributes:
        model: Name in the config.
        target: The complex task.
        arm: How the rows of step 1 were chosen; ``base`` is the untrained model, ``target`` has no step 1.
        seed: Of the run.
        rows: Rows of step 1.
        tokens: Their supervised tokens.
        weights: By which a mixture was drawn, by task.
        counts: Rows of a mixture by task.
        note: What is odd about the choice.
        share: Of a selection, the share of rows that have each skill.
        accuracy: Share of right answers on the target; None without a scorer.
        loss: Mean completion loss on the target, in nats.
        n: Test rows.
        over: Gains over other arms.
    """

    model: str
    target: str
    arm: str
    seed: int
    rows: int = 0
    tokens: int = 0
    weights: dict[str, float] | None = None
    counts: dict[str, int] | None = None
    note: str | None = None
    share: dict[str, float] | None = None
    accuracy: Estimate | None
    loss: Estimate | None
    n: int
    over: dict[str, Gain]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeanArm:
    """Runs of one arm, averaged over seeds; gains over the target's own rows alone, and over random rows in step 1.

    Gains are paired: of several seeds seed by seed, of a single one row by row of the test.
    """

    model: str
    target: str
    arm: str
    seeds: int
    accuracy: Estimate | None
    gain_accuracy: Estimate | None
    over_random_accuracy: Estimate | None
    loss: Estimate | None
    gain_loss: Estimate | None
    over_random_loss: Estimate | None
