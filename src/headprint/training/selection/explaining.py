"""Why a row is useful for a target: its score by heads, and by tokens where there is a model to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from headprint import models
from headprint.analysis.comparability import check_comparable
from headprint.analysis.selection import SelectionInputs, rows_of
from headprint.analysis.selection.explanation import HeadContributions, explain_heads
from headprint.base.options import ExtractOptions, LoadingOptions, from_keywords, takes_options
from headprint.data import Source
from headprint.measure.tokens import token_contributions
from headprint.patterns import PatternSet
from headprint.training.selection.from_rows import measured, shared_settings
from headprint.training.selection.running import reader


@dataclass(frozen=True)
class Explanation:
    """Why a row of a pool is useful for a target.

    Attributes:
        heads: The score as a sum over heads.
        tokens: T tokens of the row as text, empty without a model.
        by_token: (T,) what each token adds to the score; they sum to it, up to the rounding of sketches in files.
        by_head_and_token: (L, H, T) the same, head by head.
    """

    heads: HeadContributions
    tokens: list[str]
    by_token: NDArray[np.float64]
    by_head_and_token: NDArray[np.float64]

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        heads = self.heads
        return {
            "row": heads.row,
            "score": heads.score,
            "rank": heads.rank,
            "pool_size": heads.pool_size,
            "heads": heads.values.tolist(),
            "tokens": self.tokens,
            "by_token": self.by_token.tolist(),
        }


@takes_options(ExtractOptions)
def explain(
    row: str,
    query: PatternSet | Source,
    pool: PatternSet | Source,
    *,
    pool_rows: Source | None = None,
    model: nn.Module | str | None = None,
    tokenizer: Any = None,
    cache: str | Path | None = None,
    show_progress: bool = False,
    say: Callable[[str], None] = lambda line: None,
    options: ExtractOptions | None = None,
    **fields: Any,
) -> Explanation:
    """Say which heads and which tokens make a row useful for a target, by its head-gradient score.

    Args:
        row: The row's id in the pool (its number, from 0, if rows have no ids).
        query: The target: rows, or their pattern set with head gradients.
        pool: What the row is of: rows, or their pattern set. It gives each head its unit.
        pool_rows: The rows of a pool that is given as a pattern set, for tokens.
        model: A model or its name, for rows, and for tokens.
        tokenizer: Its tokenizer, as for :func:`headprint.extract`.
        cache: As for :func:`headprint.select`, whose folder serves here, too.
        show_progress: Show progress bars on stderr.
        say: Called with a line about how long the pool will take.
        options: All of the following in one object; keyword arguments take precedence over it.
        {options}

    Raises:
        InputError: The input is wrong; the message names the place and the fix.
    """
    chosen = from_keywords(ExtractOptions, options, {**shared_settings(query, pool), **fields})
    sides = measured(
        query,
        pool,
        "gradients",
        chosen,
        pool_rows=pool_rows,
        model=model,
        tokenizer=tokenizer,
        cache=cache,
        show_progress=show_progress,
        say=say,
    )
    heads = explain_heads(SelectionInputs(sides.query, sides.pool, mean_query=True), row)
    none = np.zeros((*heads.values.shape, 0))
    if sides.model is None or sides.pool_rows is None:
        return Explanation(heads, [], none.sum((0, 1)), none)
    model, tokenizer = sides.model, sides.tokenizer
    if isinstance(model, str):
        model, tokenizer = models.resolve(model, tokenizer, **chosen.keywords(LoadingOptions))
    made_by = sides.pool.provenance
    own = {"model": {**models.describe(model), "weights": models.fingerprint(model)}}
    check_comparable({"the pool": made_by, "the model": own}, one_model=True)
    (example,) = reader(model, tokenizer, made_by)(rows_of(sides.pool, sides.pool_rows, [row]))
    parts = token_contributions(
        model, example, heads.directions, seed=made_by.get("sketch_seed", 0), loss=made_by.get("loss", "mean")
    )
    tokens = [tokenizer.decode([token]) for token in example.input_ids] if tokenizer else map(str, example.input_ids)
    return Explanation(heads, list(tokens), parts.sum(axis=(0, 1)), parts)
