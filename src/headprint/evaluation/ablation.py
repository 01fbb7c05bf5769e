"""Does the level of a head matter causally? Switch heads off and see what the task loses.

    result = headprint.ablate(model, tokenizer, rows, rankings={"active": pattern}, ks=(1, 2, 4, 8, 16))
    result.rise("active", 8), result.rise("random", 8), result.p_value("active", 8)

The first k heads of a ranking (the most active, the most changed) are switched off together, and so are k heads drawn
at random, many times: a head that matters should cost more than a random one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from headprint import models
from headprint.analysis.intervals import Interval, mean_interval, wilson
from headprint.base import progress as bars
from headprint.base.errors import InputError
from headprint.base.options import AblateOptions, AblationMode, from_keywords, takes_options
from headprint.evaluation.interventions import (
    HeadId,
    ablate_heads,
    all_heads,
    check_means,
    head_ids,
    means_of,
)
from headprint.evaluation.questions import prepare
from headprint.evaluation.scorers import Scorer
from headprint.models.heads import HeadMap, locate
from headprint.patterns import Pattern

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.data import Source

RANDOM = "random"
"""The name of heads drawn at random, of all heads; ``"random:active"`` are drawn from the layers of "active"."""


def is_random(ranking: str) -> bool:
    """Return whether heads of this name are drawn at random."""
    return ranking.split(":")[0] == RANDOM


def layer_matched(ranking: str) -> str:
    """Return the name of random heads with as many of each layer as the first heads of a ranking."""
    return f"{RANDOM}:{ranking}"


@dataclass(frozen=True)
class Trial:
    """Some heads switched off.

    Attributes:
        ranking: The ranking whose first heads these are, or ``"random"`` (:data:`RANDOM`).
        heads: k pairs of layer and head.
        losses: (N,) loss of each row without them, in nats.
        right: (N,) which answers are right without them; None if nothing was asked.
    """

    ranking: str
    heads: tuple[HeadId, ...]
    losses: NDArray[np.float64] = field(repr=False)
    right: NDArray[np.bool_] | None = field(default=None, repr=False)

    @property
    def k(self) -> int:
        """How many heads are off."""
        return len(self.heads)


@dataclass(frozen=True)
class Ablation:
    """What switching heads off does.

    Attributes:
        intact: The model as it is.
        trials: Every set of heads that was switched off.
        mode: What replaced the output of a head.
        heads: How many heads the model has.
        confidence: Of all intervals.
    """

    intact: Trial
    trials: list[Trial]
    mode: AblationMode
    heads: int
    confidence: float = 0.95

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.intact.losses)

    @cached_property
    def cells(self) -> list[tuple[str, int]]:
        """Every ranking and number of heads that was tried."""
        return list(dict.fromkeys((trial.ranking, trial.k) for trial in self.trials))

    def of(self, ranking: str, k: int) -> list[Trial]:
        """Return the trials of a ranking and number of heads: one, or all draws of random ones.

        Raises:
            InputError: There are none.
        """
        found = [trial for trial in self.trials if (trial.ranking, trial.k) == (ranking, k)]
        if not found:
            tried = ", ".join(f"{name} {count}" for name, count in self.cells)
            raise InputError(f"{ranking!r} with {k} heads was not tried; choose from {tried}")
        return found

    def rise(self, ranking: str, k: int) -> Interval:
        """Return the rise of the loss in nats.

        For a ranking, with the interval over rows, paired (each row against itself). For random heads, the mean over
        draws with the central 95% of them (or whatever the confidence is).
        """
        changes = [trial.losses - self.intact.losses for trial in self.of(ranking, k)]
        if not is_random(ranking):
            return mean_interval(changes[0], self.confidence)
        return self._range([float(change.mean()) for change in changes])

    def accuracy_change(self, ranking: str, k: int) -> Interval | None:
        """Return the change of the accuracy, negative where it falls; None if no answers were asked."""
        intact = self.intact.right
        asked = [trial.right for trial in self.of(ranking, k) if trial.right is not None]
        if intact is None or not asked:
            return None
        changes = [right.astype(float) - intact for right in asked]
        if not is_random(ranking):
            return mean_interval(changes[0], self.confidence)
        return self._range([float(change.mean()) for change in changes])

    def _range(self, draws: Sequence[float]) -> Interval:
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(draws, [tail, 1 - tail]) if len(draws) > 1 else (np.nan, np.nan)
        return Interval(float(np.mean(draws)), float(low), float(high))

    def p_value(self, ranking: str, k: int, *, among: str = RANDOM) -> float | None:
        """Return how likely random heads are to hurt at least as much: (1 + draws that do) / (1 + draws).

        The ranking's own heads count as one draw, so that p is never 0 (Phipson and Smyth 2010,
        https://doi.org/10.2202/1544-6115.1585).

        Args:
            ranking: The name of a ranking.
            k: How many of its heads are off.
            among: The random heads: of all layers, or ``f"random:{ranking}"`` of the same layers.

        Returns:
            None without such draws, and for random heads themselves.
        """
        if is_random(ranking) or (among, k) not in self.cells:
            return None
        own = self.of(ranking, k)[0].losses.mean()
        draws = self.of(among, k)
        return (1 + sum(bool(draw.losses.mean() >= own) for draw in draws)) / (1 + len(draws))

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, for JSON.

        ``rows`` has an entry for each ranking and k, ``trials`` the heads and mean loss of every trial.
        """
        rows = []
        for ranking, k in self.cells:
            accuracy = self.accuracy_change(ranking, k)
            rows.append(
                {
                    "ranking": ranking,
                    "k": k,
                    "draws": len(self.of(ranking, k)),
                    "loss": self.rise(ranking, k).to_dict(),
                    "accuracy": accuracy and accuracy.to_dict(),
                    "p_value": self.p_value(ranking, k),
                    "p_value_layer_matched": self.p_value(ranking, k, among=layer_matched(ranking)),
                }
            )
        right = self.intact.right
        return {
            "mode": self.mode,
            "n": self.n,
            "heads": self.heads,
            "confidence": self.confidence,
            "intact": {
                "loss": mean_interval(self.intact.losses, self.confidence).to_dict(),
                "accuracy": None if right is None else wilson(int(right.sum()), self.n, self.confidence).to_dict(),
            },
            "rows": rows,
            "trials": [
                {
                    "ranking": trial.ranking,
                    "heads": [list(head) for head in trial.heads],
                    "loss": float(trial.losses.mean()),
                    "accuracy": None if trial.right is None else float(trial.right.mean()),
                }
                for trial in self.trials
            ],
        }


