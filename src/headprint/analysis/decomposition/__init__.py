"""A complex task as a combination of basic tasks (arXiv 2409.15820, section 4).

:func:`decompose` fits a target by named basic tasks, and :func:`discover` finds a basis in a whole catalogue. What is
fitted are changes of activation levels (:mod:`.changes`) or mean head gradients (:mod:`.gradients`); both become a
:mod:`.problem`. Least squares is in :mod:`.regression`, the shares of a mixture in :mod:`.shares`, intervals, nulls
and rankings in :mod:`.fit`, and the types of results in :mod:`.results`.
"""

from headprint.analysis.decomposition.changes import Change, read_task
from headprint.analysis.decomposition.fit import MOST_RANKED, decompose, discover
from headprint.analysis.decomposition.results import (
    Decomposition,
    Discovery,
    Gap,
    Mixture,
    Null,
    Step,
    Subset,
)
from headprint.base.options import DecompositionOptions

__all__ = [
    "MOST_RANKED",
    "Change",
    "Decomposition",
    "DecompositionOptions",
    "Discovery",
    "Gap",
    "Mixture",
    "Null",
    "Step",
    "Subset",
    "decompose",
    "discover",
    "read_task",
]
