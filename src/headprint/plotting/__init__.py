"""Pictures of patterns: heat maps, statistics and heads in the terminal by rich, and as PNG, SVG or PDF by matplotlib.

The colors mean the same in both (:class:`Scale`): patterns lie on a sequential scale from 0, changes on a diverging
one around 0.
"""

from headprint.plotting.colors import Scale, unit
from headprint.plotting.figures import heat_maps
from headprint.plotting.terminal import (
    HeatMap,
    Line,
    WideTable,
    change_view,
    most_active,
    most_changed,
    pattern_view,
    statistics_change,
    statistics_of,
)

__all__ = [
    "HeatMap",
    "Line",
    "Scale",
    "WideTable",
    "change_view",
    "heat_maps",
    "most_active",
    "most_changed",
    "pattern_view",
    "statistics_change",
    "statistics_of",
    "unit",
]