@takes_options(AblateOptions)
def ablate(
    model: nn.Module | str | os.PathLike[str],
    tokenizer: Any,
    rows: Source,
    *,
    rankings: Mapping[str, Pattern | Sequence[Sequence[Any]]],
    ks: Sequence[int] = (1, 2, 4, 8, 16),
    means: NDArray[np.float64] | None = None,
    scorer: str | Scorer | None = None,
    show_progress: bool = False,
    options: AblateOptions | None = None,
    **fields: Any,
) -> Ablation:
    """Switch off the first k heads of rankings, and k random heads, and take the loss of rows each time.

    Args:
        model: A transformers causal language model on its device, bare or wrapped, which is not changed; or the name
            of one (:func:`headprint.load_model`).
        tokenizer: Its tokenizer. None for pre-tokenised rows, or for the tokenizer that comes with a model given by
            name.
        rows: Rows, as :func:`headprint.data.read_rows` takes them; preferably not those of the patterns.
        rankings: By name, a pattern of this model (its most active heads first), a change of patterns (the largest
            changes first), or heads themselves: what ``pattern.top`` returns, or pairs of layer and head, from 0.
        ks: How many heads to switch off at a time.
        means: For mode ``"mean"``: :func:`head_means` of other rows; None takes those of ``rows``.
        scorer: Score answers as well (:func:`headprint.evaluate`), which takes far longer than the loss.
        show_progress: Show a progress bar on stderr.
        options: All of the following in one object; keyword arguments take precedence over it.
        {options}

    Raises:
        InputError: Something about the input is wrong, such as a head that the model does not have, or a pattern of
            another model.
        headprint.models.UnsupportedModel: The model has no heads that could be switched off.
    """
    chosen = from_keywords(AblateOptions, options, fields)
    if reserved := next(filter(is_random, rankings), None):
        raise InputError(f"a ranking cannot be called {reserved!r}: that is the name of random heads")
    if not ks or min(ks) < 1:
        raise InputError(f"the numbers of heads are {list(ks)}; they must be 1 or more")
    ready = prepare(model, tokenizer, rows, scorer, chosen)
    model, questions, heldout = ready.model, ready.questions, ready.heldout()
    heads = locate(model)
    total = len(all_heads(heads))
    if max(ks) > total:
        raise InputError(f"the numbers of heads are {list(ks)}, and the model has {total} heads")
    ranked = {}
    for name, ranking in rankings.items():
        if isinstance(ranking, Pattern):
            check_pattern(ranking, model, f"the ranking {name!r}", other_model=chosen.other_model)
            ranking = ranking.top(max(ks), by="absolute" if ranking.kind == "change" else "value")
        ranked[name] = head_ids(heads, ranking)
    plan = _plan(heads, ranked, ks, chosen)
    if means is not None:
        check_means(heads, means)
    with models.frozen(model), bars.progress("ablate", 1 + len(plan), enabled=show_progress, unit="trials") as advance:
        known: dict[frozenset[HeadId], NDArray[np.float64]] = {}

        def trial(ranking: str, off: tuple[HeadId, ...], ask: bool) -> Trial:
            key = frozenset(off)  # the loss is that of the set: rankings may share their first heads
            with ablate_heads(model, off, mode=chosen.mode if off else "zero", means=means, where=heads):
                if key not in known:
                    known[key] = heldout.losses()
                right = np.array([answer.right for answer in questions.collect()]) if questions and ask else None
            advance(1)
            return Trial(ranking, off, known[key], right)

        intact = trial("intact", (), True)
        if chosen.mode == "mean" and means is None:  # after the first pass, which has found batches that fit
            means = means_of(heldout, heads)
        trials = [trial(name, off, not is_random(name) or draw < chosen.scored_draws) for name, draw, off in plan]
    return Ablation(intact, trials, chosen.mode, total, chosen.confidence)


