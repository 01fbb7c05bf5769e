"""A complex task's change as a combination of basic tasks' changes (arXiv 2409.15820, section 4).

:func:`decompose` fits the change of a target by those of named basic tasks, and :func:`discover` finds a basis in a
whole catalogue. Changes are aligned head by head in :mod:`.changes`, least squares is in :mod:`.regression`, intervals,
nulls and rankings in :mod:`.fit`, and the types of options and results in :mod:`.results`.
"""

from headprint.analysis.decomposition.changes import Change, read_change
from headprint.analysis.decomposition.fit import MOST_RANKED, decompose, discover
from headprint.analysis.decomposition.results import (
    Decomposition,
    DecompositionOptions,
    Discovery,
    Gap,
    Null,
    Step,
    Subset,
)

__all__ = [
    "MOST_RANKED",
    "Change",
    "Decomposition",
    "DecompositionOptions",
    "Discovery",
    "Gap",
    "Null",
    "Step",
    "Subset",
    "decompose",
    "discover",
    "read_change",
]
