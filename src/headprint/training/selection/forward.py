"""Selectors that take forward passes only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from headprint.analysis.selection import Cost, SelectionInputs, selector, similarity
from headprint.data import IGNORE, Example
from headprint.measure.levels import Batch
from headprint.measure.likelihood import last_hidden_states
from headprint.training.selection.running import running

if TYPE_CHECKING:
    from headprint.base.shapes import Values


@selector(needs="model", cost=Cost(pool=1, query=1))
def rds_plus(inputs: SelectionInputs) -> Values:
    """RDS+: cosine of position-weighted means of the last hidden states (Ivison et al. 2025, arXiv 2503.01807).

    Token i of T counts i / Σ i, over prompt and completion.
    """
    with running(inputs) as run:

        def pooled(batch: Batch, real: Tensor) -> Tensor:
            hidden = last_hidden_states(run.model, batch.inputs())
            weights = (real * torch.arange(1, real.shape[1] + 1)).to(hidden)
            return torch.einsum("bt,btd->bd", weights / weights.sum(1, keepdim=True), hidden)

        return similarity.cosine(run.over(run.target, pooled), run.over(run.pool, pooled))


@selector(needs="model", cost=Cost(pool=1))
def perplexity(inputs: SelectionInputs) -> Values:
    """The rows that the model finds likeliest first: −(mean token loss). An extracted pool has the losses already."""
    if np.isfinite(inputs.pool.losses).all():
        return -inputs.pool.losses[None].astype(np.float64)
    with running(inputs) as run:
        return -run.losses(run.pool)[None]


@selector(needs="model", cost=Cost(pool=2))
def ifd(inputs: SelectionInputs) -> Values:
    """Instruction-following difficulty (Li et al. 2024, arXiv 2308.12032): hard rows first.

    The loss of the completion given its prompt, over its loss without. Where that is 1 or more the prompt does not help
    at all, and the row has no score, as in the paper; neither has one whose completion is a single token.
    """
    with running(inputs) as run:
        start = getattr(run.tokenizer, "bos_token_id", None)
        given = run.losses(run.pool)
        alone = run.losses([_without_prompt(example, start) for example in run.pool])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = given / alone
    return np.where(ratio < 1, ratio, np.nan)[None]


def _without_prompt(example: Example, start: int | None) -> Example:
    """The tokens with loss, behind the token that starts a text where the example has one."""
    first = [token for token in example.input_ids[:1] if token == start]
    learned = [label for label in example.labels[len(first) :] if label != IGNORE]
    return Example(example.id, first + learned, [IGNORE] * len(first) + learned)
