"""A plain training loop for very many very short trainings of one model.

TRL's trainer takes seconds to set up, which here would be as long as the training. This loop does the same arithmetic
(AdamW without weight decay, gradients clipped to norm 1, a linear schedule, the mean loss over a batch's supervised
tokens; a test compares the two), and counts batches in tokens: every arm sees as many tokens in as many steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_
from transformers import get_linear_schedule_with_warmup

from headprint import models
from headprint.base.errors import InputError
from headprint.data import Example
from headprint.measure.batching import collate
from headprint.measure.loss import labelled_rows, supervised_mask

Precision: TypeAlias = Literal["float32", "bfloat16"]
"""Of matrix products; weights stay float32."""

_CLIP = 1.0


def in_steps(examples: Sequence[Example], tokens: int, steps: int, seed: int) -> list[list[Example]]:
    """Shuffle examples and divide them into batches of equal supervised tokens.

    Args:
        examples: Gone through again, in a new order, until they have as many tokens.
        tokens: In all batches together.
        steps: How many batches.
        seed: Of the orders.

    Returns:
        ``steps`` batches, none empty.

    Raises:
        InputError: A step would have no example.
    """
    rng = np.random.default_rng([seed, 5])
    sizes = np.array([example.supervised for example in examples])
    passes = -(-tokens // int(sizes.sum()))
    order = np.concatenate([rng.permutation(len(sizes)) for _ in range(passes)])
    middles = np.cumsum(sizes[order]) - sizes[order] / 2
    step = np.floor(middles / tokens * steps).astype(int)  # an example belongs where its middle lies
    found = [[examples[i] for i in order[step == number]] for number in range(steps)]
    if not all(found):
        raise InputError(
            f"{tokens} tokens in {steps} steps leave a step without a row: give more tokens, or fewer steps"
        )
    return found


def train(
    model: nn.Module,
    batches: Sequence[Sequence[Example]],
    *,
    rate: float,
    warmup: float = 0.0,
    precision: Precision = "float32",
    after_step: Callable[[int], None] = lambda step: None,
) -> None:
    """Train a model in place, one optimizer step a batch.

    Args:
        model: A causal language model with float32 weights.
        batches: Of examples with supervised tokens.
        rate: The highest learning rate; it falls linearly to 0.
        warmup: The share of the steps in which it rises linearly.
        precision: Of matrix products.
        after_step: Called with the number of steps that are done.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0)
    steps, rising = len(batches), round(warmup * len(batches))
    schedule = get_linear_schedule_with_warmup(optimizer, rising, steps)
    device = models.input_device(model)
    for number, batch in enumerate(batches, 1):
        model.train()
        inputs = collate(batch, device)
        with in_precision(precision, device):
            loss = mean_loss(model, inputs.inputs(), inputs.labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        clip_grad_norm_(parameters, _CLIP)
        optimizer.step()
        schedule.step()
        model.eval()
        after_step(number)


def mean_loss(model: nn.Module, inputs: dict[str, Tensor], labels: Tensor) -> Tensor:
    """The mean negative log-likelihood of a batch's supervised tokens, in nats."""
    where = supervised_mask(labels)
    rows, head = labelled_rows(model, inputs, where)
    return F.cross_entropy(head(rows).float(), labels[:, 1:][where])


def in_precision(precision: Precision, device: torch.device) -> torch.autocast:
    """The context in which matrix products have a precision."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


class Weights:
    """A copy of a model's trainable weights, to which it can be set back."""

    def __init__(self, model: nn.Module) -> None:
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._values = [parameter.detach().clone() for parameter in self._parameters]

    def restore(self) -> None:
        """Set the model back."""
        with torch.no_grad():
            for parameter, value in zip(self._parameters, self._values, strict=True):
                parameter.copy_(value)
