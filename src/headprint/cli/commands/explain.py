"""``headprint explain``: which heads and tokens make a row useful for a target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headprint.base.options import ExtractOptions
from headprint.cli import options, output
from headprint.cli.commands.select import CACHE, RARE, CacheOption, side_of
from headprint.cli.options import takes_options

if TYPE_CHECKING:
    from rich.console import RenderableType

    from headprint.training.selection import Explanation

_AROUND = 3  # tokens of context on either side


@takes_options(ExtractOptions, leave_out=RARE)
def explain(
    context: typer.Context,
    row: Annotated[str, typer.Argument(metavar="ROW", help="Id of a row of the pool; its number, if rows have none.")],
    query: Annotated[str, typer.Argument(metavar="TARGET", help="The target: rows, or a pattern set.")],
    pool: Annotated[str, typer.Argument(metavar="POOL", help="The pool that the row is of: rows, or a pattern set.")],
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="For rows, and for tokens: directory, hub id, or 'lab'.")
    ] = None,
    pool_rows: Annotated[
        str | None, typer.Option(metavar="DATA", help="The rows of a POOL that is a pattern set, for tokens.")
    ] = None,
    cache: CacheOption = None,
    top: options.TopOption = 8,
    plot: options.PlotOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    **fields: Any,
) -> None:
    """Say which heads, and which tokens, make a row of a pool useful for a target."""
    output.check_destination(plot)
    given = options.said(context, fields)  # the rest is as in the pattern sets, where there are some
    with output.working(quiet=quiet) as bars:
        from headprint.training.selection import explain as run

        found = run(
            row,
            side_of(query, output.load_set),
            side_of(pool, output.load_set),
            pool_rows=pool_rows,
            model=model,
            cache=cache or Path(CACHE),
            show_progress=bars,
            say=output.say if bars else lambda line: None,
            **given,
        )
    if plot:
        from headprint.plotting import heat_maps

        heat_maps([found.heads.pattern()], plot, titles=[f"What each head adds to the score of {row}"])
        output.say(f"wrote {plot}")
    if json:
        output.emit({"target": query, "pool": pool, "model": model, **found.to_dict()})
    elif not quiet:
        output.show(*_shown(found, top))


def _shown(found: Explanation, top: int) -> list[RenderableType]:
    from rich.table import Table

    from headprint.plotting import HeatMap, Scale, most_active

    heads, pattern = found.heads, found.heads.pattern()
    lines: list[RenderableType] = [
        f"{heads.row}: cosine {heads.score:.3f} with the target, {heads.rank:,} of {heads.pool_size:,}",
        "",
        "What each head adds:",
        HeatMap(pattern, Scale.of(pattern)),
    ]
    table = Table("layer", "head", "adds", box=None, pad_edge=False, header_style="dim")
    for head in most_active(pattern, top):
        table.add_row(str(head.layer), str(head.head), f"{head.value:+.4f}")
    lines += ["", table]
    if not found.tokens:
        return [*lines, "", "Tokens need the model and the rows of the pool (--model, --pool-rows)."]
    table = Table("token", "", "adds", box=None, pad_edge=False, header_style="dim")
    for place in sorted(range(len(found.tokens)), key=lambda place: -abs(found.by_token[place]))[:top]:
        before, after = found.tokens[max(0, place - _AROUND) : place], found.tokens[place + 1 : place + 1 + _AROUND]
        context = f"{_line(before)}[{_line(found.tokens[place : place + 1])}]{_line(after)}"
        table.add_row(str(place), context[:60], f"{found.by_token[place]:+.4f}")
    return [*lines, "", table]


def _line(tokens: list[str]) -> str:
    return "".join(tokens).replace("\n", "⏎")
