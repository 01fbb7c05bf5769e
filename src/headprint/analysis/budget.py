"""How many of some things, taken in order, come nearest to a budget of rows or tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def within_budget(sizes: ArrayLike, budget: int) -> int:
    """The number of first items whose sizes add up to nearest the budget; the fewer of two equally near.

    Args:
        sizes: (M,) non-negative sizes in the order of taking: 1 each for rows, or tokens.
        budget: In the unit of the sizes.
    """
    sums = np.concatenate([[0], np.cumsum(np.asarray(sizes, dtype=np.int64))])
    return int(np.argmin(np.abs(sums - budget)))  # the first of equals
