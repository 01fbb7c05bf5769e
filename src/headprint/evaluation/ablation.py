"""Does the level of a head matter causally? Switch heads off and see what the task loses.

    study = headprint.ablate(model, tokenizer, rows, orders={"active": pattern.top(16)}, ks=(1, 2, 4, 8, 16))
    study.rise("active", 8), study.rise("random", 8), study.p("active", 8)

The k first heads of an order (the most active, the most changed) are switched off together, and so are k heads drawn at
random, many times: a head that matters should cost more than a random one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from headprint.base import progress as bars
from headprint.base.errors import InputError
from headprint.evaluation.ablation_results import RANDOM, Ablation, Trial, is_random
from headprint.evaluation.evaluation import take_rows
from headprint.evaluation.interventions import (
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
from headprint.evaluation.likelihood import HeldOut, examples_of
from headprint.evaluation.questions import Scorer, check_scorer, exam
from headprint.models import frozen
from headprint.models.heads import HeadMap, locate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.data.rows import Source
    from headprint.data.tokenization import LossOn

__all__ = ["RANDOM", "Ablation", "Trial", "ablate", "head_means", "switched_off"]


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
    same_layers: int = 0,
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
        rows: Rows, as :func:`headprint.data.rows.read_rows` takes them; better not those that the patterns are of.
        orders: Heads by name of their order, such as ``{"active": pattern.top(16), "changed": change.top(16,
            by="absolute")}``; what ``top`` gives, or pairs of layer and head, from 0.
        ks: How many of them to switch off.
        mode: ``"zero"``: a head gives nothing. ``"mean"``: it gives its mean over tokens everywhere, which keeps what
            does not depend on the input (Wang et al. 2022, https://arxiv.org/abs/2211.00593).
        means: For ``"mean"``: :func:`head_means` of other rows; None takes those of ``rows``.
        random: Draws of k random heads, of all heads alike, for each k.
        same_layers: Draws, for each order and k, of as many random heads of each layer as the order's heads are from:
            whether it is the heads that matter, or only the layers that they are in.
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
        headprint.models.heads.UnsupportedModel: The model has no heads that could be switched off.
    """
    heads = locate(model)
    plan = _plan(heads, orders, ks, random, same_layers, seed)
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
        trials = [trial(choice, off, not is_random(choice) or draw < scored_draws) for choice, draw, off in plan]
    return Ablation(intact, trials, mode, len(all_heads(heads)), confidence)


def _plan(
    heads: HeadMap,
    orders: Mapping[str, Sequence[Sequence[Any]]],
    ks: Sequence[int],
    random: int,
    same_layers: int,
    seed: int,
) -> list[tuple[str, int, tuple[HeadId, ...]]]:
    """Every set of heads to switch off: its order, the number of its draw, its heads.

    Raises:
        InputError: An order is too short, or a number of heads is out of range.
    """
    everything = all_heads(heads)
    if min(random, same_layers, seed) < 0:
        raise InputError(f"draws and seeds are 0 or more, not {random}, {same_layers} and {seed}")
    if taken := next(filter(is_random, orders), None):
        raise InputError(f"an order cannot be called {taken!r}: that is what the draws are called")
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
        plan += [(RANDOM, draw, _drawn(rng, everything, k)) for draw in range(random)]
        for name, order in ranked.items():
            rng = np.random.default_rng([seed, k])
            per_layer = sorted(Counter(layer for layer, _ in order[:k]).items())
            for draw in range(same_layers):
                parts = [_drawn(rng, [x for x in everything if x[0] == layer], n) for layer, n in per_layer]
                plan.append((f"{RANDOM}:{name}", draw, tuple(head for part in parts for head in part)))
    return plan


def _drawn(rng: np.random.Generator, heads: Sequence[HeadId], k: int) -> tuple[HeadId, ...]:
    return tuple(heads[i] for i in sorted(rng.choice(len(heads), k, replace=False)))
