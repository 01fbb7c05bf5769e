"""Orders of a pool, less its repetitions: near-duplicates left out, and rows unlike those chosen before preferred."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from headprint.analysis.selection.similarity import unit

if TYPE_CHECKING:
    from headprint.base.shapes import Values

_SHINGLE = 5


def without_near_duplicates(order: Iterable[int], texts: Sequence[str], overlap: float) -> Iterator[int]:
    """Leave out the rows that share too many runs of five words with one that came before.

    The Jaccard index of the runs, exactly, as Lee et al. 2022 (arXiv 2107.06499) estimate it.

    Args:
        order: Places in the pool.
        texts: M texts.
        overlap: The share of the runs of either row from which on they are near-duplicates, above 0.
    """
    runs_of: dict[int, int] = {}
    holders: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for index in order:
        runs = _runs(texts[index])
        shared = Counter(earlier for run in runs for earlier in holders[run])
        if any(n >= overlap * (len(runs) + runs_of[earlier] - n) for earlier, n in shared.items()):
            continue
        for run in runs:
            holders[run].append(index)
        runs_of[index] = len(runs)
        yield index


def diverse(order: Iterable[int], vectors: Values, weight: float) -> Iterator[int]:
    """Reorder the pool by maximal marginal relevance (Carbonell & Goldstein 1998).

    Each place goes to the row with the largest (1 − weight) · relevance − weight · (largest cosine with a row before
    it); the relevance falls evenly from 1 to 0 along the given order, so that it does not depend on a method's scale.

    Args:
        order: Places of n rows in the pool, best first.
        vectors: (n, P), of the same rows.
        weight: Of diversity, from 0 (the given order) to 1.
    """
    places, vectors = list(order), unit(vectors)
    relevance = 1 - np.arange(len(places)) / max(1, len(places) - 1)
    nearest = np.full(len(places), -1.0)
    left = np.ones(len(places), bool)
    while left.any():
        best = int(np.argmax(np.where(left, (1 - weight) * relevance - weight * nearest, -np.inf)))
        left[best] = False
        yield places[best]
        nearest = np.maximum(nearest, np.nan_to_num(vectors @ vectors[best], nan=-1.0))


def _runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[start : start + _SHINGLE]) for start in range(max(1, len(words) - _SHINGLE + 1))}
