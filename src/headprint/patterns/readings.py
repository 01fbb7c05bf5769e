"""Readings: what one example adds to a pattern, which is the mean of that over the examples.

A level M_h(x) is proportional to the gradient of the loss, so it falls with the loss whatever the heads have learned
(:mod:`headprint.analysis.confound`). The other readings take that scale out, or keep the sign:

- ``"level"``: M_h(x) = |Σ A·∂L/∂A|, the paper's (Eq. 2, arXiv 2409.15820), in nats;
- ``"signed"``: the same without the absolute value: a negative number is a head that helps;
- ``"share"``: S_h(x) = M_h(x) / Σ_h' M_h'(x), over all heads of the model;
- ``"elasticity"``: M_h(x) / L(x), the percentage by which the loss changes when the head's output grows by 1 %;
- ``"margin"``: the level of the tokens' log odds, log(p / (1 - p)), instead of their loss, -log p. The extraction has
  to differentiate them (``objective="margin"``). Unlike the loss's, their gradient does not vanish as p approaches 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from headprint.base.errors import InputError, did_you_mean
from headprint.base.options import Reading
from headprint.patterns.storage.shards import Shard

if TYPE_CHECKING:
    from numpy.typing import NDArray


def reading_of(provenance: Mapping[str, Any]) -> Reading | None:
    """Return the reading of a pattern or a change, or the one that a pattern set is read by unless asked otherwise.

    Args:
        provenance: Of any of them.

    Returns:
        None if the provenance does not say.
    """
    if "reading" in provenance:
        return provenance["reading"]  # type: ignore[no-any-return]
    if "operation" in provenance:
        return reading_of(next(operand for operand in provenance["operands"] if isinstance(operand, Mapping)))
    if provenance.get("placement") == "none":
        return "signed"
    if "placement" in provenance or "objective" in provenance:
        return "margin" if provenance.get("objective") == "margin" else "level"
    return None


def check_reading(reading: str, provenance: Mapping[str, Any]) -> None:
    """Refuse a reading that the levels of a set do not permit.

    Raises:
        InputError: With what to extract instead.
    """
    if reading not in (allowed := get_args(Reading)):
        raise InputError(f"unknown reading {reading!r}: {did_you_mean(reading, allowed)}")
    margins = provenance.get("objective") == "margin"
    again = None
    if reading == "signed" and provenance.get("placement") == "token":
        again = "the sign of levels that were extracted with placement 'token' is lost: extract with another"
    elif reading == "margin" and not margins:
        again = "these are levels of the loss: extract again with objective 'margin'"
    elif reading in ("level", "elasticity") and margins:
        again = "these are levels of the log odds: extract again with objective 'loss'"
    elif reading == "elasticity" and provenance.get("loss") == "batch-mean":
        again = "the loss of each batch is not stored: extract again with loss 'mean'"
    if again:
        raise InputError(f"no reading {reading!r} of this pattern set: {again}")


def read(shard: Shard, reading: Reading, provenance: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return what each example adds to the pattern, (n, L, H); NaN where a layer has no attention.

    Args:
        shard: n examples.
        reading: One that :func:`check_reading` permits.
        provenance: Of the set.

    Raises:
        InputError: An example's loss, or all of its levels, are 0, so that there is nothing to divide by.
    """
    levels = shard.values.astype(np.float64)
    if reading == "signed":
        return levels
    sizes = np.abs(levels)
    if reading == "share":
        return sizes / _divisor(np.nansum(sizes, axis=(1, 2)), shard, "levels are all")
    if reading == "elasticity":
        summed = provenance.get("loss") == "sum"
        losses = shard.losses.astype(np.float64) * (shard.tokens if summed else 1)
        return sizes / _divisor(losses, shard, "loss is")
    return sizes


def _divisor(of_examples: NDArray[np.float64], shard: Shard, what: str) -> NDArray[np.float64]:
    """(n, 1, 1)."""
    if (zero := of_examples == 0).any():
        first = shard.ids[int(zero.argmax())]
        raise InputError(f"example {first!r} has no such reading, as its {what} 0: leave it out, or read the levels")
    return of_examples[:, None, None]
