"""Gradients of the MLPs' down projections, sketched on both sides, from the pass that gives the levels.

With ``a`` the input of a layer's down projection W and ``y = W a`` its output, the gradient of W is
``Σ_t ∂L/∂y_t ⊗ a_t``. It is read in r×r directions, ``φ_ij = Σ_t ⟨s_i, a_t⟩ ⟨u_j, ∂L/∂y_t⟩``, where the entries of the
s_i and u_j are independent random signs: the mean over i and j of φ_ij(x) φ_ij(y) is an unbiased estimate of the inner
product of two gradients. Only r numbers of each token are held for the backward, and the matrix is never formed.

The down projections of a layer (those of its experts, and of experts that all tokens share) have directions of their
own, and their φ are added up: the sum is the sketch of all their gradients side by side, weighted by the router as the
weights' own gradients are. Transformers computes all experts of a layer in one module, which is asked for
``Σ_e w_e S_e a_e``, w_e from the router, by calling it once more with the s_i of every expert as its down projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from headprint.measure.sketch import Sketch, sides
from headprint.models.heads import UnsupportedModel
from headprint.models.mlps import EXPERTS, MlpSite


class _Reader:
    """The forward hook of one site."""

    def __init__(self, site: MlpSite, sketch: Sketch) -> None:
        self.site, self._sketch = site, sketch
        self._shape = (0, 0)
        self._directions: tuple[Tensor, Tensor] | None = None
        self._asking = False
        self.found: Tensor | None = None

    def open(self, rows: int, length: int) -> None:
        self._shape, self.found = (rows, length), None

    def __call__(self, module: nn.Module, args: tuple[Any, ...], named: dict[str, Any], y: Any) -> Tensor | None:
        # Reentrant checkpointing runs a layer once without a graph, and again in the backward: only the latter counts.
        # What the other kind recomputes has no backward of its own, so there the hook below is the first forward's.
        if self._asking or not torch.is_grad_enabled():
            return None
        if not isinstance(y, Tensor):
            raise self.refusal(f"returns {type(y).__name__}, not a tensor")
        side = self._sketch.side
        if side > y.shape[-1]:
            raise self.refusal(f"is only {y.shape[-1]} wide, too little for {side} directions a side")
        wide = torch.promote_types(y.dtype, torch.float32)
        with torch.no_grad():
            if self.site.experts:
                weight = module.get_parameter(EXPERTS)
                inner, outer = self._along(weight.numel() // weight.shape[0] // y.shape[-1], y.shape[-1], weight)
                left = self._ask_experts(module, args, named, inner)
            else:
                inner, outer = self._along(args[0].shape[-1], y.shape[-1], y)
                left = args[0].to(wide) @ inner[0].T.to(wide)
            left = self._by_example(left.to(wide))
        if not y.requires_grad:  # no head comes before this MLP
            y = y.detach().requires_grad_()

        def read(gradient: Tensor) -> None:
            right = (gradient.to(wide) @ outer[0].T.to(wide)).reshape(left.shape)
            found = torch.einsum("qbti,qbtj->bij", left, right)
            self.found = found if self.found is None else self.found + found  # of a projection that is used twice

        y.register_hook(read)
        out: Tensor = y.clone() if y.is_leaf else y  # some models add to it in place
        return out

    def _along(self, inner: int, outer: int, like: Tensor) -> tuple[Tensor, Tensor]:
        if self._directions is None or self._directions[0].device != like.device:
            found = sides(self.site, inner, outer, self._sketch)
            self._directions = tuple(part.to(like) for part in found)  # type: ignore[assignment]
        return self._directions  # type: ignore[return-value]

    def _ask_experts(self, module: nn.Module, args: tuple[Any, ...], named: dict[str, Any], inner: Tensor) -> Tensor:
        """Σ_e w_e S_e a_e of every token, (…, r), from the module itself, which is linear in its down projections."""
        down, side = module.get_parameter(EXPERTS), self._sketch.side
        instead = {name: torch.zeros_like(part) for name, part in module.named_parameters() if name.startswith(EXPERTS)}
        if _is_transposed(module, down):
            instead[EXPERTS][:, :, :side] = inner.transpose(1, 2)
        else:
            instead[EXPERTS][:, :side] = inner
        self._asking = True
        try:
            found: Tensor = functional_call(module, instead, args, named)
        finally:
            self._asking = False
        return found[..., :side]

    def _by_example(self, x: Tensor) -> Tensor:
        """(q, B, T, r) of (B, T, r) or of q·B·T tokens in a row: experts may have every token q times."""
        rows, length = self._shape
        if x.ndim == 3 and len(x) == rows:
            return x[None]
        tokens = x.flatten(0, -2)
        if len(tokens) % (rows * length):
            raise self.refusal(f"reads {len(tokens)} tokens of a batch of {rows} × {length}")
        return tokens.reshape(-1, rows, length, x.shape[-1])

    def refusal(self, why: str) -> UnsupportedModel:
        return UnsupportedModel(f"{self.site.name} {why}; sketch the heads alone (blocks='heads')")


def _is_transposed(module: nn.Module, down: Tensor) -> bool:
    """Whether the experts' projections are (experts, width in, width out)."""
    said = getattr(module, "is_transposed", None)
    first: Tensor | None = getattr(module, "gate_up_proj", None)
    return bool(said) if said is not None or first is None else first.shape[-1] != down.shape[1]


class MlpTap:
    """Reads the sketches of a batch's down projections out of one backward pass.

    Use as :class:`headprint.measure.tap.Tap`, which opens it.

    Args:
        sites: The down projections (:func:`headprint.models.mlps.locate_mlps`).
        sketch: In which directions.
    """

    def __init__(self, sites: Sequence[MlpSite], sketch: Sketch) -> None:
        self._readers = [_Reader(site, sketch) for site in sites]
        self.layers = sorted({site.layer for site in sites})
        self._undo = ExitStack()

    def __enter__(self) -> MlpTap:
        for reader in self._readers:
            hook = reader.site.module.register_forward_hook(reader, with_kwargs=True)
            self._undo.callback(hook.remove)
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def open(self, rows: int, length: int) -> None:
        """Make ready for a batch of (rows, length) tokens."""
        for reader in self._readers:
            reader.open(rows, length)

    def sketches(self) -> Tensor:
        """The sketches that the last backward left, (B, layers with an MLP, r·r), on the CPU.

        Raises:
            UnsupportedModel: The model does not call one of the modules.
        """
        parts: dict[int, Tensor] = {}
        for reader in self._readers:
            if reader.found is None:
                raise reader.refusal("takes no part in the model's forward")
            found, layer = reader.found.flatten(1).cpu(), reader.site.layer
            parts[layer] = parts[layer] + found if layer in parts else found
        return torch.stack([parts[layer] for layer in self.layers], dim=1)
