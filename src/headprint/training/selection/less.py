"""LESS: gradients of all weights, as Adam takes them, projected at random (Xia et al. 2024, arXiv 2402.04333)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headprint import models
from headprint.analysis.selection import Cost, SelectionInputs, selector, similarity
from headprint.base.progress import progress
from headprint.data import Example
from headprint.training.selection.running import running
from headprint.training.selection.tuned import batch_loss, tuned_copy

if TYPE_CHECKING:
    from headprint.base.shapes import Values

SIZE = 8192
"""Numbers that remain of a gradient, as in the paper."""


@selector(needs="model", cost=Cost(pool=3, query=3, step_rows=3))
def less(inputs: SelectionInputs) -> Values:
    """LESS-style: cosine of a row's Adam update with the target's gradient, both projected at random.

    The model is trained on random rows of the pool first, all weights instead of LoRA's. A row of the target counts by
    its gradient; one of the pool by the update that Adam, with the moments that the training left, would make of it.
    """
    with running(inputs) as run:
        model, optimizer = tuned_copy(run.model, run.pool, inputs.tuning, inputs.seed)
        weights = [weight.requires_grad_() for weight in optimizer.param_groups[0]["params"]]
        buckets = Buckets([weight.numel() for weight in weights], SIZE, inputs.seed)
        device = models.input_device(model)

        def projected(examples: list[Example], *, as_adam: bool) -> NDArray[np.float64]:
            rows = []
            with progress("score", len(examples), enabled=inputs.show_progress) as bar:
                for example in examples:
                    loss = batch_loss(model, [example], device)
                    found = torch.autograd.grad(loss, weights, materialize_grads=True)
                    moved = adam_update(optimizer, weights, found) if as_adam else found
                    rows.append(buckets.project(moved))
                    bar(1)
            return torch.stack(rows).double().cpu().numpy()

        target = projected(run.target, as_adam=False)
        target = target.mean(axis=0, keepdims=True) if inputs.mean_query else target
        return similarity.cosine(target, projected(run.pool, as_adam=True))


def adam_update(optimizer: torch.optim.AdamW, weights: list[Tensor], gradients: tuple[Tensor, ...]) -> list[Tensor]:
    """Return what Adam would subtract for these gradients, but for the rate; its moments stay as they are."""
    group = optimizer.param_groups[0]
    (first, second), eps = group["betas"], group["eps"]
    moved = []
    for weight, gradient in zip(weights, gradients, strict=True):
        state = optimizer.state[weight]
        step = state["step"].item() + 1 if state else 1  # a weight that no batch has used has no moments
        mean, square = (state[name] if state else torch.zeros_like(weight) for name in ("exp_avg", "exp_avg_sq"))
        mean = (first * mean + (1 - first) * gradient) / (1 - first**step)
        square = (second * square + (1 - second) * gradient**2) / (1 - second**step)
        moved.append(mean / (square.sqrt() + eps))
    return moved


class Buckets:
    """A random projection that costs one addition a number: sums of random signs (Charikar et al. 2002).

    Inner products are preserved in expectation, as by a dense matrix of random signs.

    Args:
        sizes: Numbers of each weight.
        size: Sums.
        seed: Of buckets and signs.
    """

    def __init__(self, sizes: list[int], size: int, seed: int) -> None:
        draw = torch.Generator().manual_seed(seed)
        self._size = size
        # 2·bucket + sign, in 4 bytes: as many as the weights themselves take
        self._places = [torch.randint(2 * size, (n,), generator=draw, dtype=torch.int32) for n in sizes]

    def project(self, gradients: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
        """Return (size,) sums of the numbers of all gradients, float32 or wider."""
        first = gradients[0]
        total = torch.zeros(self._size, dtype=torch.promote_types(first.dtype, torch.float32), device=first.device)
        for gradient, places in zip(gradients, self._places, strict=True):
            places = places.to(total.device)
            total.index_add_(0, places // 2, gradient.flatten().to(total) * (places % 2 * 2 - 1))
        return total
