"""``headprint show``: one pattern, its statistics and its most active heads."""

from pathlib import Path
from typing import Annotated

import typer

from headprint.cli import options, output


def show(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A pattern file or a pattern set's directory.")],
    reading: options.ReadingOption = None,
    top: options.TopOption = 5,
    plot: options.PlotOption = None,
    json: options.JsonOption = False,
) -> None:
    """Show a pattern: a heat map of layers and heads, its statistics, the most active heads."""
    from headprint.plotting import heat_maps, most_active, pattern_view, statistics_of, unit

    pattern = output.load_pattern(path, reading)
    title = output.title(path, pattern)
    if plot:
        heat_maps([pattern], plot, titles=[title.replace(": ", "\n", 1)])
        output.say(f"wrote {plot}")
    if json:
        output.emit(
            {
                "path": str(path),
                "kind": pattern.kind,
                "layers": pattern.shape[0],
                "heads": pattern.shape[1],
                "unit": unit(pattern),
                **statistics_of(pattern),
                "top": [head._asdict() for head in most_active(pattern, top)],
                "values": output.matrix(pattern),
                "provenance": pattern.provenance,
            }
        )
    else:
        output.show(pattern_view(pattern, title=title, top=top))
