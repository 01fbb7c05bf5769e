"""Head gradients, a few random directions of each: what training on a row would do through a head, in K numbers.

Insert a linear map ``M = I`` (D×D) after a head, ``z → M z``. Its gradient is the **head gradient**::

    G(x) = Σ_t z_t ⊗ ∂L(x)/∂z_t

whose trace is the head's activation level. ``⟨G(x), G(y)⟩``, summed over heads, is the first-order effect of a training
step on x on the loss of y through these maps (TracIn, Pruthi et al. 2020, arXiv 2002.08484, and LESS, Xia et al. 2024,
arXiv 2402.04333, restricted to the heads). G is read in the directions of K matrices R_k of independent random signs
(Rademacher), ``φ_k = ⟨R_k, G⟩``, for which the mean over k of φ_k(x) φ_k(y) is an unbiased estimate of ⟨G(x), G(y)⟩.

Every head has directions of its own, drawn from (seed, layer, head, k) alone: the first K of a larger sketch are the
sketch of K, and a sketch made on another machine is in the same directions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from headprint.base.options import Blocks
from headprint.models.heads import HeadMap, HeadSite
from headprint.models.mlps import MlpSite

NUMBERS_PER_ROW = 8192
"""A default sketch has at most so many numbers a row, whatever the size of the model."""


@dataclass(frozen=True)
class Sketch:
    """In which directions gradients are read.

    Attributes:
        size: K, directions per head.
        seed: Of the directions.
        side: r: a layer's MLP is read in r×r directions (:mod:`headprint.measure.mlp_tap`); 0 leaves it out.
    """

    size: int
    seed: int = 0
    side: int = 0

    @classmethod
    def planned(cls, heads: HeadMap, size: int, seed: int, blocks: Blocks) -> Sketch:
        """The sketch that the options ask for.

        Args:
            heads: Of the model.
            size: K; 0 for the default, with which a row has :data:`NUMBERS_PER_ROW` numbers at most.
            seed: Of the directions.
            blocks: With ``"heads,mlp"`` a layer's MLP has as many numbers as all its heads together, but for the
                remainder of a square root.
        """
        if blocks == "heads":
            return cls(size or default_size(heads), seed)
        size = size or default_size(heads, NUMBERS_PER_ROW // 2)
        return cls(size, seed, math.isqrt(size * heads.heads))


def default_size(heads: HeadMap, numbers: int = NUMBERS_PER_ROW) -> int:
    """The largest power of two K for which L·H·K is at most ``numbers``; at least 1."""
    return 1 << max(0, (numbers // (heads.layers * heads.heads)).bit_length() - 1)


def directions(site: HeadSite, sketch: Sketch) -> Tensor:
    """The random sign matrices of one layer, (heads, D², K) float32: entry [h, i·D + j, k] is R_k[i, j] of head h."""
    entries = site.head_dim**2
    columns = [
        [_signs(entries, (sketch.seed, site.layer, head, k)) for k in range(sketch.size)] for head in range(site.heads)
    ]
    return torch.from_numpy(np.array(columns, np.float32)).transpose(1, 2).contiguous()


def sides(site: MlpSite, inner: int, outer: int, sketch: Sketch) -> tuple[Tensor, Tensor]:
    """The random signs of one down projection, float32: s, (experts or 1, r, inner), and u, (1, r, outer)."""

    def drawn(expert: int, side: int, width: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        seed = (sketch.seed, site.layer, site.place, expert, side)  # a head's have one number less
        return _signs(sketch.side * width, seed).reshape(sketch.side, width)

    left = np.stack([drawn(expert, 1, inner) for expert in range(max(site.experts, 1))])
    return torch.from_numpy(left), torch.from_numpy(drawn(0, 2, outer)[None])


def _signs(count: int, seed: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    bits = np.frombuffer(np.random.Generator(np.random.PCG64(seed)).bytes(-(-count // 8)), np.uint8)
    return np.unpackbits(bits)[:count].astype(np.float32) * 2 - 1


def project(z: Tensor, gradient: Tensor, along: Tensor) -> Tensor:
    """φ of one layer: z and ∂L/∂z, (B, T, H·D) each, along (H, D², K), to (B, H, K).

    G is formed for one layer at a time, (B, H, D, D): D/T of what z itself holds, and D/(24·width) of the FLOPs of the
    layer's forward and backward.
    """
    heads, entries, _ = along.shape
    dim = round(entries**0.5)
    shape = (*z.shape[:2], heads, dim)
    z, gradient = (x.to(along.dtype).reshape(shape).transpose(1, 2) for x in (z, gradient))  # (B, H, T, D)
    matrices = z.transpose(-1, -2) @ gradient
    return torch.bmm(matrices.flatten(2).transpose(0, 1), along).transpose(0, 1)
