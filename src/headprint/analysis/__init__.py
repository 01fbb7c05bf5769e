"""What pattern sets say, with intervals over examples; no model and no torch.

:func:`compare` has the paper's statistics of patterns and tasks, :func:`decompose` and :func:`discover` compose a
complex task's change of basic tasks' changes, :func:`mix` draws training rows in the shares of a decomposition, and
:func:`select` chooses the rows of a pool that are most like a target (a method of your own is one function:
:mod:`headprint.analysis.selection`). :class:`Bootstrap` says how intervals are made, :func:`same_model` and
:func:`doubts` whether patterns may be compared, and :func:`mirrors_before` whether a change is more than the pattern
before with its sign reversed.
"""

from typing import TYPE_CHECKING

from headprint.base.lazy import lazy_names

if TYPE_CHECKING:
    from headprint.analysis.bootstrap import Bootstrap as Bootstrap
    from headprint.analysis.comparability import doubts as doubts
    from headprint.analysis.comparability import same_data as same_data
    from headprint.analysis.comparability import same_model as same_model
    from headprint.analysis.comparison import Comparison as Comparison
    from headprint.analysis.comparison import Correlations as Correlations
    from headprint.analysis.comparison import Shape as Shape
    from headprint.analysis.comparison import ShapeChange as ShapeChange
    from headprint.analysis.comparison import TaskCorrelations as TaskCorrelations
    from headprint.analysis.comparison import Trajectory as Trajectory
    from headprint.analysis.comparison import compare as compare
    from headprint.analysis.comparison import shape as shape
    from headprint.analysis.comparison import shape_change as shape_change
    from headprint.analysis.comparison import task_correlations as task_correlations
    from headprint.analysis.comparison import trajectory as trajectory
    from headprint.analysis.confound import mirror_warning as mirror_warning
    from headprint.analysis.confound import mirrors_before as mirrors_before
    from headprint.analysis.decomposition import Decomposition as Decomposition
    from headprint.analysis.decomposition import DecompositionOptions as DecompositionOptions
    from headprint.analysis.decomposition import Discovery as Discovery
    from headprint.analysis.decomposition import decompose as decompose
    from headprint.analysis.decomposition import discover as discover
    from headprint.analysis.intervals import Interval as Interval
    from headprint.analysis.intervals import mean_interval as mean_interval
    from headprint.analysis.intervals import wilson as wilson
    from headprint.analysis.mixture import Mixed as Mixed
    from headprint.analysis.mixture import load_weights as load_weights
    from headprint.analysis.mixture import mix as mix
    from headprint.analysis.mixture import mixture_budgets as mixture_budgets
    from headprint.analysis.mixture import random_budgets as random_budgets
    from headprint.analysis.mixture import token_size as token_size
    from headprint.analysis.selection import Selection as Selection
    from headprint.analysis.selection import select as select

# Lazy, so that an interval of a share can be computed without SciPy's optimizers and Parquet.
__getattr__, __all__ = lazy_names(
    __name__,
    {
        "bootstrap": ["Bootstrap"],
        "comparability": ["doubts", "same_data", "same_model"],
        "comparison": [
            "Comparison",
            "Correlations",
            "Shape",
            "ShapeChange",
            "TaskCorrelations",
            "Trajectory",
            "compare",
            "shape",
            "shape_change",
            "task_correlations",
            "trajectory",
        ],
        "confound": ["mirror_warning", "mirrors_before"],
        "decomposition": ["Decomposition", "DecompositionOptions", "Discovery", "decompose", "discover"],
        "intervals": ["Interval", "mean_interval", "wilson"],
        "mixture": ["Mixed", "load_weights", "mix", "mixture_budgets", "random_budgets", "token_size"],
        "selection": ["Selection", "select"],
    },
)
