"""Changes that are only the pattern before with its sign reversed.

A level is proportional to the gradient, and the gradient shrinks with the loss. Where fine-tuning makes the loss small,
every level falls towards 0, and ΔAP = AP_after - AP_before is about -AP_before whatever the heads have learned. Such a
change says where the heads stood, not what training did to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from headprint.patterns import statistics

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


MIRRORED = 0.9
"""The correlation with -AP_before above which a change is called a mirror of the pattern before."""


def mirrors_before(change: ArrayLike, before: ArrayLike) -> float:
    """Return Pearson's correlation of a change with the negated pattern before, over the heads; NaN if one is constant.

    Args:
        change: (L, H).
        before: (L, H), the pattern that the change starts from.
    """
    return statistics.correlation(change, -np.asarray(before, dtype=np.float64))


def mirror_warning(correlations: Mapping[str, float | None]) -> str | None:
    """Say in one line which changes are little more than -AP_before; None if no change is.

    Args:
        correlations: Of :func:`mirrors_before`, by the name of the change; None where the pattern before is unknown.
    """
    mirrored = {name: r for name, r in correlations.items() if r is not None and r > MIRRORED}
    if not mirrored:
        return None
    named = ", ".join(f"{name} (r = {r:.2f})" for name, r in mirrored.items())
    return (
        f"little more than -AP before training: {named}; levels fall with the loss, so compare shares or elasticities "
        "(--reading), or change rates (--relative)"
    )
