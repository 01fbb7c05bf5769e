"""How close two computed numbers must be: the one place that says which error a comparison allows, and why.

Every comparison of levels, losses or gradients is ``error(ours, reference) <= BOUND``: the largest difference as a
share of the largest reference value. A share of each single value would ask for digits that a sum of large terms
of both signs does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.overrides import TorchFunctionMode

FLOAT64 = 1e-12
"""Computed in float64 from end to end (:class:`float64_throughout`): about 4,000 roundings of 2e-16. Measured errors
are 1e-16 to 3e-15 on every processor setting of ``make numerics``. What must not matter (batch size, order, padding,
kernel, shards, checkpointing, a resume) is held to this."""

STORED = 1.5e-7
"""Computed in float64 and stored in float32, as the levels of a pattern set are: each side is rounded once, by at most
2^-24 = 6e-8 of its own size."""

FLOAT32 = 2e-5
"""Computed in float32: what differs is the order of sums, which the processor, its number of threads and the shape of
a batch decide. Measured errors are 4e-7 to 2e-6, so this leaves tenfold headroom; a wrong formula is wrong by 1e-2."""

BFLOAT16 = 0.1
"""Computed in bfloat16, which has 8 bits of mantissa: measured errors are 1e-2 to 5e-2."""


def error(ours: Tensor | ArrayLike, reference: Tensor | ArrayLike) -> float:
    """Largest difference as a share of the largest reference value; infinite where only one of the two is NaN."""
    a, b = (
        np.asarray(x.detach().double() if isinstance(x, Tensor) else x, dtype=np.float64) for x in (ours, reference)
    )
    assert a.shape == b.shape, f"{a.shape} against {b.shape}"
    present = ~np.isnan(b)
    if (np.isnan(a) == present).any():
        return float("inf")
    return float(np.abs(a - b)[present].max() / np.abs(b[present]).max())


class float64_throughout(TorchFunctionMode):
    """Run model code that steps down to float32 (RMSNorm, rotary angles, eager softmax, router) in float64.

    The models of transformers take such steps whatever the dtype of their weights, so that a float64 model is equal to
    itself up to 1e-7 only. In this context every request for float32 is one for float64, and the model's own code is
    what runs.

    It does not reach into what a backward recomputes under activation checkpointing: those tests take a model that
    stays in float64 by itself (GPT-2 with the sdpa kernel).
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call ``func`` with float64 wherever it was asked for float32."""
        if func is Tensor.float:
            func = Tensor.double
        wide = [torch.float64 if value is torch.float32 else value for value in args]
        named = {name: torch.float64 if value is torch.float32 else value for name, value in (kwargs or {}).items()}
        return func(*wide, **named)
