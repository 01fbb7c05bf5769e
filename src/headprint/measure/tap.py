"""Where a head's output meets its gradient.

Let ``z = A V`` be one head's output, the input of the layer's output projection. The gradient of the loss with
respect to the attention matrix is ``∂L/∂A_ij = ⟨∂L/∂z_i, V_j⟩``, so the paper's sum over the T×T matrix (Eq. 2,
arXiv 2409.15820) is a sum over T tokens::

    Σ_ij A_ij · ∂L/∂A_ij  =  Σ_i ⟨z_i, ∂L/∂z_i⟩

and no attention matrix is needed: the number is exact under any attention kernel. The right-hand side is also the
derivative of the loss with respect to a gate of one that multiplies the head's output (Michel et al. 2019), which is
how it is read here: every head of every example gets such a gate, the only leaf of the graph that requires a gradient.
Autograd then does nothing that is not needed: no parameter's gradient, and nothing below the first layer's heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from headprint.base.options import Placement
from headprint.measure.mlp_tap import MlpTap
from headprint.measure.sketch import Sketch, directions, project
from headprint.models.heads import HeadSite
from headprint.models.mlps import MlpSite


class _Gate(torch.autograd.Function):
    """The identity on z; its second input, a gate of ones, receives ⟨z, ∂L/∂z⟩ per token and head.

    The third, where there is one, stands for steps of zero along the directions of a sketch, and receives the head
    gradient's components along them.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, gate: Tensor, steps: Tensor | None, along: Tensor | None) -> Tensor:
        ctx.save_for_backward(z)
        ctx.wide, ctx.shape, ctx.along = gate.dtype, gate.shape, along
        return z.view_as(z)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None]:
        (z,), (grad,) = ctx.saved_tensors, grads
        product = z.to(ctx.wide) * grad.to(ctx.wide)
        level = product.reshape(*ctx.shape, -1).sum(-1)
        return grad, level, None if ctx.along is None else project(z, grad, ctx.along), None


def _through(z: Tensor, gate: Tensor, steps: Tensor | None, along: Tensor | None) -> Tensor:
    if steps is not None or not torch.compiler.is_compiling():
        return _Gate.apply(z, gate, steps, along)  # type: ignore[no-any-return, no-untyped-call]
    # The same in plain operations, which the compiler fuses with their neighbours.
    return (z.reshape(*gate.shape, -1).to(gate.dtype) * gate[..., None]).to(z.dtype).reshape(z.shape)


_GATE = "_headprint_gate"
_STEPS = "_headprint_steps"
_ALONG = "_headprint_along"


def _gate_input(module: nn.Module, args: tuple[Any, ...]) -> Any:
    # One function for all layers, its gate on the module: what is compiled for one layer then serves them all.
    z, gate = args[0], module.__dict__.get(_GATE)
    # Reentrant checkpointing runs a layer once without a graph, and again in the backward: gate only the latter.
    if gate is None or not torch.is_grad_enabled():
        return None
    # The batch's shape and the weight's device are right for nearly every model; not where accelerate keeps the weight
    # away, nor for a stack that reads patches of bytes or a prompt of its own.
    if gate.device != z.device or gate.shape[1] != z.shape[1]:
        gate = module.__dict__[_GATE] = _ones(len(gate), z.shape[1], gate.shape[2], gate.dtype, z.device)
    steps: Tensor | None = module.__dict__.get(_STEPS)
    along: Tensor | None = module.__dict__.get(_ALONG)
    if steps is not None and along is not None and steps.device != z.device:
        steps = module.__dict__[_STEPS] = steps.detach().to(z.device).requires_grad_()
        along = module.__dict__[_ALONG] = along.to(z.device)
    # A projection that is used twice sums its uses.
    return (_through(z, gate, steps, along), *args[1:])


