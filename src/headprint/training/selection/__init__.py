"""Choosing rows to train on where that takes a model.

:func:`select` takes rows and extracts what a method compares (:mod:`.from_rows`). Selectors that run a model over the
rows (:mod:`.forward`), train it first (:mod:`.tuned`) or both (:mod:`.less`) are entries of
:data:`headprint.analysis.selection.SELECTORS` like all others.
"""

from typing import TYPE_CHECKING

from headprint.base.lazy import lazy_names

if TYPE_CHECKING:
    from headprint.training.selection.from_rows import select as select

__getattr__, __all__ = lazy_names(__name__, {"from_rows": ["select"]})
