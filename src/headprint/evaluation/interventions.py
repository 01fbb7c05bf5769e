"""Switch attention heads off for a while: set a head's output to zero or to its mean.

The input of a layer's output projection is the outputs of all heads side by side (:mod:`headprint.models.heads`), so a
head is off when its slice of that input is replaced, whatever the attention kernel; the weights are not touched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor, nn

from headprint import models
from headprint.base.errors import InputError, did_you_mean
from headprint.base.options import AblationMode, LossOn
from headprint.data import read_rows
from headprint.measure.likelihood import HeldOut, examples_of, token_losses
from headprint.models.heads import HeadMap, HeadSite, locate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.data import Source
    from headprint.measure.levels import Batch

HeadId: TypeAlias = tuple[int, int]
"""Layer and head, from 0."""


def all_heads(heads: HeadMap) -> list[HeadId]:
    """List every head of a model, layer by layer."""
    return [(site.layer, head) for site in heads.sites for head in range(site.heads)]


def head_ids(heads: HeadMap, chosen: Sequence[Sequence[Any]]) -> list[HeadId]:
    """Return layers and heads as pairs, of what ``pattern.top`` returns or of pairs.

    Raises:
        InputError: The model has no such head, or one is named twice.
    """
    count = {site.layer: site.heads for site in heads.sites}
    ids: list[HeadId] = []
    for layer, head in ((int(one[0]), int(one[1])) for one in chosen):
        where = f"layer {layer} head {head}"
        if layer in heads.absent:
            raise InputError(f"{where}: the layer has no heads of its own: {heads.absent[layer]}")
        if layer not in count or not 0 <= head < count[layer]:
            raise InputError(
                f"the model has no {where}: it has {heads.layers} layers of up to {heads.heads} heads, counted from 0"
            )
        if (layer, head) in ids:
            raise InputError(f"{where} is named twice")
        ids.append((layer, head))
    return ids


@contextmanager
def ablate_heads(
    model: nn.Module,
    heads: Sequence[Sequence[Any]],
    *,
    mode: AblationMode = "zero",
    means: NDArray[np.float64] | None = None,
    where: HeadMap | None = None,
) -> Iterator[None]:
    """Switch heads off while the block runs, for forward passes, generation and training alike.

    Args:
        model: A transformers causal language model, bare or wrapped.
        heads: What ``pattern.top`` returns, or pairs of layer and head, from 0. An empty sequence changes nothing.
        mode: ``"zero"`` replaces the output of a head by 0, ``"mean"`` by its mean, at every token.
        means: (L, H, D) from :func:`head_means`; needed for ``"mean"``.
        where: The model's heads, if they are known already (:func:`headprint.locate`).

    Raises:
        InputError: The model has no such head, or ``means`` are missing or of another model.
    """
    found = where or locate(model)
    check_mode(mode)
    if mode == "mean":
        check_means(found, means)
    by_layer: dict[int, list[int]] = defaultdict(list)
    for layer, head in head_ids(found, heads):
        by_layer[layer].append(head)
    with ExitStack() as undo:
        for site in found.sites:
            if off := by_layer.get(site.layer):
                fill = None if means is None or mode == "zero" else means[site.layer, off, : site.head_dim]
                undo.callback(site.module.register_forward_pre_hook(_switch(site, off, fill)).remove)
        yield


def check_mode(mode: str) -> None:
    """Refuse an unknown mode.

    Raises:
        InputError: With the modes to choose from.
    """
    if mode not in get_args(AblationMode):
        raise InputError(f"unknown mode {mode!r}: {did_you_mean(mode, get_args(AblationMode))}")


def check_means(heads: HeadMap, means: NDArray[np.float64] | None) -> None:
    """Refuse means that are not of a model's heads.

    Raises:
        InputError: With the shape that is needed.
    """
    wanted = (heads.layers, heads.heads, max(site.head_dim for site in heads.sites))
    if means is None or means.shape != wanted:
        given = "none were given" if means is None else f"those given are {means.shape}"
        raise InputError(f"mode 'mean' needs means of shape {wanted}, and {given}: take head_means of this model")


def _switch(site: HeadSite, off: Sequence[int], fill: NDArray[np.float64] | None) -> Any:
    """Make a pre-hook of a layer's output projection that replaces the slices of some heads."""
    heads = torch.tensor(list(off))
    values = torch.zeros(len(off), site.head_dim) if fill is None else torch.from_numpy(fill)

    def replace(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        z: Tensor = args[0]
        split = z.reshape(-1, site.heads, site.head_dim).clone()  # a copy: a backward pass may need z itself
        split[:, heads.to(z.device)] = values.to(z)
        return (split.reshape(z.shape), *args[1:])

    return replace


def head_means(
    model: nn.Module,
    tokenizer: Any,
    rows: Source,
    *,
    split: str = "train",
    loss_on: LossOn = "auto",
    batch_tokens: int | None = None,
) -> NDArray[np.float64]:
    """Return the mean output z of every head over all tokens of rows, prompts included.

    Args:
        model: A transformers causal language model on its device.
        tokenizer: Its tokenizer; None for pre-tokenised rows.
        rows: As :func:`headprint.data.read_rows` takes them.
        split: The split of a folder, of a ``datasets`` data set, or of a task of the laboratory.
        loss_on: As in :func:`headprint.extract`; it only decides which rows are refused.
        batch_tokens: Tokens per batch at most; None chooses.

    Returns:
        (L, H, D); NaN where there is no head.

    Raises:
        InputError: A row is broken, has no token with a loss, or is longer than the model's context.
    """
    examples = examples_of(list(read_rows(rows, split=split)), tokenizer, loss_on=loss_on, **models.limits(model))
    return means_of(HeldOut(model, examples, batch_tokens=batch_tokens), locate(model))


def means_of(heldout: HeldOut, heads: HeadMap) -> NDArray[np.float64]:
    """Return :func:`head_means` of rows that are tokenised already."""

    shape = (heads.layers, heads.heads, max(site.head_dim for site in heads.sites))

    def summed(batch: Batch, real: Tensor) -> tuple[NDArray[np.float64], int]:
        sums = np.zeros(shape)

        def adding(site: HeadSite) -> Any:
            def add(module: nn.Module, args: tuple[Any, ...]) -> None:
                z: Tensor = args[0]
                outputs = z.reshape(*real.shape, site.heads, site.head_dim)[real.to(z.device)]
                sums[site.layer, : site.heads, : site.head_dim] += outputs.sum(0, dtype=torch.float64).cpu().numpy()

            return add

        with ExitStack() as undo:
            for site in heads.sites:
                undo.callback(site.module.register_forward_pre_hook(adding(site)).remove)
            token_losses(heldout.model, batch.inputs(), batch.labels)
        return sums, int(real.sum())

    total, tokens = np.zeros(shape), 0
    with models.frozen(heldout.model):
        for _, (sums, count) in heldout.run(summed):
            total += sums
            tokens += count
    means = np.full(shape, np.nan)
    for site in heads.sites:
        own = (site.layer, slice(site.heads), slice(site.head_dim))
        means[own] = total[own] / tokens
    return means
