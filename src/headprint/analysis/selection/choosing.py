"""From a matrix of scores to the examples that are taken, under a budget of examples or of tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from headprint.analysis.mixture import within_budget
from headprint.analysis.selection.inputs import SelectionInputs
from headprint.analysis.selection.refining import diverse, without_near_duplicates
from headprint.analysis.selection.registry import selector_info
from headprint.analysis.selection.rows import rows_of, text_of
from headprint.analysis.selection.scoring import ScoreMatrix, score
from headprint.analysis.selection.summary import SelectionSummary, summarize
from headprint.base.errors import InputError, did_you_mean
from headprint.base.files import without_nan
from headprint.base.options import Pick, ScoreOptions, TuningOptions, from_keywords, takes_options

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from headprint.base.shapes import Values
    from headprint.data import Source
    from headprint.patterns.pattern_set import Pattern, PatternSet


CANDIDATES = 4
"""How many rows diversity chooses from, for each that is wanted."""


class Basis(NamedTuple):
    """What a selection was made from: inputs, the method's name, and the scores of the pool."""

    inputs: SelectionInputs
    method: str
    scores: ScoreMatrix


@dataclass(frozen=True)
class Selection:
    """What was chosen, best first.

    Attributes:
        indices: K places in the pool.
        ids: K names.
        scores: K mean scores over the queries.
        tokens: Supervised tokens of all of them together.
        basis: What it was made from; None if it was made from scores alone.
    """

    indices: list[int]
    ids: list[str]
    scores: list[float]
    tokens: int
    basis: Basis | None = field(default=None, repr=False, compare=False)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the pool that were chosen, best first.

        Raises:
            InputError: They were not given, or are not those that the pool was extracted from.
        """
        inputs = self._known_basis().inputs
        if inputs.pool_rows is None:
            raise InputError("the rows of the pool are not known: give them, too (pool_rows=)")
        return rows_of(inputs.pool, inputs.pool_rows, self.ids)

    def summary(self) -> SelectionSummary:
        """Describe what was chosen, beside the pool, and how stable the query is."""
        return summarize(*self._known_basis(), self.indices)

    def _known_basis(self) -> Basis:
        if self.basis is None:
            raise InputError("this selection was made from scores alone: use select() for its rows and summary")
        return self.basis

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


def by_max(scores: ScoreMatrix) -> Iterator[int]:
    """Order the pool by the best score for any query; ties and examples without a score as :func:`by_mean`."""
    return iter(_best_first(np.where(np.isnan(scores.values), -np.inf, scores.values).max(axis=0)).tolist())


PICKS: dict[Pick, Callable[[ScoreMatrix], Iterator[int]]] = {"top": by_mean, "max": by_max, "round-robin": round_robin}
"""How the pool is ordered by its scores."""


def choose(
    scores: ScoreMatrix,
    *,
    top: int | None = None,
    tokens: int | None = None,
    pick: Pick = "top",
    refine: Callable[[Iterator[int]], Iterator[int]] = lambda order: order,
) -> Selection:
    """Take the first examples of a pool in the order that its scores give.

    Args:
        scores: Of the pool.
        top: How many examples; or
        tokens: how many supervised tokens: examples are taken until their sum comes nearest.
        pick: ``"top"``, by mean score; ``"max"``, by the best score; or ``"round-robin"``, each query in turn taking
            its own best.
        refine: Leaves places in the pool out of the order, or changes it (:mod:`.refining`).

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
    order = list(islice(refine(PICKS[pick](scores)), top))  # all of them under a token budget
    if sizes[order].sum() < budget:
        raise InputError(f"{budget:,} {unit} asked for, and {sizes[order].sum():,} are left of the pool: ask for fewer")
    chosen = order[: within_budget(sizes[order], budget)]
    mean = scores.mean()
    return Selection(
        chosen,
        [scores.pool_ids[index] for index in chosen],
        [float(mean[index]) for index in chosen],
        int(scores.pool_tokens[chosen].sum()),
    )


