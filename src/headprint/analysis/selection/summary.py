"""What a selection is made of, beside its pool, and whether another query would have chosen the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from headprint.analysis.selection.inputs import SelectionInputs
from headprint.analysis.selection.registry import MEASURED, selector_info
from headprint.analysis.selection.rows import SOURCES, text_of
from headprint.analysis.selection.scoring import ScoreMatrix, score
from headprint.base.errors import InputError
from headprint.base.files import without_nan
from headprint.patterns import PatternSet

STABLE = 0.5
"""Below this correlation of two halves of a query, another sample of the target would choose other rows."""

_TAGS = (*SOURCES, "skills", "tags")


@dataclass(frozen=True)
class SelectionSummary:
    """What was chosen.

    Attributes:
        shares: For each column that says where rows come from or what they need (``source``, ``skills``, …): value ->
            its share of the chosen rows and of the pool.
        lengths: Quartiles of the supervised tokens, of the chosen rows and of the pool.
        examples: The texts of the best rows.
        random_overlap: Share of the chosen rows that a random choice of as many rows has, too.
        stability: Spearman correlation of the pool's scores by two random halves of the query; None where scores do not
            depend on single rows of it, or there are fewer than two.
    """

    shares: dict[str, dict[str, tuple[float, float]]]
    lengths: tuple[list[float], list[float]]
    examples: list[str]
    random_overlap: float
    stability: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        found: dict[str, Any] = without_nan(asdict(self))
        return found


def summarize(
    inputs: SelectionInputs, method: str, scores: ScoreMatrix, indices: Sequence[int], *, examples: int = 3
) -> SelectionSummary:
    """Describe a selection.

    Args:
        inputs: What it was made from; without rows, it has no shares and no examples.
        method: How it was made.
        scores: Of the pool.
        indices: The chosen places in the pool, best first.
        examples: How many rows to quote.
    """
    rows = inputs.rows_of_pool() if inputs.pool_rows is not None else []
    chosen = [rows[index] for index in indices] if rows else []
    columns = [name for name in _TAGS if len({value for row in rows for value in _values(row.get(name))}) > 1]
    by_chance = np.random.default_rng(inputs.seed).permutation(len(inputs.pool))[: len(indices)]
    tokens = inputs.pool.tokens
    return SelectionSummary(
        {name: _shares(name, chosen, rows) for name in columns},
        (_quartiles(tokens[list(indices)]), _quartiles(tokens)),
        [_quoted(row) for row in chosen[:examples]],
        len(set(by_chance.tolist()).intersection(indices)) / len(indices),
        split_half(inputs, method, scores),
    )


def split_half(inputs: SelectionInputs, method: str, scores: ScoreMatrix) -> float | None:
    """Spearman correlation of the pool's scores by one random half of the query and by the other.

    Args:
        inputs: The query and the pool.
        method: How they are scored.
        scores: The scores by the whole query: where its rows have scores of their own, nothing is scored again.

    Returns:
        NaN if a half gives all rows one score; None if scores do not depend on the query's single rows.
    """
    rows = np.random.default_rng(inputs.seed).permutation(
        len(scores.values) if len(scores.values) > 1 else len(inputs.query_ids)
    )
    halves = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    if not len(halves[0]):
        return None
    if len(scores.values) > 1:
        one, other = (replace(scores, values=scores.values[half]).mean() for half in halves)
    elif selector_info(method).needs in MEASURED and isinstance(inputs.query, PatternSet):
        one, other = (score(_only(inputs, half), method).mean() for half in halves)
    else:
        return None
    return float(spearmanr(one, other, nan_policy="omit").statistic)


def _only(inputs: SelectionInputs, half: Any) -> SelectionInputs:
    """The inputs with some rows of the query."""
    query, before = inputs.query, inputs.query_before
    assert isinstance(query, PatternSet)
    ids = [query.ids[index] for index in half]
    return replace(inputs, query=query[ids], query_before=None if before is None else before[ids])


def _shares(column: str, chosen: Iterable[dict[str, Any]], rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Of each value of a column: its share of the chosen rows, and of all; a row may have several."""
    parts = []
    for some in (chosen, rows):
        values = [_values(row.get(column)) for row in some]
        counts = Counter(value for each in values for value in each)
        parts.append({value: count / len(values) for value, count in counts.items()})
    names = sorted(parts[1], key=lambda name: (-parts[0].get(name, 0.0), name))
    return {name: (parts[0].get(name, 0.0), parts[1][name]) for name in names}


def _values(value: Any) -> list[str]:
    return [] if value is None else [str(each) for each in (value if isinstance(value, list) else [value])]


def _quartiles(tokens: Any) -> list[float]:
    found: list[float] = np.quantile(tokens, [0.25, 0.5, 0.75]).tolist()
    return found


def _quoted(row: dict[str, Any]) -> str:
    """The text of a row, or its id where it has only tokens."""
    try:
        return text_of(row)
    except InputError:
        return str(row.get("id", ""))
