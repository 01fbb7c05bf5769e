"""Array shapes by name, in one place: what `Levels` means is said here and nowhere else.

Letters: N examples, K directions of a head's sketch, R of an MLP's, B examples of one batch, T tokens, L layers,
H heads, D size of one head, P some of the L·H heads.

For type checkers and readers only. Import it under ``if TYPE_CHECKING:`` (with
``from __future__ import annotations``), so that neither jaxtyping nor torch is loaded at run time.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Int64
from torch import Tensor

# numpy: what is stored
Levels = Float32[np.ndarray, "N L H"]  # activation levels, signed unless placed per token
HeadMatrix = Float32[np.ndarray, "L H"]  # an activation pattern or a change
Losses = Float32[np.ndarray, " N"]  # mean loss of each example
TokenCounts = Int32[np.ndarray, " N"]  # supervised tokens of each example
Values = Float[np.ndarray, "..."]  # any numbers, of any shape
HeadValues = Float[np.ndarray, "... P"]  # patterns with the P heads that are numbers in one row

Sketches = Float32[np.ndarray, "N L H K"]  # components of head gradients along random directions
MlpSketches = Float32[np.ndarray, "N L R"]  # the same of the gradients of down projections

# torch: what runs through a model
TokenIds = Int64[Tensor, "B T"]
Labels = Int64[Tensor, "B T"]  # -100 where no loss is taken
TokenMask = Bool[Tensor, "B T"]
HeadOutputs = Float[Tensor, "B T H*D"]  # z = A V, the output projection's input
BatchLevels = Float32[Tensor, "B H"]  # one layer's signed levels of one batch
BatchLosses = Float[Tensor, " B"]
