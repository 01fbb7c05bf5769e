"""``headprint ablate``: what a task loses without some heads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headprint.base.errors import InputError
from headprint.base.files import write_json
from headprint.base.options import AblateOptions
from headprint.cli import options, output
from headprint.cli.commands import evaluate as evaluation

if TYPE_CHECKING:
    from rich.console import RenderableType

    from headprint.evaluation import Ablation
    from headprint.patterns import Pattern

_HEADS = "Heads"


@options.takes_options(AblateOptions)
def ablate(
    model: options.ModelArgument,
    data: options.DataArgument,
    pattern: Annotated[
        Path | None,
        typer.Option(
            metavar="PATTERN", help="Pattern set or file: switch off the most active heads.", rich_help_panel=_HEADS
        ),
    ] = None,
    change: Annotated[
        Path | None,
        typer.Option(
            metavar="CHANGE", help="File of headprint diff: switch off the most changed heads.", rich_help_panel=_HEADS
        ),
    ] = None,
    k: Annotated[
        str,
        typer.Option("--heads", "-k", metavar="K,...", help="How many heads at a time.", rich_help_panel=_HEADS),
    ] = "1,2,4,8",
    scorer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Score answers as well: {evaluation.SCORER_NAMES} (docs: evaluate). \\[default: the loss only]",
            rich_help_panel=options.ANSWERS_PANEL,
        ),
    ] = None,
    out: options.ResultOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    **fields: Any,
) -> None:
    """Switch off the most active heads, the most changed, and random ones: does the loss rise more?"""
    output.check_destination(out)
    counts = _counts(k)
    rankings = {}
    if pattern is not None:
        rankings["active"] = _of_kind("pattern", pattern)
    if change is not None:
        rankings["changed"] = _of_kind("change", change)
    if not rankings:
        raise InputError("say which heads: --pattern for the most active, --change for the most changed, or both")
    with output.working(quiet=quiet, when_interrupted=lambda: evaluation.NOTHING_WRITTEN) as bars:
        from headprint.evaluation import ablate as run

        found = run(model, None, data, rankings=rankings, ks=counts, scorer=scorer, show_progress=bars, **fields)
    given = {"pattern": pattern and str(pattern), "change": change and str(change), "scorer": scorer}
    result = {"model": model, "data": data, **given, **AblateOptions(**fields).settings(), **found.to_dict()}
    if out:
        write_json(out, result)
    if json:
        output.emit(result)
    elif not quiet:
        output.show(*_shown(found))


def _of_kind(kind: str, path: Path) -> Pattern:
    found = output.load_pattern(path)
    if found.kind != kind:
        raise InputError(f"{path} is a {found.kind}, and --{kind} needs a {kind} (headprint diff --out writes changes)")
    return found


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise InputError(f"-k is {text!r}; give numbers of heads, such as 1,2,4,8")
    return counts


def _shown(found: Ablation) -> list[RenderableType]:
    from rich.table import Table

    from headprint.evaluation.ablation import is_random, layer_matched

    intact = found.to_dict()["intact"]
    asked = intact["accuracy"] is not None
    draws = ", ".join(sorted({str(len(found.of(*cell))) for cell in found.cells if is_random(cell[0])}))
    layered = any(":" in ranking for ranking, _ in found.cells)
    columns = (
        "heads off",
        "",
        "loss",
        *(["accuracy"] if asked else []),
        "p",
        *(["p, layer-matched"] if layered else []),
    )
    table = Table(*columns, box=None, pad_edge=False, header_style="dim")
    for ranking, k in found.cells:
        accuracy = found.accuracy_change(ranking, k)
        cells = [str(k), ranking]
        cells.append(str(found.rise(ranking, k)))
        if asked:
            cells.append("" if accuracy is None else str(accuracy))
        for p in (found.p_value(ranking, k), found.p_value(ranking, k, among=layer_matched(ranking))):
            cells.append("" if p is None else f"{p:.3f}")
        table.add_row(*cells[: len(columns)])
    first = f"all {found.heads} heads on: loss {intact['loss']['value']:.3f} nats"
    if asked:
        first += f", {intact['accuracy']['value']:.1%} right"
    return [
        f"{first} ({found.n:,} rows)",
        table,
        f"Changes from all heads on, with ranges over rows; for random heads, over draws ({draws}).",
        "p: how likely random heads are to hurt at least as much.",
    ]