def _ones(rows: int, length: int, heads: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.ones(rows, length, heads, dtype=dtype, device=device, requires_grad=True)


class Tap:
    """Reads the activation levels of a batch out of one backward pass.

    Use as a context manager: hooks live as long as the block. For each batch call :meth:`open`, run one forward and
    one ``backward()`` of the frozen model, and read :meth:`levels`. Works under activation checkpointing of both
    kinds and under ``torch.compile``, because a gate is an ordinary node of the graph.

    Args:
        sites: Where the heads of each layer meet their output projection (:func:`headprint.models.heads.locate`).
        sketch: Also read the head gradients, in these directions (:mod:`headprint.measure.sketch`).
        mlps: Also read the gradients of these down projections, in the sketch's directions.
    """

    def __init__(
        self, sites: Sequence[HeadSite], sketch: Sketch | None = None, mlps: Sequence[MlpSite] | None = None
    ) -> None:
        self.sites, self.sketch = sites, sketch
        self.mlps = MlpTap(mlps, sketch) if sketch and mlps else None
        self._undo = ExitStack()

    def __enter__(self) -> Tap:
        for site in self.sites:
            self._undo.callback(site.module.register_forward_pre_hook(_gate_input).remove)
            for name in (_GATE, _STEPS, _ALONG):
                self._undo.callback(site.module.__dict__.pop, name, None)
        if self.mlps:
            self._undo.enter_context(self.mlps)
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def open(self, rows: int, length: int) -> None:
        """Make new gates, one per token and head, for a batch of (rows, length) tokens."""
        for site in self.sites:
            parameter = next(site.module.parameters())
            wide = (
                torch.promote_types(parameter.dtype, torch.float32) if parameter.is_floating_point() else torch.float32
            )
            own = site.module.__dict__
            own[_GATE] = _ones(rows, length, site.heads, wide, parameter.device)
            if self.sketch:
                if (along := own.get(_ALONG)) is None or along.dtype != wide:
                    along = own[_ALONG] = directions(site, self.sketch).to(parameter.device, wide)
                own[_STEPS] = along.new_zeros(rows, site.heads, self.sketch.size).requires_grad_()
        if self.mlps:
            self.mlps.open(rows, length)

    def levels(self, placement: Placement = "example", segments: Tensor | None = None) -> Tensor:
        """The levels that the last backward left.

        Args:
            placement: ``"token"`` takes the absolute value of every token's ⟨z_i, ∂L/∂z_i⟩ before the sum over tokens
                (head importance as many copies of Michel et al. compute it); otherwise the sum is signed, and the
                absolute value per example (the paper's) is taken when levels are averaged.
            segments: For packed rows, the example of every token, (rows, length) integers from 0.

        Returns:
            (examples, sites, most heads of any site) on the CPU; NaN for heads that a layer does not have.

        Raises:
            RuntimeError: A site was not reached by the forward or by the backward.
        """
        width = max(site.heads for site in self.sites)
        columns = []
        for site in self.sites:
            gate = site.module.__dict__[_GATE]
            if gate.grad is None:
                raise RuntimeError(f"no gradient reached {site.name}: the pass did not use it")
            per_token = gate.grad.abs() if placement == "token" else gate.grad
            if segments is None:
                column = per_token.sum(1)
            else:
                column = per_token.new_zeros(int(segments.max()) + 1, site.heads)
                column.index_add_(0, segments.flatten().to(column.device), per_token.flatten(0, 1))
            columns.append(nn.functional.pad(column, (0, width - site.heads), value=float("nan")))
        device = columns[0].device  # gathered there first: one copy to the host, not one per layer
        return torch.stack([column.to(device) for column in columns], dim=1).cpu()

    def sketches(self) -> Tensor:
        """The head gradients that the last backward left, in the sketch's directions.

        Returns:
            (examples, sites, most heads of any site, K) on the CPU; NaN for heads that a layer does not have.
        """
        width = max(site.heads for site in self.sites)
        parts = []
        for site in self.sites:
            found = site.module.__dict__[_STEPS].grad
            if found is None:
                raise RuntimeError(f"no gradient reached {site.name}: the pass did not use it")
            parts.append(nn.functional.pad(found, (0, 0, 0, width - site.heads), value=float("nan")))
        device = parts[0].device
        return torch.stack([part.to(device) for part in parts], dim=1).cpu()
