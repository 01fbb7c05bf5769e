"""The measure on one batch: every example's activation levels from one forward and one backward."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from headprint.base.options import Loss, Objective, Placement
from headprint.measure.loss import backward, supervised_mask
from headprint.measure.tap import Tap


@dataclass(frozen=True)
class Batch:
    """Token ids and labels of B examples.

    Right-padded rows need no attention mask under causal attention: padding comes after every real token, and its
    positions carry no loss. Without a mask the attention kernel can take its fast causal path.

    Attributes:
        input_ids: (B, T).
        labels: (B, T), unshifted, -100 where no loss.
        attention_mask: (B, T), wanted only for left padding.
        position_ids: (B, T), likewise.
    """

    input_ids: Tensor
    labels: Tensor
    attention_mask: Tensor | None = None
    position_ids: Tensor | None = None

    def inputs(self) -> dict[str, Tensor]:
        """What the model's forward is called with."""
        named = {
            "input_ids": self.input_ids,
            "attention_mask": self.attention_mask,
            "position_ids": self.position_ids,
        }
        return {name: tensor for name, tensor in named.items() if tensor is not None}


def token_weights(labels: Tensor, loss: Loss) -> Tensor:
    """What each token's loss counts in the number that is differentiated, (B, T) float64.

    Args:
        labels: (B, T), -100 where no loss.
        loss: ``"mean"``: the sum over examples of each example's mean token loss, so that an example's levels do not
            depend on its batch (the paper's formula). ``"sum"``: the sum of all token losses. ``"batch-mean"``: the
            mean over the batch's tokens (what the authors' public script differentiates): an example's levels then
            depend on its batch mates.
    """
    supervised = supervised_mask(labels).sum(1, keepdim=True).double()
    if loss == "mean":
        count = supervised
    elif loss == "sum":
        count = torch.ones_like(supervised)
    else:
        count = supervised.sum().expand_as(supervised)
    return (1 / count).expand(labels.shape)


def measure(
    model: nn.Module,
    tap: Tap,
    batch: Batch,
    *,
    placement: Placement = "example",
    loss: Loss = "mean",
    objective: Objective = "loss",
) -> tuple[Tensor, Tensor]:
    """Activation levels and losses of one batch.

    Args:
        model: A causal language model, frozen (:func:`headprint.measure.tap.frozen`).
        tap: An open tap on its head sites.
        batch: Examples; each has a supervised token.
        placement: Where an absolute value is taken (:meth:`headprint.measure.tap.Tap.levels`).
        loss: How tokens are weighted in what is differentiated (:func:`token_weights`).
        objective: Their losses, or their log odds (:func:`headprint.measure.loss.backward`).

    Returns:
        Levels (B, sites, heads) and mean token losses in nats (B,), float32 (float64 for a float64 model), on the CPU.
    """
    labels = batch.labels
    tap.open(*labels.shape)
    with torch.enable_grad():
        nll = backward(model, batch.inputs(), labels, token_weights(labels, loss), objective=objective)
    supervised = supervised_mask(labels).sum(1).to(nll)
    return tap.levels(placement), (nll.sum(1) / supervised).cpu()
