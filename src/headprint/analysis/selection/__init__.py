"""The paper's application 2: examples of a pool that are most like a target (arXiv 2409.15820, section 5).

    chosen = select(target, pool, top=1000)                     # or tokens=200_000, pick="round-robin"

A *selector* turns :class:`SelectionInputs` into a matrix of scores, queries by pool (:mod:`.scoring`), and a *pick*
orders the pool by it (:mod:`.choosing`), so any selector goes with any pick. A new selector is one function and one
entry in :data:`SELECTORS`, or in the entry point group ``headprint.selectors`` of another package; Python and the
command line then know its name.
"""

from headprint.analysis.selection.choosing import PICKS, Basis, Selection, choose, method_for, select
from headprint.analysis.selection.inputs import SelectionInputs, check_gradients
from headprint.analysis.selection.registry import (
    MEASURED,
    SELECTORS,
    Cost,
    Needs,
    Selector,
    SelectorInfo,
    selector,
    selector_info,
)
from headprint.analysis.selection.rows import rows_of
from headprint.analysis.selection.scoring import ScoreMatrix, score
from headprint.analysis.selection.similarity import Vectors
from headprint.analysis.selection.summary import SelectionSummary, split_half

__all__ = [
    "MEASURED",
    "PICKS",
    "SELECTORS",
    "Basis",
    "Cost",
    "Needs",
    "ScoreMatrix",
    "Selection",
    "SelectionInputs",
    "SelectionSummary",
    "Selector",
    "SelectorInfo",
    "Vectors",
    "check_gradients",
    "choose",
    "method_for",
    "rows_of",
    "score",
    "select",
    "selector",
    "selector_info",
    "split_half",
]
