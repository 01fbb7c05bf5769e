"""From a matrix of scores to the examples that are taken, under a budget of examples or of tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from headprint.analysis.mixture import within_budget
from headprint.analysis.selection.inputs import SelectionInputs
from headprint.analysis.selection.scoring import ScoreMatrix, score
from headprint.base.errors import InputError, did_you_mean
from headprint.base.files import without_nan
from headprint.base.options import Pick, SelectionLevels

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from headprint.base.shapes import Values
    from headprint.data import Source
    from headprint.patterns.pattern_set import Pattern, PatternSet


@dataclass(frozen=True)
class Selection:
    """What was chosen, best first.

    Attributes:
        indices: K places in the pool.
        ids: K names.
        scores: K mean scores over the queries.
        tokens: Supervised tokens of all of them together.
    """

    indices: list[int]
    ids: list[str]
    scores: list[float]
    tokens: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON, with None for a missing score."""
        return {"ids": self.ids, "scores": without_nan(self.scores), "tokens": self.tokens}


def by_mean(scores: ScoreMatrix) -> Iterator[int]:
    """Order the pool by mean score; ties in the order of the pool, examples without a score last."""
    return iter(_best_first(scores.mean()).tolist())


def round_robin(scores: ScoreMatrix) -> Iterator[int]:
    """Order the pool by letting each query in turn take its best example that is left; ties as :func:`by_mean`."""
    left = [iter(_best_first(row).tolist()) for row in scores.values]
    taken: set[int] = set()
    while len(taken) < len(scores.pool_ids):
        for ranked in left:
            best = next((index for index in ranked if index not in taken), None)
            if best is not None:
                taken.add(best)
                yield best


PICKS: dict[Pick, Callable[[ScoreMatrix], Iterator[int]]] = {"top": by_mean, "round-robin": round_robin}
"""How the pool is ordered by its scores."""


def choose(scores: ScoreMatrix, *, top: int | None = None, tokens: int | None = None, pick: Pick = "top") -> Selection:
    """Take the first examples of a pool in the order that its scores give.

    Args:
        scores: Of the pool.
        top: How many examples; or
        tokens: how many supervised tokens: examples are taken until their sum comes nearest.
        pick: ``"top"``, by mean score, or ``"round-robin"``, each query in turn taking its own best.

    Raises:
        InputError: Neither budget or both are given, the pool is smaller, or ``pick`` is unknown.
    """
    if pick not in PICKS:
        raise InputError(f"unknown pick {pick!r}: {did_you_mean(pick, PICKS)}")
    if (top is None) == (tokens is None):
        raise InputError("give either a number of examples (--top) or of tokens (--tokens)")
    budget, unit = (top, "examples") if tokens is None else (tokens, "tokens")
    sizes = np.ones(len(scores.pool_ids), np.int64) if tokens is None else scores.pool_tokens
    if budget is None or budget < 1:
        raise InputError(f"{budget} {unit} asked for: ask for 1 or more")
    if budget > sizes.sum():
        raise InputError(f"{budget:,} {unit} asked for, and the pool has {sizes.sum():,}: ask for fewer")
    order = list(islice(PICKS[pick](scores), top))  # all of them under a token budget
    chosen = order[: within_budget(sizes[order], budget)]
    mean = scores.mean()
    return Selection(
        chosen,
        [scores.pool_ids[index] for index in chosen],
        [float(mean[index]) for index in chosen],
        int(scores.pool_tokens[chosen].sum()),
    )


def select(
    query: PatternSet | Pattern,
    pool: PatternSet,
    *,
    top: int | None = None,
    tokens: int | None = None,
    method: str = "correlation",
    pick: Pick = "top",
    levels: SelectionLevels = "raw",
    signed: bool = False,
    query_before: PatternSet | None = None,
    pool_before: PatternSet | None = None,
    query_rows: Source | None = None,
    pool_rows: Source | None = None,
    model: str | nn.Module | None = None,
    seed: int = 0,
) -> Selection:
    """Choose the examples of a pool that are most like a target.

    One example's pattern is noisy and a task's is not, so levels are compared with the target's mean pattern, unless
    each of its examples is to choose for itself (``pick="round-robin"``).

    Args:
        query: Examples of the target; or its pattern, or its change.
        pool: Examples to choose from, extracted with the same model and settings.
        top: How many examples to take; or
        tokens: how many supervised tokens.
        method: A name in :data:`~headprint.analysis.selection.scoring.SELECTORS`.
        pick: How the pool is ordered by its scores, as :func:`choose` says.
        levels: This and the following are fields of :class:`~headprint.analysis.selection.inputs.SelectionInputs`.
        signed: Compare signed levels, not their sizes.
        query_before: The query before training, for levels ``"change"``.
        pool_before: The pool before training, for levels ``"change"``.
        query_rows: The rows of the target, for methods that read them.
        pool_rows: The rows of the pool, for methods that read them.
        model: A model or its name, for methods that run one.
        seed: Of whatever is random.

    Raises:
        InputError: As :class:`~headprint.analysis.selection.inputs.SelectionInputs` and :func:`choose`.
    """
    inputs = SelectionInputs(
        query,
        pool,
        query_before=query_before,
        pool_before=pool_before,
        query_rows=query_rows,
        pool_rows=pool_rows,
        model=model,
        levels=levels,
        signed=signed,
        mean_query=pick != "round-robin",
        seed=seed,
    )
    return choose(score(inputs, method), top=top, tokens=tokens, pick=pick)


def _best_first(scores: Values) -> NDArray[np.int64]:
    return np.argsort(-scores, kind="stable")  # NaN last
