"""Choosing rows to train on where that takes a model.

:func:`select` takes rows and extracts what a method compares (:mod:`.from_rows`); :func:`explain` takes the score of a
row apart (:mod:`.explaining`). Selectors that run a model over the
rows (:mod:`.forward`), train it first (:mod:`.tuned`) or both (:mod:`.less`) are entries of
:data:`headprint.analysis.selection.SELECTORS` like all others.
"""

from typing import TYPE_CHECKING

from headprint.base.lazy import lazy_names

if TYPE_CHECKING:
    from headprint.training.selection.explaining import Explanation as Explanation
    from headprint.training.selection.explaining import explain as explain
    from headprint.training.selection.from_rows import select as select

__getattr__, __all__ = lazy_names(__name__, {"explaining": ["Explanation", "explain"], "from_rows": ["select"]})
