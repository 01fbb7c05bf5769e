"""``headprint select``: rows of a pool that activate the heads that a target does."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headprint.base.errors import InputError
from headprint.base.options import Pick, Placement, SelectionLevels, SelectionMethod
from headprint.cli import common, files

if TYPE_CHECKING:
    from headprint.analysis.selection import Selection
    from headprint.patterns.pattern_set import Pattern, PatternSet

_SCORES = "Scoring"


def select(
    query: Annotated[Path, typer.Argument(metavar="QUERY", help="The target's pattern set, or a pattern file.")],
    pool: Annotated[Path, typer.Argument(metavar="POOL", help="The pool's pattern set, of the same model.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSONL to write.", rich_help_panel=common.OUTPUT_PANEL)],
    top: Annotated[int | None, typer.Option(metavar="K", min=1, help="Examples to take.")] = None,
    tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Or: tokens with a loss to take, for fair comparisons.")
    ] = None,
    pool_rows: Annotated[
        str | None, typer.Option(metavar="DATA", help="The pool's rows: write those chosen, not ids and scores.")
    ] = None,
    pick: Annotated[
        Pick,
        typer.Option(help="top: most like the target's mean pattern; round-robin: each example of it in turn."),
    ] = "top",
    method: Annotated[SelectionMethod, typer.Option(rich_help_panel=_SCORES)] = "correlation",
    levels: Annotated[
        SelectionLevels,
        typer.Option(help="change: less the levels before training.", rich_help_panel=_SCORES),
    ] = "raw",
    signed: Annotated[
        bool, typer.Option("--signed", help="Compare signed levels, not their sizes.", rich_help_panel=_SCORES)
    ] = False,
    query_before: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For change: the target before.", rich_help_panel=_SCORES)
    ] = None,
    pool_before: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For change: the pool before.", rich_help_panel=_SCORES)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of random picks.")] = 0,
    json: common.JsonOption = False,
) -> None:
    """Choose the rows of a pool whose heads are active as on the target, and write them in order."""
    from headprint.analysis.selection import score
    from headprint.analysis.selection import select as choose
    from headprint.patterns.pattern_set import PatternSet

    target: Pattern | PatternSet = files.load_set(query) if query.is_dir() else common.load_pattern(query)
    before = files.load_set(query_before) if query_before else None
    if pick != "round-robin" and isinstance(target, PatternSet):
        placement: Placement | None = "none" if signed else None
        average = target.pattern(placement)
        if levels == "change":
            if before is None:
                raise InputError("changes want the query's levels from before training, too (--query-before)")
            average = average - before.pattern(placement)
        target = average
    scores = score(
        target,
        files.load_set(pool),
        method=method,
        levels=levels,
        signed=signed,
        query_before=before,
        pool_before=files.load_set(pool_before) if pool_before else None,
    )
    chosen = choose(scores, k=top, tokens=tokens, pick=pick, seed=seed)
    ranked = [{"id": name, "score": x} for name, x in zip(chosen.ids, chosen.to_dict()["scores"], strict=True)]
    _write_lines(out, _rows(pool_rows, chosen) if pool_rows else ranked)
    facts = {
        "query": str(query),
        "pool": str(pool),
        "pool_size": len(scores.pool_ids),
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
    files.write_json(beside, {**facts, "examples": ranked})
    if json:
        common.emit({"out": str(out), **facts, "examples": ranked})
    else:
        common.show(
            f"{len(chosen.ids):,} of {len(scores.pool_ids):,} examples, {chosen.tokens:,} tokens, in {out}",
            f"ids and scores are in {beside}",
        )


def _rows(data: str, chosen: Selection) -> list[dict[str, Any]]:
    """The chosen rows of the pool's data as they are, in the order of choice; only they are held."""
    from headprint.data import read_rows, row_id

    rank = {name: place for place, name in enumerate(chosen.ids)}
    found: dict[int, dict[str, Any]] = {}
    for number, row in enumerate(read_rows(data)):
        name = row_id(row, number)
        if name in rank:
            found[rank[name]] = row.data
    missing = [name for name, place in rank.items() if place not in found]
    if missing:
        raise InputError(
            f"{data} has no row of the id {missing[0]!r} ({len(missing)} of {len(rank)} are missing): give the data "
            "that the pool was extracted from"
        )
    return [found[place] for place in sorted(found)]


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    from headprint.base.files import write_atomically

    lines = (json_module.dumps(row, ensure_ascii=False, default=lambda x: x.tolist()) + "\n" for row in rows)
    write_atomically(path, "".join(lines).encode())
