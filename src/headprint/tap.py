"""Where a head's output meets its gradient.

Let ``z = A V`` be one head's output, the input of the layer's output projection. The gradient of the loss with
respect to the attention matrix is ``∂L/∂A_ij = ⟨∂L/∂z_i, V_j⟩``, so the paper's sum over the T×T matrix (Eq. 2,
arXiv 2409.15820) is a sum over T tokens::

    Σ_ij A_ij · ∂L/∂A_ij  =  Σ_i ⟨z_i, ∂L/∂z_i⟩

and no attention matrix is needed: the number is exact under any attention kernel. The right-hand side is also the
derivative of the loss with respect to a gate of one that multiplies the head's output (Michel et al. 2019), which is
how it is read here: every head of every example gets such a gate, the only leaf of the graph that wants a gradient.
Autograd then does nothing that is not needed: no parameter's gradient, and nothing below the first layer's heads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from headprint.heads import HeadSite

Placement = Literal["example", "token", "none"]


class _Gate(torch.autograd.Function):
    """The identity on z; its second input, a gate of ones, receives Σ⟨z, ∂L/∂z⟩ per example and head."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, gate: Tensor, tap: Tap, site: HeadSite) -> Tensor:
        ctx.save_for_backward(z)
        ctx.tap, ctx.site = tap, site
        return z.view_as(z)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (z,), (grad,) = ctx.saved_tensors, grads
        return grad, ctx.tap.reduce(z, grad, ctx.site), None, None


class Tap:
    """Reads the activation levels of a batch out of one backward pass.

    Use as a context manager around one forward and one ``backward()`` of a model whose weights are frozen
    (:func:`frozen`); then call :meth:`levels`. Works under activation checkpointing of both kinds, because
    the gate is an ordinary node of the graph.

    Args:
        sites: Where the heads of each layer meet their output projection (:func:`headprint.heads.locate`).
        batch_size: Rows of the batch, B. With ``segments``, the number of examples packed into it.
        placement: ``"token"`` takes the absolute value of every token's ⟨z_i, ∂L/∂z_i⟩ before the sum over tokens
            (head importance as many copies of Michel et al. compute it); otherwise the sum is signed, and the
            absolute value per example (the paper's) is taken when levels are averaged.
        segments: For packed rows, the example index of every token, (rows, T) integers.
    """

    def __init__(
        self,
        sites: Sequence[HeadSite],
        batch_size: int,
        *,
        placement: Placement = "example",
        segments: Tensor | None = None,
    ) -> None:
        self.sites = sites
        self.batch_size = batch_size
        self.placement = placement
        self.segments = segments
        self._gates: dict[int, Tensor] = {}
        self._hooks = ExitStack()

    def __enter__(self) -> Tap:
        for index, site in enumerate(self.sites):
            handle = site.module.register_forward_pre_hook(partial(self._pass_through_gate, index))
            self._hooks.callback(handle.remove)
        return self

    def __exit__(self, *_: object) -> None:
        self._hooks.close()

    def _pass_through_gate(self, index: int, _: nn.Module, args: tuple[Any, ...]) -> Any:
        # Reentrant checkpointing runs a layer once without a graph, and again in the backward: gate only the latter.
        if not torch.is_grad_enabled():
            return None
        z, site = args[0], self.sites[index]
        if index not in self._gates:  # a projection that is used twice sums its uses
            dtype = torch.promote_types(z.dtype, torch.float32)
            shape = (self.batch_size, site.heads)
            self._gates[index] = torch.ones(shape, dtype=dtype, device=z.device, requires_grad=True)
        return (_Gate.apply(z, self._gates[index], self, site), *args[1:])

    def reduce(self, z: Tensor, grad: Tensor, site: HeadSite) -> Tensor:
        """Σ over tokens and head dimensions of z·∂L/∂z, in float32 at least.

        Args:
            z: Head outputs, (B, T, heads·head_dim), or the same with B and T flattened, or with heads in groups.
            grad: ∂L/∂z, same shape.
            site: Gives heads and their width.

        Returns:
            (B, heads), or (examples, heads) for packed rows.
        """
        wide = torch.promote_types(z.dtype, torch.float32)
        rows = self.batch_size if self.segments is None else self.segments.shape[0]
        per_token = (z.to(wide) * grad.to(wide)).reshape(rows, -1, site.heads, site.head_dim).sum(-1)
        if self.placement == "token":
            per_token = per_token.abs()
        if self.segments is None:
            return per_token.sum(1)
        out = per_token.new_zeros(self.batch_size, heads)
        return out.index_add_(0, self.segments.flatten().to(z.device), per_token.flatten(0, 1))

    def levels(self) -> Tensor:
        """The levels that the last backward left, (B, sites, max heads), on the CPU, signed unless placement is token.

        Entries of heads that a layer does not have are NaN.

        Raises:
            RuntimeError: A site was not reached by the forward or by the backward.
        """
        width = max(site.heads for site in self.sites)
        columns = []
        for index, site in enumerate(self.sites):
            gate = self._gates.get(index)
            if gate is None or gate.grad is None:
                raise RuntimeError(f"no gradient reached {site.name}: the pass did not use it")
            columns.append(nn.functional.pad(gate.grad.cpu(), (0, width - site.heads), value=float("nan")))
        return torch.stack(columns, dim=1)


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
