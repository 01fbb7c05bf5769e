"""``headprint select``: rows of a pool that activate the heads that a target does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from headprint.base.options import Pick, SelectionLevels
from headprint.cli import options, output

METHOD_NAMES = (
    "head-gradient, correlation, cosine, signed-levels; bm25, tf-idf, token-overlap, embeddings; "
    "rds+, perplexity, ifd, target-selects, less; random, random-by-source, length-matched, longest; "
    "shuffled-heads, half-heads, layer-means"
)  # and those of other packages

_SCORES = "Scoring"
_NEEDED = "What some methods need"


def select(
    query: Annotated[Path, typer.Argument(metavar="QUERY", help="The target's pattern set, or a pattern file.")],
    pool: Annotated[Path, typer.Argument(metavar="POOL", help="The pool's pattern set, of the same model.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSONL to write.", rich_help_panel=options.OUTPUT_PANEL)],
    top: Annotated[int | None, typer.Option(metavar="K", min=1, help="Examples to take.")] = None,
    tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Or: supervised tokens to take, for fair comparisons.")
    ] = None,
    pool_rows: Annotated[
        str | None, typer.Option(metavar="DATA", help="The pool's rows: write the chosen ones, not ids and scores.")
    ] = None,
    pick: Annotated[
        Pick,
        typer.Option(help="top: by mean score; round-robin: each example of the target in turn takes its best."),
    ] = "top",
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"How rows are scored: {METHOD_NAMES} (docs: select).",
            rich_help_panel=_SCORES,
        ),
    ] = "correlation",
    levels: Annotated[
        str,
        typer.Option(
            metavar="raw|standardized|change",
            help="standardized: over the pool, head by head; change: less the levels before training.",
            rich_help_panel=_SCORES,
        ),
    ] = "raw",
    signed: Annotated[
        bool, typer.Option("--signed", help="Compare signed levels, not their sizes.", rich_help_panel=_SCORES)
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of random scores.", rich_help_panel=_SCORES)] = 0,
    query_before: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For change: the target before.", rich_help_panel=_NEEDED)
    ] = None,
    pool_before: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For change: the pool before.", rich_help_panel=_NEEDED)
    ] = None,
    query_rows: Annotated[
        str | None, typer.Option(metavar="DATA", help="The target's rows.", rich_help_panel=_NEEDED)
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Directory, hub id, or 'lab'.", rich_help_panel=_NEEDED)
    ] = None,
    json: options.JsonOption = False,
) -> None:
    """Choose the rows of a pool whose heads are active as on the target, and write them, best first."""
    from headprint.analysis import selection
    from headprint.base.files import write_json, write_json_lines

    candidates = output.load_set(pool)
    chosen = selection.select(
        output.load_set(query) if query.is_dir() else output.load_pattern(query),
        candidates,
        top=top,
        tokens=tokens,
        method=method,
        pick=pick,
        levels=cast(SelectionLevels, levels),
        signed=signed,
        query_before=output.load_set(query_before) if query_before else None,
        pool_before=output.load_set(pool_before) if pool_before else None,
        query_rows=query_rows,
        pool_rows=pool_rows,
        model=model,
        seed=seed,
    )
    ranked = [{"id": name, "score": x} for name, x in zip(chosen.ids, chosen.to_dict()["scores"], strict=True)]
    write_json_lines(out, selection.rows_of(candidates, pool_rows, chosen.ids) if pool_rows else ranked)
    facts = {
        "query": str(query),
        "pool": str(pool),
        "pool_size": len(candidates),
        "pool_rows": pool_rows,
        "method": method,
        "levels": levels,
        "signed": signed,
        "pick": pick,
        "seed": seed,
        "chosen": len(chosen.ids),
        "tokens": chosen.tokens,
    }
    beside = out.with_suffix(".select.json")
    write_json(beside, {**facts, "examples": ranked})
    if json:
        output.emit({"out": str(out), **facts, "examples": ranked})
    else:
        output.show(
            f"{len(chosen.ids):,} of {len(candidates):,} examples, {chosen.tokens:,} tokens, in {out}",
            f"ids and scores are in {beside}",
        )
