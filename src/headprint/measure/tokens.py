"""What single tokens of an example add to its head gradients, along given directions."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headprint import models
from headprint.base.options import Loss
from headprint.data import Example
from headprint.measure.batching import collate
from headprint.measure.levels import measure
from headprint.measure.sketch import Sketch, directions
from headprint.measure.tap import Tap


def token_contributions(
    model: nn.Module, example: Example, along: NDArray[np.float64], *, seed: int, loss: Loss = "mean"
) -> NDArray[np.float64]:
    """What each token adds to Σ_k along_k φ_k of every head, where φ is the head's sketch.

    Since φ_k = ⟨R_k, Σ_t z_t ⊗ ∂L/∂z_t⟩, token t adds z_tᵀ (Σ_k along_k R_k) ∂L/∂z_t.

    Args:
        model: The model of the sketch.
        example: One row.
        along: (L, H, K) what each component counts.
        seed: Of the sketch's directions.
        loss: Which loss the sketch is of; ``"batch-mean"`` is that of a batch of this row.

    Returns:
        (L, H, T); zero where ``along`` is.
    """
    heads = models.locate(model)
    seen: dict[int, list[Tensor]] = defaultdict(list)  # a projection that is used twice sums its uses
    found = np.zeros((*along.shape[:2], len(example.input_ids)))
    with ExitStack() as stack:
        stack.enter_context(models.frozen(model))
        tap = stack.enter_context(Tap(heads.sites))
        for site in heads.sites:  # after the tap's own hooks, so that what is seen has a gradient

            def keep(_: nn.Module, args: tuple[Tensor, ...], layer: int = site.layer) -> None:
                if args[0].requires_grad:
                    seen[layer].append(args[0])
                    args[0].retain_grad()

            stack.callback(site.module.register_forward_pre_hook(keep).remove)
        measure(model, tap, collate([example], models.input_device(model)), loss=loss)
        for site in heads.sites:
            weights = torch.from_numpy(along[site.layer, : site.heads])
            mixed = torch.einsum("hek,hk->he", directions(site, Sketch(along.shape[2], seed)).double(), weights)
            matrices = mixed.reshape(site.heads, site.head_dim, site.head_dim)
            for z in seen[site.layer]:
                assert z.grad is not None
                parts = [x[0].detach().double().cpu().reshape(-1, site.heads, site.head_dim) for x in (z, z.grad)]
                found[site.layer, : site.heads] += torch.einsum("thi,hij,thj->ht", parts[0], matrices, parts[1]).numpy()
    return found
