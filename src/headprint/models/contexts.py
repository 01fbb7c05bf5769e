"""Settings lent to a model for the length of a ``with`` block, and given back also after an error.

:func:`frozen` weights, another attention kernel (:func:`using_kernel`), a lower precision (:func:`computing_in`) and
activation checkpointing that works in evaluation mode (:func:`checkpointed`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from headprint.base.errors import InputError
from headprint.models.heads import unwrap
from headprint.models.loading import DTYPES
from headprint.models.properties import dtype_name, input_device, kernel

_LOWER = ("bfloat16", "float16")


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Freeze every weight and switch dropout off; put flags and modes back as they were, also after an error.

    Frozen weights make the backward cost what a forward costs (4·P FLOPs per token in all instead of a training
    step's 6·P), and no parameter gradient is ever allocated.
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    training = [m for m in model.modules() if m.training]
    try:
        for parameter in trainable:
            parameter.requires_grad_(False)
        model.eval()
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        for module in training:
            module.training = True


def _configs(config: Any) -> Iterator[Any]:
    """A config and those of its parts, which may name kernels of their own."""
    yield config
    for name in getattr(config, "sub_configs", {}):
        if (part := getattr(config, name, None)) is not None:
            yield from _configs(part)


@contextmanager
def using_kernel(model: nn.Module, attn_implementation: str | None) -> Iterator[None]:
    """Lend the model another attention kernel, and give its own back.

    Raises:
        InputError: The model or this machine does not have that kernel.
    """
    if attn_implementation in (None, kernel(model)):
        yield
        return
    causal = unwrap(model)
    owners = [module.config for module in causal.modules() if hasattr(module, "set_attn_implementation")]
    before = {id(c): (c, c._attn_implementation) for owner in owners for c in _configs(owner)}
    try:
        causal.set_attn_implementation(attn_implementation)
    except (ValueError, ImportError) as error:
        raise InputError(
            f"{type(causal).__name__} cannot use attention kernel {attn_implementation!r}: {error}"
        ) from error
    try:
        yield
    finally:
        for config, own in before.values():
            config._attn_implementation = {"": own}  # of this config alone, its parts keep theirs


@contextmanager
def computing_in(model: nn.Module, dtype: str | None) -> Iterator[None]:
    """Matrix products in a lower precision by autocast; what happens between them, such as the sums along the residual
    stream, in float32. The weights are float32 or of that precision already, and stay as they are.

    Raises:
        InputError: The dtype is unknown, the weights are of another, or the model's own code mixes the two up.
    """
    own = dtype_name(model)
    if dtype is None:
        yield
        return
    if dtype not in _LOWER:
        raise InputError(f"compute_dtype is {dtype!r}: it wants one of {', '.join(_LOWER)}")
    if own not in ("float32", dtype):
        raise InputError(f"the model's weights are {own}: load it in float32 or {dtype} to compute in {dtype}")
    try:
        stream = nullcontext() if own == "float32" else _wide_stream(model)
        with stream, torch.autocast(input_device(model).type, DTYPES[dtype]):
            yield
    except RuntimeError as error:
        if not re.search("dtype|scalar type|convert", str(error)):
            raise
        raise InputError(
            f"{type(unwrap(model)).__name__} does not compute in {dtype} by autocast ({str(error).splitlines()[0]}): "
            f"load it in {dtype} or float32, without compute_dtype"
        ) from error


@contextmanager
def _wide_stream(model: nn.Module) -> Iterator[None]:
    """Autocast keeps float32 what is float32: here the embeddings' output and, for the norms, the weights that are
    vectors. Matrices, which are nearly all of a model, are not copied."""
    vectors = [(p, p.data) for p in model.parameters() if p.ndim < 2 and p.is_floating_point()]
    hook = unwrap(model).get_input_embeddings().register_forward_hook(lambda _, __, embedded: embedded.float())
    try:
        for parameter, data in vectors:
            parameter.data = data.float()
        yield
    finally:
        hook.remove()
        for parameter, data in vectors:
            parameter.data = data


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
