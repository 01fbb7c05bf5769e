"""Does the level of a head matter causally? Switch heads off and see what the task loses.

    study = headprint.ablate(model, tokenizer, rows, orders={"active": pattern.top(16)}, ks=(1, 2, 4, 8, 16))
    study.rise("active", 8), study.rise("random", 8), study.p("active", 8)

The k first heads of an order (the most active, the most changed) are switched off together, and so are k heads drawn at
random, many times: a head that matters should cost more than a random one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from headprint import progress as bars
from headprint.errors import InputError
from headprint.evaluate import mean_interval, take_rows, wilson
from headprint.exam import Scorer, check_scorer, exam
from headprint.heads import HeadMap, locate
from headprint.heldout import HeldOut, examples_of
from headprint.intervals import Interval
from headprint.switches import (
    HeadId,
    Mode,
    all_heads,
    check_means,
    check_mode,
    head_ids,
    head_means,
    means_of,
    switched_off,
)
from headprint.tap import frozen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.rows import Source
    from headprint.tokens import LossOn

__all__ = ["RANDOM", "Ablation", "Trial", "ablate", "head_means", "switched_off"]

RANDOM = "random"
"""The order of heads drawn by chance."""


@dataclass(frozen=True)
class Trial:
    """Some heads switched off.

    Attributes:
        choice: The order that they are the first of, or ``"random"``.
        heads: k pairs of layer and head.
        losses: (N,) each row's loss in nats without them.
        right: (N,) which answers are right without them; None if they were not asked.
    """

    choice: str
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
        mode: What took the place of a head's output.
        heads: How many heads there are.
        confidence: Of all intervals.
    """

    intact: Trial
    trials: list[Trial]
    mode: Mode
    heads: int
    confidence: float = 0.95

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.intact.losses)

    @cached_property
    def cells(self) -> list[tuple[str, int]]:
        """Every order and number of heads that was tried."""
        return list(dict.fromkeys((trial.choice, trial.k) for trial in self.trials))

    def of(self, choice: str, k: int) -> list[Trial]:
        """The trials of one order and number of heads: one, or all draws of random ones.

        Raises:
            InputError: There is none.
        """
        found = [trial for trial in self.trials if (trial.choice, trial.k) == (choice, k)]
        if not found:
            tried = ", ".join(f"{name} {count}" for name, count in self.cells)
            raise InputError(f"{choice!r} with {k} heads was not tried; there is {tried}")
        return found

    def rise(self, choice: str, k: int) -> Interval:
        """How much the loss rises, in nats.

        Of an order: with the interval over rows, paired (each row against itself). Of random heads: the mean over
        draws, with the range that holds the central 95% (the confidence) of them.
        """
        changes = [trial.losses - self.intact.losses for trial in self.of(choice, k)]
        if choice != RANDOM:
            return mean_interval(changes[0], self.confidence)
        return self._range([float(change.mean()) for change in changes])

    def accuracy_change(self, choice: str, k: int) -> Interval | None:
        """How much the accuracy rises (it falls below 0), likewise; None where answers were not asked."""
        intact = self.intact.right
        asked = [trial.right for trial in self.of(choice, k) if trial.right is not None]
        if intact is None or not asked:
            return None
        changes = [right.astype(float) - intact for right in asked]
        if choice != RANDOM:
            return mean_interval(changes[0], self.confidence)
        return self._range([float(change.mean()) for change in changes])

    def _range(self, draws: Sequence[float]) -> Interval:
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(draws, [tail, 1 - tail]) if len(draws) > 1 else (np.nan, np.nan)
        return Interval(float(np.mean(draws)), float(low), float(high))

    def p(self, choice: str, k: int) -> float | None:
        """How likely k random heads are to hurt at least as much: (1 + draws that do) / (1 + draws).

        The order's own set counts as one draw, so that p is never 0 (Phipson and Smyth 2010,
        https://doi.org/10.2202/1544-6115.1585). None without random draws, and for them themselves.
        """
        if choice == RANDOM or (RANDOM, k) not in self.cells:
            return None
        own = self.of(choice, k)[0].losses.mean()
        draws = self.of(RANDOM, k)
        return (1 + sum(bool(draw.losses.mean() >= own) for draw in draws)) / (1 + len(draws))

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON: one entry of ``rows`` for each order and k, and every trial's heads and mean loss."""
        rows = []
        for choice, k in self.cells:
            accuracy = self.accuracy_change(choice, k)
            rows.append(
                {
                    "choice": choice,
                    "k": k,
                    "draws": len(self.of(choice, k)),
                    "loss": self.rise(choice, k).to_dict(),
                    "accuracy": accuracy and accuracy.to_dict(),
                    "p": self.p(choice, k),
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
                    "choice": trial.choice,
                    "heads": [list(head) for head in trial.heads],
                    "loss": float(trial.losses.mean()),
                    "accuracy": None if trial.right is None else float(trial.right.mean()),
                }
                for trial in self.trials
            ],
        }


