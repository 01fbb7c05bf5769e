"""``headprint select``: rows of a pool that suit a target."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headprint.base.options import ScoreOptions, SelectOptions
from headprint.cli import options, output
from headprint.cli.options import takes_options

if TYPE_CHECKING:
    from rich.console import RenderableType

    from headprint.analysis.selection import Selection, SelectionSummary

CACHE = "headprint-sets"
"""Where what is extracted along the way stays."""

CacheOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help=f"Where what is extracted stays, for the next time. \\[default: {CACHE} beside the output]",
        rich_help_panel=options.OUTPUT_PANEL,
    ),
]

_NEEDED = "What some methods need"
RARE = ("limit", "placement", "loss", "compute_dtype", "batch_size", "checkpointing", "shard_size", "verify")
"""Options of an extraction that these commands do without."""

_VALUES = 6  # of a column, at most
_WIDTH = 74


@takes_options(SelectOptions, leave_out=RARE)
def select(
    context: typer.Context,
    query: Annotated[str, typer.Argument(metavar="TARGET", help="The target: rows, a pattern set, or a pattern file.")],
    pool: Annotated[str, typer.Argument(metavar="POOL", help="What to choose from: rows, or a pattern set.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSONL to write.", rich_help_panel=options.OUTPUT_PANEL)],
    top: Annotated[int | None, typer.Option(metavar="K", min=1, help="Rows to take.")] = None,
    tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Or: supervised tokens to take, for fair comparisons.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="For rows: the model that is to be trained: directory, hub id, or 'lab'."),
    ] = None,
    cache: CacheOption = None,
    pool_rows: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="The rows of a POOL that is a pattern set: write the chosen ones."),
    ] = None,
    query_rows: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="The rows of a TARGET that is a pattern set.", rich_help_panel=_NEEDED),
    ] = None,
    query_before: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For change: the target before.", rich_help_panel=_NEEDED)
    ] = None,
    pool_before: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For change: the pool before.", rich_help_panel=_NEEDED)
    ] = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    **fields: Any,
) -> None:
    """Choose the rows of a pool that help most with a target, and write them, best first."""
    from headprint.base.files import write_json, write_json_lines
    from headprint.data import count_rows
    from headprint.patterns import load

    output.check_destination(out)
    given = options.said(context, fields)  # the rest is as in the pattern sets, where there are some
    sides = {"target": side_of(query, load), "pool": side_of(pool, output.load_set)}
    for side in sides.values():
        if isinstance(side, str):
            count_rows(side, split=fields["split"])  # a wrong path should not cost loading a model
    place = cache or out.parent / CACHE
    saved = f"what was extracted is in {place}: the same command continues from there"
    with output.working(quiet=quiet, when_interrupted=lambda: saved) as bars:
        from headprint.training.selection.from_rows import select as run

        chosen = run(
            sides["target"],
            sides["pool"],
            top=top,
            tokens=tokens,
            query_before=output.load_set(query_before) if query_before else None,
            pool_before=output.load_set(pool_before) if pool_before else None,
            query_rows=query_rows,
            pool_rows=pool_rows,
            model=model,
            cache=place,
            show_progress=bars,
            say=output.say if bars else lambda line: None,
            **given,
        )
        summary = chosen.summary()
    _warn(summary)
    assert chosen.basis is not None
    inputs, method, _ = chosen.basis
    ranked = [{"id": name, "score": x} for name, x in zip(chosen.ids, chosen.to_dict()["scores"], strict=True)]
    write_json_lines(out, ranked if inputs.pool_rows is None else chosen.rows())
    facts = {
        "target": query,
        "pool": pool,
        "pool_size": len(inputs.pool),
        "model": model,
        **SelectOptions(**fields).keywords(ScoreOptions),
        "method": method,
        "chosen": len(chosen.ids),
        "tokens": chosen.tokens,
        "summary": summary.to_dict(),
    }
    beside = out.with_suffix(".select.json")
    write_json(beside, {**facts, "examples": ranked})
    if json:
        output.emit({"out": str(out), **facts, "examples": ranked})
    elif not quiet:
        output.show(*_shown(chosen, summary), f"rows are in {out}, ids and scores in {beside}")


def side_of(path: str, load: Callable[[Path], Any]) -> Any:
    """Return the pattern set or the pattern that is there, or else the name of rows."""
    from headprint.patterns import holds_manifest

    place = Path(path)
    return load(place) if place.suffix == ".safetensors" or holds_manifest(place) else path


def _warn(summary: SelectionSummary) -> None:
    from headprint.analysis.selection.summary import STABLE

    if summary.stability is not None and not summary.stability >= STABLE:
        output.say(
            f"the two halves of the target disagree (Spearman {summary.stability:.2f}): "
            "another sample of it would choose other rows; give more of its rows"
        )


def _shown(chosen: Selection, summary: SelectionSummary) -> list[RenderableType]:
    from rich.table import Table

    assert chosen.basis is not None
    inputs, method, _ = chosen.basis
    table = Table("", "", box=None, pad_edge=False, header_style="dim")
    for name in ("chosen", "pool"):
        table.add_column(name, justify="right")
    for column, shares in summary.shares.items():
        for number, (value, pair) in enumerate(list(shares.items())[:_VALUES]):
            table.add_row(column if not number else "", value[:40], *(f"{share:.0%}" for share in pair))
        if len(shares) > _VALUES:
            table.add_row("", f"… {len(shares) - _VALUES} more", "", "")
    for name, *quartile in zip(("quarter", "median", "three quarters"), *summary.lengths, strict=True):
        table.add_row("tokens" if name == "quarter" else "", name, *(f"{value:,.0f}" for value in quartile))
    lines: list[RenderableType] = [
        f"{len(chosen.ids):,} of {len(inputs.pool):,} rows by {method}, {chosen.tokens:,} supervised tokens",
        table,
        f"A random choice would have {summary.random_overlap:.0%} of these rows, too.",
    ]
    if summary.stability is not None:
        lines.append(f"Scores by two halves of the target: Spearman {summary.stability:.2f}.")
    return lines + [f"{place}. {' '.join(text.split())[:_WIDTH]}" for place, text in enumerate(summary.examples, 1)]
