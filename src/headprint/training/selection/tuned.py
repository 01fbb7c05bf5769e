"""Selectors that train a copy of the model for a few steps before they score."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from headprint import models
from headprint.analysis.selection import Cost, SelectionInputs, selector
from headprint.base.options import TuningOptions
from headprint.data import Example
from headprint.measure.batching import collate
from headprint.measure.levels import token_weights
from headprint.measure.loss import supervised_mask
from headprint.training.selection.running import running

if TYPE_CHECKING:
    from headprint.base.shapes import Values


@selector(needs="model", cost=Cost(pool=2, step_rows=3))
def target_selects(inputs: SelectionInputs) -> Values:
    """The share of a row's loss that goes after a short tuning on the target's own rows (arXiv 2605.09404)."""
    with running(inputs) as run:
        before = run.losses(run.pool)
        tuned, _ = tuned_copy(run.model, run.target, inputs.tuning, inputs.seed)
        after = run.losses(run.pool, model=tuned)
    with np.errstate(divide="ignore", invalid="ignore"):
        return ((before - after) / before)[None]


def tuned_copy(
    model: nn.Module, examples: list[Example], tuning: TuningOptions, seed: int
) -> tuple[nn.Module, torch.optim.AdamW]:
    """Train a copy of a model: AdamW at a constant rate, every batch the mean of its rows' mean token losses.

    Args:
        model: Left as it is.
        examples: Taken in a random order, again and again.
        tuning: Steps, rows a step and the learning rate.
        seed: Of the order.

    Returns:
        The copy, frozen and in evaluation mode, and the optimiser with its moments.
    """
    copy = deepcopy(model).eval()  # without dropout, since all of this is to be the same every time
    weights = [parameter.requires_grad_() for parameter in copy.parameters() if parameter.is_floating_point()]
    optimizer = torch.optim.AdamW(weights, lr=tuning.tuning_rate, weight_decay=0.0)
    device, order = models.input_device(copy), np.random.default_rng(seed)
    left: list[int] = []
    for _ in range(tuning.tuning_steps):
        while len(left) < tuning.tuning_batch:
            left += order.permutation(len(examples)).tolist()
        chosen, left = left[: tuning.tuning_batch], left[tuning.tuning_batch :]
        batch_loss(copy, [examples[index] for index in chosen], device).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    for parameter in weights:
        parameter.requires_grad_(False)
    return copy, optimizer


def batch_loss(model: nn.Module, examples: list[Example], device: torch.device) -> torch.Tensor:
    """Return the mean over examples of their mean token losses, with a graph."""
    batch = collate(examples, device)
    with torch.enable_grad():
        logits = model(**batch.inputs(), use_cache=False).logits[:, :-1]
        where = supervised_mask(batch.labels)
        losses = F.cross_entropy(logits[where].float(), batch.labels[:, 1:][where], reduction="none")
        return losses @ token_weights(batch.labels, "mean")[:, 1:][where].to(losses) / len(examples)
