"""``headprint mix``: rows of basic tasks in the shares of a decomposition, or of a target that is given as rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headprint.base.errors import InputError
from headprint.base.options import MixOptions
from headprint.cli import options, output
from headprint.cli.commands.select import CACHE, RARE

if TYPE_CHECKING:
    from rich.console import RenderableType

    from headprint.analysis.mixture import Mixed

_FOR_ROWS = "For a TARGET"
_CHANCE = 0.05  # above which random tasks make up the target as well


@options.takes_options(MixOptions, leave_out=(*RARE, "sketch", "sketch_seed"))
def mix(
    context: typer.Context,
    source: Annotated[
        list[str], typer.Option("--from", metavar="TASK=DATA", help="Rows of a task: a file or hub id; once for each.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSONL to write.", rich_help_panel=options.OUTPUT_PANEL)],
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[TARGET]", help="With --model: rows or a pattern set; else what headprint decompose --out wrote."
        ),
    ] = None,
    random: Annotated[
        bool, typer.Option("--random", help="The baseline instead: any row of all sources alike.")
    ] = False,
    total: Annotated[int | None, typer.Option(metavar="N", min=1, help="Rows in all.")] = None,
    tokens: Annotated[int | None, typer.Option(metavar="N", min=1, help="Or: tokens with a loss in all.")] = None,
    tokenizer: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Without --model: what to count tokens by.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="The model that is to be trained: directory, hub id, or 'lab'.",
            rich_help_panel=_FOR_ROWS,
        ),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="TASK=DIR", help="The pattern set of a task, with sketches.", rich_help_panel=_FOR_ROWS
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help=f"Where what is extracted stays, for the next time. \\[default: {CACHE} beside FILE]",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    **fields: Any,
) -> None:
    """Write a training file: rows of each task in its share of the target, shuffled, in TRL's format."""
    output.check_destination(out)
    sources = _named(source, "--from")
    given = options.said(context, fields)
    if (total is None) == (tokens is None):
        raise InputError("give either --total (rows) or --tokens")
    if (target is None) != random:
        raise InputError("give a TARGET, or --random for the baseline, and not both")
    if model is not None and target is not None:
        place = cache or out.parent / CACHE
        saved = f"what was extracted is in {place}: the same command continues from there"
        with output.working(quiet=quiet, when_interrupted=lambda: saved) as bars:
            from headprint.patterns import holds_manifest
            from headprint.training.mixing import mix_for

            mixed = mix_for(
                output.load_set(Path(target)) if holds_manifest(Path(target)) else target,
                sources,
                model=model,
                total=total,
                tokens=tokens,
                sets={task: output.load_set(Path(path)) for task, path in _named(sets or [], "--set").items()},
                cache=place,
                show_progress=bars,
                **given,
            )
        mixed.provenance["target"] = target
    else:
        if sets:
            raise InputError("--set is measured with a model: give it, too (--model)")
        mixed = _by_weights(target, sources, total, tokens, tokenizer or model, MixOptions(**given))
    beside = mixed.write(out)
    if json:
        output.emit({"out": str(out), **mixed.provenance})
    elif not quiet:
        _warn(mixed)
        output.show(*_shown(mixed), f"{len(mixed.rows):,} rows in {out}; where they come from is in {beside}")


def _by_weights(
    decomposition: str | None,
    sources: dict[str, str],
    total: int | None,
    tokens: int | None,
    tokenizer: str | None,
    chosen: MixOptions,
) -> Mixed:
    """A mixture by a decomposition that was made before, or a random one."""
    from headprint.analysis.mixture import load_weights, mix, mixture_budgets, random_budgets, token_size
    from headprint.data.rows import read_rows

    if (tokens is None) != (tokenizer is None):
        raise InputError("--tokens and --tokenizer belong together: a token is one of some tokenizer")
    weights = load_weights(decomposition, chosen.weights) if decomposition else None
    size = None
    if tokenizer:
        with output.working():
            size = token_size(tokenizer)
    budget = total or tokens or 0
    if weights is None:
        there = {
            task: sum(size(row) if size else 1 for row in read_rows(data, split=chosen.split))
            for task, data in sources.items()
        }
        budgets = random_budgets(there, budget, seed=chosen.seed, oversample=chosen.oversample)
    else:
        budgets = mixture_budgets(weights, budget, negative=chosen.negative)
    mixed = mix(sources, budgets, seed=chosen.seed, oversample=chosen.oversample, size=size, split=chosen.split)
    mixed.provenance.update(
        unit="tokens" if tokens else "rows",
        tokenizer=tokenizer,
        decomposition=decomposition,
        weights=weights,
        random=decomposition is None,
    )
    return mixed


def _named(texts: list[str], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        task, _, path = text.partition("=")
        if not (task and path) or task in found:
            raise InputError(f"{option} {text}: write TASK={'DATA' if option == '--from' else 'DIR'}, each task once")
        found[task] = path
    return found


def _warn(mixed: Mixed) -> None:
    found = mixed.provenance["decomposition"]
    if isinstance(found, dict) and (p := found["random_tasks"]["p_value"]) > _CHANCE:
        output.say(
            f"warning: tasks of randomly assigned rows make up the target as well (p = {p:.2f}), so the shares say "
            "little: give more rows of the target, or other tasks"
        )


def _shown(mixed: Mixed) -> list[RenderableType]:
    from headprint.plotting import WideTable

    in_tokens, found = mixed.provenance["unit"] == "tokens", mixed.provenance["decomposition"]
    shares = (found.get("mixture") or {}).get("shares", {}) if isinstance(found, dict) else {}
    weights, taken = mixed.provenance["weights"] or {}, mixed.provenance["tasks"]
    total = sum(weights.values()) or 1.0
    rows = []
    for task in weights or taken:
        part = taken.get(task, {"rows": 0, "size": 0, "available": None})
        interval = shares.get(task) or {}
        rows.append(
            (
                task,
                f"{weights[task] / total:.2f}" if weights else "–",
                f"{interval['low']:.2f} … {interval['high']:.2f}" if interval.get("low") is not None else "–",
                f"{part['rows']:,}",
                f"{part['size']:,}" if in_tokens else "–",
                "–" if part["available"] is None else f"{part['available']:,}",
            )
        )
    parts: list[RenderableType] = [
        WideTable(("task", "share", "interval", "rows", "tokens", "of rows"), rows, justify="right"),
        "",
    ]
    if isinstance(found, dict):
        penalty = found["mixture"]["penalty"] if found["mixture"] else 0.0
        how = "uniform: no fit predicts rows that were left out" if penalty is None else f"penalty {penalty:.3g}"
        n, r2 = found["examples"]["the target"], found["cross_validated"]
        parts.append(f"{n} rows of the target; R² on held-out heads {r2:.2f}; {how}")
    return parts
