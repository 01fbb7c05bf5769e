"""Activation levels: how much each attention head matters to the loss on each example.

:func:`extract` runs rows through a model and returns a pattern set; :func:`verify` compares a model's levels with the
definition, attention matrices multiplied by their gradients (:mod:`~headprint.measure.oracle`). From the outside in:
:mod:`~headprint.measure.extraction` goes shard by shard, :mod:`~headprint.measure.engine` batch by batch
(:mod:`~headprint.measure.batching`), :mod:`~headprint.measure.levels` takes one batch forward and backward,
:mod:`~headprint.measure.loss` makes the logits of labelled tokens only, and :mod:`~headprint.measure.tap` reads the
levels where each head's output meets its gradient. :mod:`~headprint.measure.benchmark` times all of it.
"""

from headprint.measure.batching import Budget, OutOfMemory, collate, in_batches
from headprint.measure.extraction import extract
from headprint.measure.levels import Batch, measure
from headprint.measure.oracle import materialised_levels
from headprint.measure.tap import Tap
from headprint.measure.verification import Verification, ensure_exact, verify

__all__ = [
    "Batch",
    "Budget",
    "OutOfMemory",
    "Tap",
    "Verification",
    "collate",
    "ensure_exact",
    "extract",
    "in_batches",
    "materialised_levels",
    "measure",
    "verify",
]
