"""Heat maps as PNG, SVG or PDF, by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headprint.base.errors import InputError
from headprint.patterns.pattern import Pattern
from headprint.plotting.colors import Scale, unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What keeps savefig from writing the date into the file.
_METADATA: dict[str, dict[str, Any]] = {
    ".png": {},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}
_NARROWEST = 2.2  # inches of a panel, so that its title fits


def heat_maps(patterns: Sequence[Pattern], path: str | Path, *, titles: Sequence[str] | None = None) -> None:
    """Write heat maps beside each other; the same patterns give the same bytes.

    Neighbours of one unit share a scale (:class:`headprint.plotting.colors.Scale`) and its color bar.

    Args:
        patterns: One panel each, (L, H).
        path: Its suffix decides: .png, .svg or .pdf.
        titles: One per pattern.

    Raises:
        InputError: The suffix is another, or the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _METADATA:
        raise InputError(f"{path}: the name of a picture ends in one of {', '.join(_METADATA)}")
    import matplotlib as mpl

    figure = _figure(patterns, titles or [""] * len(patterns))
    try:
        with mpl.rc_context({"svg.hashsalt": "headprint"}):
            figure.savefig(path, dpi=150, bbox_inches="tight", metadata=_METADATA[suffix])
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def _figure(patterns: Sequence[Pattern], titles: Sequence[str]) -> Figure:
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    layers, heads = (max(pattern.shape[axis] for pattern in patterns) for axis in (0, 1))
    cell = min(0.4, max(0.07, 5 / max(layers, heads)))  # inches
    width = len(patterns) * (max(_NARROWEST, cell * heads) + 1.0)
    figure = Figure(figsize=(width, cell * layers + 1.2), layout="compressed")
    axes = figure.subplots(1, len(patterns), squeeze=False)[0]
    panels = zip(axes, patterns, titles, strict=True)
    for label, group in groupby(panels, key=lambda panel: unit(panel[1])):
        members = list(group)
        scale = Scale.of(*(pattern for _, pattern, _ in members))
        colors = mpl.colormaps[scale.colormap].with_extremes(bad="0.8")
        for ax, pattern, title in members:
            image = ax.imshow(
                np.ma.masked_invalid(pattern.values),
                cmap=colors,
                vmin=scale.low,
                vmax=scale.high or 1.0,
                interpolation="nearest",
            )
            gaps = " (grey: no attention)" if np.isnan(pattern.values).any() else ""
            ax.set(title=title, xlabel="head", ylabel="layer" + gaps)
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        figure.colorbar(image, ax=[ax for ax, _, _ in members], label=label)
    return figure
