"""Activation checkpointing that works in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def checkpointed(model: nn.Module) -> Iterator[None]:
    """Keep only each layer's input, and recompute the layer in the backward.

    transformers' own switch acts in training mode only, where dropout would act as well.

    Args:
        model: A transformers model whose layers are ``GradientCheckpointingLayer``s.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    with ExitStack() as stack:
        for layer in model.modules():
            if isinstance(layer, GradientCheckpointingLayer):
                own = layer.__dict__.get("forward")
                stack.callback(_restore, layer, own)
                layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
        yield


def _restore(layer: nn.Module, own_forward: object) -> None:
    if own_forward is None:
        del layer.forward
    else:  # accelerate puts its device moves there
        layer.forward = own_forward  # type: ignore[assignment]