def ablate(
    model: nn.Module,
    tokenizer: Any,
    rows: Source,
    *,
    orders: Mapping[str, Sequence[Sequence[Any]]],
    ks: Sequence[int] = (1, 2, 4, 8, 16),
    mode: Mode = "zero",
    means: NDArray[np.float64] | None = None,
    random: int = 20,
    seed: int = 0,
    scorer: Scorer | None = None,
    scored_draws: int = 3,
    n: int | None = None,
    split: str = "test",
    loss_on: LossOn = "auto",
    max_new_tokens: int = 256,
    batch_tokens: int | None = None,
    confidence: float = 0.95,
    progress: bool = False,
) -> Ablation:
    """Switch off the first k heads of some orders, and k random heads, and take the loss of rows each time.

    Args:
        model: A transformers causal language model on its device, bare or wrapped. Left as it was found.
        tokenizer: Its tokenizer; None for pre-tokenised rows.
        rows: Rows, as :func:`headprint.rows.read_rows` takes them; better not those that the patterns are of.
        orders: Heads by name of their order, such as ``{"active": pattern.top(16), "changed": change.top(16,
            by="absolute")}``; what ``top`` gives, or pairs of layer and head, from 0.
        ks: How many of them to switch off.
        mode: ``"zero"``: a head gives nothing. ``"mean"``: it gives its mean over tokens everywhere, which keeps what
            does not depend on the input (Wang et al. 2022, https://arxiv.org/abs/2211.00593).
        means: For ``"mean"``: :func:`head_means` of other rows; None takes those of ``rows``.
        random: Draws of k random heads, of all heads alike, for each k.
        seed: Of the draws. The draws of one k do not depend on the other ks.
        scorer: Also ask the rows' questions (:func:`headprint.evaluate`), which takes far longer than the loss.
        scored_draws: For how many of the random draws.
        n: Only the first so many rows.
        split: Of a folder, a ``datasets`` data set, or a task of the laboratory.
        loss_on: Which tokens have a loss, as in :func:`headprint.extract`.
        max_new_tokens: Where an answer is cut.
        batch_tokens: Tokens per batch at most; None chooses.
        confidence: Of all intervals.
        progress: Show a progress bar on stderr.

    Raises:
        InputError: Something about the input is wrong, such as a head that the model does not have.
        headprint.heads.UnsupportedModel: The model has no heads that could be switched off.
    """
    heads = locate(model)
    plan = _plan(heads, orders, ks, random, seed)
    check_mode(mode)  # these too before anything is run
    check_scorer(scorer or "none")
    if means is not None:
        check_means(heads, means)
    taken = take_rows(rows, n, split)
    with ExitStack() as stack:
        stack.enter_context(frozen(model))
        heldout = HeldOut(model, examples_of(taken, tokenizer, loss_on=loss_on), batch_tokens=batch_tokens)
        questions = None
        if scorer not in (None, "none"):
            questions = exam(model, tokenizer, taken, scorer, max_new_tokens=max_new_tokens, batch_tokens=batch_tokens)
        advance = stack.enter_context(bars.progress("ablate", 1 + len(plan), enabled=progress))
        known: dict[frozenset[HeadId], NDArray[np.float64]] = {}

        def trial(choice: str, off: tuple[HeadId, ...], ask: bool) -> Trial:
            key = frozenset(off)  # the loss is that of the set: orders may share their first heads
            with switched_off(model, off, mode=mode if off else "zero", means=means, where=heads):
                if key not in known:
                    known[key] = heldout.losses()
                right = np.array([answer.right for answer in questions.take()]) if questions and ask else None
            advance(1)
            return Trial(choice, off, known[key], right)

        intact = trial("intact", (), True)
        if mode == "mean" and means is None:  # now that batches are known to fit
            means = means_of(heldout, heads)
        trials = [trial(choice, off, choice != RANDOM or draw < scored_draws) for choice, draw, off in plan]
    return Ablation(intact, trials, mode, len(all_heads(heads)), confidence)


def _plan(
    heads: HeadMap, orders: Mapping[str, Sequence[Sequence[Any]]], ks: Sequence[int], random: int, seed: int
) -> list[tuple[str, int, tuple[HeadId, ...]]]:
    """Every set of heads to switch off: its order, the number of its draw, its heads.

    Raises:
        InputError: An order is too short, or a number of heads is out of range.
    """
    everything = all_heads(heads)
    if random < 0 or seed < 0:
        raise InputError(f"random draws and seeds are 0 or more, not {random} and {seed}")
    if RANDOM in orders:
        raise InputError(f"an order cannot be called {RANDOM!r}: that is what the draws are called")
    if not ks or min(ks) < 1 or max(ks) > len(everything):
        raise InputError(f"the numbers of heads are {list(ks)}; they want to be 1 to {len(everything)}")
    ranked = {name: head_ids(heads, order) for name, order in orders.items()}
    plan = []
    for k in dict.fromkeys(ks):
        for name, order in ranked.items():
            if len(order) < k:
                raise InputError(f"the order {name!r} has {len(order)} heads, and {k} are to be switched off")
            plan.append((name, 0, tuple(order[:k])))
        rng = np.random.default_rng([seed, k])
        for draw in range(random):
            picked = rng.choice(len(everything), k, replace=False)
            plan.append((RANDOM, draw, tuple(everything[i] for i in sorted(picked))))
    return plan
