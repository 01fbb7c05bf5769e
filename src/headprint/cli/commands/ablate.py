"""``headprint ablate``: what a task loses when heads are switched off."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from headprint.base.errors import InputError
from headprint.cli import common, files
from headprint.cli.commands import evaluate as evaluation

if TYPE_CHECKING:
    from rich.console import RenderableType

    from headprint.evaluation.ablation_results import Ablation
    from headprint.patterns.pattern_set import Pattern

Mode = Literal["zero", "mean"]

_HEADS = "Heads"


def ablate(
    model: common.ModelArgument,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="JSONL or Parquet file, folder with <split> files, datasets id, or lab:TASK: a built-in task.",
        ),
    ],
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
    random: Annotated[
        int, typer.Option(metavar="N", min=0, help="Draws of as many random heads.", rich_help_panel=_HEADS)
    ] = 20,
    same_layers: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Draws of random heads of the same layers, for each order.", rich_help_panel=_HEADS
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.", rich_help_panel=_HEADS)] = 0,
    mode: Annotated[
        Mode, typer.Option(help="A head gives nothing, or its mean over the rows' tokens.", rich_help_panel=_HEADS)
    ] = "zero",
    scorer: Annotated[
        evaluation.ScorerName | None,
        typer.Option(help="Ask for answers, too (docs: evaluate). \\[default: the loss alone]"),
    ] = None,
    split: evaluation.SplitOption = "test",
    limit: evaluation.LimitOption = None,
    max_new_tokens: evaluation.AnswerTokensOption = 256,
    batch_tokens: evaluation.BatchOption = None,
    dtype: common.DtypeOption = "auto",
    attn_implementation: common.AttentionOption = None,
    device: common.DeviceOption = None,
    trust_remote_code: common.TrustOption = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep the result as JSON.", rich_help_panel=common.OUTPUT_PANEL),
    ] = None,
    json: common.JsonOption = False,
    quiet: common.QuietOption = False,
) -> None:
    """Switch off the most active heads, the most changed, and random ones: does the loss of a task rise more?"""
    counts = _counts(k)
    orders: dict[str, Any] = {}
    if pattern is not None:
        orders["active"] = _of_kind("pattern", pattern).top(max(counts))
    if change is not None:
        orders["changed"] = _of_kind("change", change).top(max(counts), by="absolute")
    if not orders:
        raise InputError("say which heads: --pattern for the most active, --change for the most changed, or both")
    with common.working(quiet=quiet) as bars:
        from headprint.cli.commands.extract import check

        check(data, split)
        from headprint import models
        from headprint.evaluation.ablation import ablate as run

        loaded, tokenizer = models.load_model(
            model,
            dtype=dtype,
            device=device,
            attn_implementation=attn_implementation,
            trust_remote_code=trust_remote_code,
        )
        study = run(
            loaded,
            tokenizer,
            data,
            orders=orders,
            ks=counts,
            mode=mode,
            random=random,
            same_layers=same_layers,
            seed=seed,
            scorer=scorer,
            n=limit,
            split=split,
            max_new_tokens=max_new_tokens,
            batch_tokens=batch_tokens,
            progress=bars,
        )
    result: dict[str, Any] = {"model": model, "data": data}
    result |= {"pattern": pattern and str(pattern), "change": change and str(change)}
    result |= {"random": random, "same_layers": same_layers, "seed": seed, "scorer": scorer, **study.to_dict()}
    if out:
        files.write_json(out, result)
    if json:
        common.emit(result)
    elif not quiet:
        common.show(*_shown(study))


def _of_kind(kind: str, path: Path) -> Pattern:
    found = common.load_pattern(path)
    if found.kind != kind:
        raise InputError(
            f"{path} holds a {found.kind}, and --{kind} wants a {kind} (headprint diff --out makes changes)"
        )
    return found


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise InputError(f"-k is {text!r}; it wants numbers of heads, such as 1,2,4,8")
    return counts


def _shown(study: Ablation) -> list[RenderableType]:
    from rich.table import Table

    from headprint.evaluation.ablation_results import RANDOM, is_random

    intact = study.to_dict()["intact"]
    asked = intact["accuracy"] is not None
    draws = ", ".join(sorted({str(len(study.of(*cell))) for cell in study.cells if is_random(cell[0])}))
    layered = any(":" in choice for choice, _ in study.cells)
    columns = ("heads off", "", "loss", *(["accuracy"] if asked else []), "p", *(["p, same layers"] if layered else []))
    table = Table(*columns, box=None, pad_edge=False, header_style="dim")
    for choice, k in study.cells:
        accuracy = study.accuracy_change(choice, k)
        cells = [str(k), choice]
        cells.append(str(study.rise(choice, k)))
        if asked:
            cells.append("" if accuracy is None else str(accuracy))
        for p in (study.p(choice, k), study.p(choice, k, among=f"{RANDOM}:{choice}")):
            cells.append("" if p is None else f"{p:.3f}")
        table.add_row(*cells[: len(columns)])
    first = f"all {study.heads} heads on: loss {intact['loss']['value']:.3f} nats"
    if asked:
        first += f", {intact['accuracy']['value']:.1%} right"
    return [
        f"{first} ({study.n:,} rows)",
        table,
        f"Changes against all heads on. Ranges: over rows; of random heads, over draws ({draws}).",
        "p: how likely random heads hurt at least as much.",
    ]
