"""``headprint mix``: rows of basic tasks in the shares of a decomposition."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from headprint.base.errors import InputError
from headprint.base.options import MixOptions
from headprint.cli import options, output


@options.takes_options(MixOptions)
def mix(
    source: Annotated[
        list[str], typer.Option("--from", metavar="TASK=DATA", help="A file or hub id, once for each task.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSONL to write.", rich_help_panel=options.OUTPUT_PANEL)],
    decomposition: Annotated[
        Path | None, typer.Argument(metavar="[DECOMPOSITION]", help="What headprint decompose --out wrote.")
    ] = None,
    random: Annotated[
        bool, typer.Option("--random", help="The baseline instead: any row of all sources alike.")
    ] = False,
    total: Annotated[int | None, typer.Option(metavar="N", min=1, help="Rows in all.")] = None,
    tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Or: tokens with a loss in all; wants --tokenizer.")
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Directory, hub id, or 'lab', to count tokens by.")
    ] = None,
    json: options.JsonOption = False,
    **fields: Any,
) -> None:
    """Write a training file: N·α/Σα rows of each basic task, shuffled, in TRL's format."""
    from headprint.analysis.mixture import load_weights, mixture_budgets, random_budgets, token_size
    from headprint.analysis.mixture import mix as draw
    from headprint.data.rows import read_rows

    sources, chosen = _sources(source), MixOptions(**fields)
    if (decomposition is None) != random:
        raise InputError("give a DECOMPOSITION, or --random for the baseline, and not both")
    if (total is None) == (tokens is None):
        raise InputError("give either --total (rows) or --tokens")
    if (tokens is None) != (tokenizer is None):
        raise InputError("--tokens and --tokenizer belong together: a token is one of some tokenizer")
    size = None
    if tokenizer:
        with output.working():
            size = token_size(tokenizer)
    budget = total or tokens or 0
    weights = None
    if decomposition is None:
        there = {task: sum(size(row) if size else 1 for row in read_rows(data)) for task, data in sources.items()}
        budgets = random_budgets(there, budget, seed=chosen.seed, oversample=chosen.oversample)
    else:
        weights = load_weights(decomposition, chosen.weights)
        budgets = mixture_budgets(weights, budget, negative=chosen.negative)
    mixed = draw(sources, budgets, seed=chosen.seed, oversample=chosen.oversample, size=size)
    mixed.provenance.update(
        unit="tokens" if tokens else "rows",
        tokenizer=tokenizer,
        decomposition=str(decomposition) if decomposition else None,
        weights=weights,
        random=random,
    )
    beside = mixed.write(out)
    if json:
        output.emit({"out": str(out), **mixed.provenance})
        return
    for task, part in mixed.provenance["tasks"].items():
        of = f", {part['size']:,} tokens" if tokens else ""
        output.show(f"{task}: {part['rows']:,} rows{of} of {part['available']:,} rows")
    output.show(f"{len(mixed.rows):,} rows in {out}; where they come from is in {beside}")


def _sources(texts: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        task, _, data = text.partition("=")
        if not (task and data) or task in found:
            raise InputError(f"--from {text}: write TASK=DATA, each task once")
        found[task] = data
    return found
