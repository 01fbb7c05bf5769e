"""Levels of the training batch, read out of the training backward itself.

Examples do not interact, so one backward of the trainer's loss carries the levels of every example in it, only scaled:
where each supervised token of example i counts w in that loss,

    Σ ⟨z, ∂L/∂z⟩ over the example's tokens  =  w · n_i · level_i

with n_i its supervised tokens and level_i the level of the contract, of the example's own mean loss. What w is depends
on the tokens of the step, on gradient accumulation, ranks and loss scaling; it is not computed here but read, as the
gradient that the backward itself brings to the tokens' log-probabilities (TRL) or to the model's loss (transformers).
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from headprint.base.errors import InputError
from headprint.base.options import Placement
from headprint.measure.loss import supervised_mask
from headprint.measure.tap import Tap
from headprint.models.heads import HeadMap, locate

_EVEN = 1e-3
"""How far the weights of one example's tokens may lie apart, as a share: rounding in half precision."""


class TrainingTap:
    """Reads the levels of training batches.

    Use as a context manager around one or more forward and backward passes of the training loop; after each backward
    call :meth:`read`. The gates are identities and draw no random numbers: training goes the same way, to the bit. Of a
    pass with dropout these are the levels of that pass, dropout and all.

    Args:
        model: What the trainer calls, below any data-parallel wrapper; bare or wrapped by PEFT.

    Raises:
        headprint.models.heads.UnsupportedModel: The model has no head that could be measured.
    """

    def __init__(self, model: nn.Module) -> None:
        self.heads = locate(model)
        self._model = model
        self._tap = Tap(self.heads.sites)
        self._undo = ExitStack()
        self._supervised: Tensor | None = None  # (B, T - 1), of the pass under way
        self._weights: Tensor | None = None  # (B, T - 1), w of each token, once the backward was there

    def __enter__(self) -> TrainingTap:
        self._undo.enter_context(self._tap)
        for handle in (
            self._model.register_forward_pre_hook(self._before, with_kwargs=True),
            self._model.register_forward_hook(self._after, with_kwargs=True),
        ):
            self._undo.callback(handle.remove)
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()
        self._supervised = self._weights = None

    def read(self, placement: Placement = "example") -> Tensor:
        """Levels of the examples of the latest forward and backward.

        Args:
            placement: As for :meth:`headprint.measure.tap.Tap.levels`.

        Returns:
            (n, L, H) on the CPU, of the n rows with a supervised token; NaN where there is no head.

        Raises:
            InputError: The loss was not a mean over tokens, so the level of an example cannot be recovered from it.
        """
        supervised, weights = self._supervised, self._weights
        if supervised is None or weights is None:
            raise InputError(
                "the training loss was not made of the token losses that the model returned, so levels cannot be read "
                "out of it: use the trainer's own loss, or probes instead of online tracking"
            )
        counts = supervised.sum(1)
        totals = (weights * supervised).sum(1)  # w · n_i
        even = totals / counts.clamp(min=1)
        if (((weights - even[:, None]).abs() * supervised).amax(1) > _EVEN * even.abs()).any():
            raise InputError(
                "the training loss weighs one token of an example more than another (such as loss_type 'dft'), so "
                "levels of the mean loss cannot be read out of it: use probes instead of online tracking"
            )
        here, scale = (counts > 0).cpu(), totals.cpu()
        measured = self._tap.levels(placement)[here] / scale[here][:, None, None]
        levels = measured.new_full((len(measured), self.heads.layers, self.heads.heads), float("nan"))
        levels[:, [site.layer for site in self.heads.sites]] = measured
        self._supervised = self._weights = None
        return levels

    def _before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not torch.is_grad_enabled():  # a pass for metrics only
            return
        labels = kwargs.get("labels")
        if labels is None:
            raise InputError(
                "the trainer calls the model without labels, so its loss cannot be taken apart by example "
                "(label smoothing, or a loss function of your own): use probes instead of online tracking"
            )
        if "cu_seq_lens_q" in kwargs or ("position_ids" in kwargs and "attention_mask" not in kwargs):
            raise InputError(PACKED)
        self._tap.open(*labels.shape)
        self._supervised, self._weights = supervised_mask(labels), None

    def _after(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if not torch.is_grad_enabled() or self._supervised is None:
            return
        if _wants_gradient(getattr(output, "aux_loss", None)):
            raise InputError(
                "the router's balancing loss is part of the training loss and belongs to no example: "
                "set router_aux_loss_coef to 0, or use probes instead of online tracking"
            )
        log_probs, loss = (getattr(output, name, None) for name in ("log_probs", "loss"))
        if _wants_gradient(log_probs):
            log_probs.register_hook(self._weigh_tokens)  # type: ignore[no-untyped-call]
        elif _wants_gradient(loss):
            tokens = kwargs.get("num_items_in_batch")
            tokens = self._supervised.sum() if tokens is None else tokens
            loss.register_hook(partial(self._weigh_evenly, tokens=tokens))  # type: ignore[no-untyped-call]

    def _weigh_tokens(self, gradient: Tensor) -> None:
        self._weights = -gradient

    def _weigh_evenly(self, gradient: Tensor, *, tokens: Tensor | int) -> None:
        if self._supervised is not None:
            self._weights = (gradient / tokens).expand(self._supervised.shape)


PACKED = (
    "packed or padding-free rows hold several examples each, and their levels cannot be separated: "
    "set packing and padding_free to false, or use probes instead of online tracking"
)


def _wants_gradient(value: Any) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.requires_grad


class RunningPattern:
    """A pattern that grows by batches: Σ |level| and how many, in float64.

    Args:
        heads: Of the model.
        placement: Where the absolute value goes (:class:`headprint.patterns.pattern_set.PatternSet`).
    """

    def __init__(self, heads: HeadMap, placement: Placement) -> None:
        self._placement = placement
        self._present = torch.zeros(heads.layers, heads.heads, dtype=torch.bool)
        for site in heads.sites:
            self._present[site.layer, : site.heads] = True
        self._clear()

    def _clear(self) -> None:
        self._total = torch.zeros(self._present.shape, dtype=torch.float64)
        self._examples = 0

    def add(self, levels: Tensor) -> None:
        """Add n examples, (n, L, H); one whose levels overflowed (in a step that the scaler skips) is left out."""
        levels = levels[(levels.isfinite() | ~self._present).all((1, 2))].double()
        self._total += (levels.abs() if self._placement == "example" else levels).sum(0)
        self._examples += len(levels)

    def take(self, device: torch.device) -> tuple[Tensor, int]:
        """The mean over the examples of all ranks since the last call, (L, H), and how many they were.

        Args:
            device: Where ranks can talk to one another.
        """
        sums = torch.cat([self._total.nan_to_num().flatten(), self._total.new_tensor([self._examples])])
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            sums = sums.to(device)
            torch.distributed.all_reduce(sums)
            sums = sums.cpu()
        examples = int(sums[-1])
        mean = sums[:-1].reshape(self._present.shape) / max(examples, 1)
        self._clear()
        return mean.masked_fill(~self._present, float("nan")), examples