def check_pattern(pattern: Pattern, model: nn.Module, name: str, *, other_model: bool = False) -> None:
    """Refuse a pattern or change that was not measured on a model.

    Args:
        pattern: What ranks the heads. A change must have the model on one of its two sides.
        model: The model whose heads are to be switched off.
        name: What messages call the pattern.
        other_model: Accept a pattern of another model of the same shape, such as the one before fine-tuning.

    Raises:
        InputError: The shapes differ, or the pattern is of other weights.
    """
    heads = locate(model)
    if pattern.shape != (heads.layers, heads.heads):
        raise InputError(
            f"{name} is a {pattern.kind} of {_shape(pattern.shape)}, and the model has "
            f"{_shape((heads.layers, heads.heads))}: extract it from this model"
        )
    origins = list(_origins(pattern.provenance))
    if other_model or not origins:
        return
    dtype, own = models.dtype_name(model), models.describe(model)
    weights = models.fingerprint(model)
    for origin in origins:
        measured = origin["model"]
        # A hash of weights in another dtype says nothing; the name has to do then.
        if measured["weights"] == weights or (origin.get("dtype") != dtype and measured.get("id") == own["id"]):
            return
    others = " and ".join(dict.fromkeys(str(origin["model"].get("id", "unnamed")) for origin in origins))
    raise InputError(
        f"{name} is a {pattern.kind} of other weights ({others}): extract it from this model, or set other_model "
        "(--other-model) if that is meant"
    )


def _shape(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} layers of {shape[1]} heads"


def _origins(provenance: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the provenance of every measured pattern that a result was computed from."""
    if not isinstance(provenance, Mapping):
        return
    if isinstance(measured := provenance.get("model"), Mapping) and "weights" in measured:
        yield provenance
    for operand in provenance.get("operands", ()):
        yield from _origins(operand)


def _plan(
    heads: HeadMap, rankings: Mapping[str, Sequence[HeadId]], ks: Sequence[int], options: AblateOptions
) -> list[tuple[str, int, tuple[HeadId, ...]]]:
    """List every set of heads to switch off: its ranking, the number of its draw, its heads.

    Raises:
        InputError: A ranking is too short.
    """
    everything = all_heads(heads)
    plan = []
    for k in dict.fromkeys(ks):
        for name, ranking in rankings.items():
            if len(ranking) < k:
                raise InputError(f"the ranking {name!r} has {len(ranking)} heads, and {k} are to be switched off")
            plan.append((name, 0, tuple(ranking[:k])))
        rng = np.random.default_rng([options.seed, k])
        plan += [(RANDOM, draw, _drawn(rng, everything, k)) for draw in range(options.random)]
        for name, ranking in rankings.items():
            rng = np.random.default_rng([options.seed, k])
            per_layer = sorted(Counter(layer for layer, _ in ranking[:k]).items())
            for draw in range(options.layer_matched):
                parts = [_drawn(rng, [x for x in everything if x[0] == layer], n) for layer, n in per_layer]
                plan.append((layer_matched(name), draw, tuple(head for part in parts for head in part)))
    return plan


def _drawn(rng: np.random.Generator, heads: Sequence[HeadId], k: int) -> tuple[HeadId, ...]:
    return tuple(heads[i] for i in sorted(rng.choice(len(heads), k, replace=False)))