@takes_options(ScoreOptions)
def select(
    query: PatternSet | Pattern,
    pool: PatternSet,
    *,
    top: int | None = None,
    tokens: int | None = None,
    query_before: PatternSet | None = None,
    pool_before: PatternSet | None = None,
    query_rows: Source | None = None,
    pool_rows: Source | None = None,
    model: str | nn.Module | None = None,
    tokenizer: Any = None,
    show_progress: bool = False,
    options: ScoreOptions | None = None,
    **fields: Any,
) -> Selection:
    """Choose the examples of a pool that suit a target.

    One example's pattern is noisy and a task's is not, so levels and head gradients are compared with the target's
    mean, unless each of its examples counts by itself (``pick`` other than ``"top"``).

    Args:
        query: Examples of the target; or its pattern, or its change.
        pool: Examples to choose from, extracted with the same model and settings.
        top: How many examples to take; or
        tokens: how many supervised tokens.
        query_before: The query before training, for levels ``"change"``.
        pool_before: The pool before training, for levels ``"change"``.
        query_rows: The rows of the target, for methods that read them.
        pool_rows: The rows of the pool, for methods that read them.
        model: A model or its name, for methods that run one.
        tokenizer: The model's; None for the one that comes with a model given by name.
        show_progress: Show progress bars on stderr where a model runs.
        options: All of the following in one object; keyword arguments take precedence over it.
        {options}

    Raises:
        InputError: As :class:`~headprint.analysis.selection.inputs.SelectionInputs` and :func:`choose`.
    """
    chosen = from_keywords(ScoreOptions, options, fields)
    inputs = SelectionInputs(
        query,
        pool,
        query_before=query_before,
        pool_before=pool_before,
        query_rows=query_rows,
        pool_rows=pool_rows,
        model=model,
        tokenizer=tokenizer,
        embedding_model=chosen.embedding_model,
        tuning=from_keywords(TuningOptions, chosen, {}),
        levels=chosen.levels,
        signed=chosen.signed,
        mean_query=chosen.pick == "top",
        seed=chosen.seed,
        show_progress=show_progress,
    )
    method = method_for(chosen, query, pool)
    scores = score(inputs, method)

    def refined(order: Iterator[int]) -> Iterator[int]:
        if chosen.near_duplicates is not None:
            texts = [text_of(row) for row in inputs.rows_of_pool()]
            order = without_near_duplicates(order, texts, chosen.near_duplicates)
        if chosen.diversity is not None:
            order = _diverse(order, inputs, method, top, chosen.diversity)
        return order

    found = choose(scores, top=top, tokens=tokens, pick=chosen.pick, refine=refined)
    if not found.indices:
        raise InputError(f"no row comes near {tokens:,} tokens: the first has more than twice as many, so ask for more")
    return replace(found, basis=Basis(inputs, method, scores))


def method_for(options: ScoreOptions, *sets: PatternSet | Pattern) -> str:
    """Return the method that the options name; or else ``"head-gradient"`` where head gradients can be compared.

    Args:
        options: With ``levels`` other than raw, or ``signed``, levels are what is to be compared.
        sets: Query and pool, as far as they are measured already.

    Raises:
        InputError: A method is named that does not compare levels, and the options say which levels it should.
    """
    about_levels = options.signed or options.levels != "raw"
    if options.method is None:
        gradients = all(getattr(each, "directions", 0) for each in sets) and not about_levels
        return "head-gradient" if gradients else "correlation"
    if about_levels and selector_info(options.method).needs != "levels":
        name = "signed" if options.signed else "levels"
        raise InputError(f"{name} says how levels are compared, and {options.method} compares none: leave it out")
    return options.method


def _diverse(
    order: Iterator[int], inputs: SelectionInputs, method: str, top: int | None, weight: float
) -> Iterator[int]:
    """Reorder the best rows, of which there are :data:`CANDIDATES` for each that is wanted."""
    if (needs := selector_info(method).needs) in ("gradients", "mlp-gradients"):
        blocks = inputs.gradients().vectors.pool
    elif needs == "levels":
        blocks = inputs.level_vectors().pool
    else:
        raise InputError(
            f"diversity is that of levels or head gradients, which {method} does not compare: leave it out"
        )
    candidates = list(order if top is None else islice(order, CANDIDATES * top))
    place = {index: number for number, index in enumerate(candidates)}
    vectors, start = [np.empty(0)] * len(candidates), 0
    for block in blocks:
        for index in range(start, start + len(block)):
            if index in place:
                vectors[place[index]] = block[index - start].ravel()
        start += len(block)
    return diverse(candidates, np.stack(vectors), weight)


def _best_first(scores: Values) -> NDArray[np.int64]:
    return np.argsort(-scores, kind="stable")  # NaN last
