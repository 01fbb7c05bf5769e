"""``headprint show``: one pattern, its statistics and its most active heads."""

from pathlib import Path
from typing import Annotated

import typer

from headprint.cli import common


def show(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A pattern file or a pattern set's directory.")],
    placement: common.PlacementOption = None,
    top: common.TopOption = 5,
    png: common.PictureOption = None,
    json: common.JsonOption = False,
) -> None:
    """Show a pattern: a heat map of layers and heads, its statistics, the most active heads."""
    from headprint.plotting import terminal as render

    pattern = common.load_pattern(path, placement)
    title = common.title(path, pattern)
    if png:
        from headprint.plotting.figures import heat_maps

        heat_maps([pattern], png, titles=[title.replace(": ", "\n", 1)])
        common.say(f"wrote {png}")
    if json:
        common.emit(
            {
                "path": str(path),
                "kind": pattern.kind,
                "layers": pattern.shape[0],
                "heads": pattern.shape[1],
                "unit": render.unit(pattern),
                **render.statistics_of(pattern),
                "top": [head._asdict() for head in render.most_active(pattern, top)],
                "values": common.matrix(pattern),
                "provenance": pattern.provenance,
            }
        )
    else:
        common.show(render.terminal(pattern, title=title, top=top))
