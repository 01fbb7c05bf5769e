"""``headprint ablate``: what a task loses without some heads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headprint.base.errors import InputError
from headprint.base.options import AblationMode
from headprint.cli import common, files
from headprint.cli.commands import evaluate as evaluation

if TYPE_CHECKING:
    from rich.console import RenderableType

    from headprint.evaluation import Ablation
    from headprint.patterns.pattern_set import Pattern


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
    layer_matched: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Draws of random heads from the same layers, for each ranking.",
            rich_help_panel=_HEADS,
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.", rich_help_panel=_HEADS)] = 0,
    mode: Annotated[
        AblationMode,
        typer.Option(help="Replace a head's output by zero, or by its mean over the rows.", rich_help_panel=_HEADS),
    ] = "zero",
    other_model: Annotated[
        bool,
        typer.Option(
            "--other-model", help="Accept a pattern of another model of the same shape.", rich_help_panel=_HEADS
        ),
    ] = False,
    scorer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Score answers as well: {evaluation.SCORER_NAMES} (docs: evaluate). \\[default: the loss only]",
        ),
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
        typer.Option(metavar="FILE", help="Write the result as JSON.", rich_help_panel=common.OUTPUT_PANEL),
    ] = None,
    json: common.JsonOption = False,
    quiet: common.QuietOption = False,
) -> None:
    """Switch off the most active heads, the most changed, and random ones: does the loss rise more?"""
    from headprint.evaluation import check_scorer

    counts = _counts(k)
    given = {kind: (path, _of_kind(kind, path)) for kind, path in (("pattern", pattern), ("change", change)) if path}
    if not given:
        raise InputError("say which heads: --pattern for the most active, --change for the most changed, or both")
    check_scorer(scorer)
    with common.working(quiet=quiet) as bars:
        from headprint.cli.commands.extract import check

        check(data, split)
        from headprint import models
        from headprint.evaluation import ablate as run
        from headprint.evaluation.ablation import check_pattern

        loaded, tokenizer = models.load_model(
            model,
            dtype=dtype,
            device=device,
            attn_implementation=attn_implementation,
            trust_remote_code=trust_remote_code,
        )
        rankings = {}
        for kind, (path, levels) in given.items():
            check_pattern(levels, loaded, f"--{kind} {path}", other_model=other_model)
            by_size = kind == "change"
            rankings["changed" if by_size else "active"] = levels.top(
                max(counts), by="absolute" if by_size else "value"
            )
        found = run(
            loaded,
            tokenizer,
            data,
            rankings=rankings,
            ks=counts,
            mode=mode,
            random=random,
            layer_matched=layer_matched,
            seed=seed,
            scorer=scorer,
            limit=limit,
            split=split,
            max_new_tokens=max_new_tokens,
            batch_tokens=batch_tokens,
            show_progress=bars,
        )
    result: dict[str, Any] = {"model": model, "data": data}
    result |= {"pattern": pattern and str(pattern), "change": change and str(change)}
    result |= {"random": random, "layer_matched": layer_matched, "seed": seed, "scorer": scorer, **found.to_dict()}
    if out:
        files.write_json(out, result)
    if json:
        common.emit(result)
    elif not quiet:
        common.show(*_shown(found))


def _of_kind(kind: str, path: Path) -> Pattern:
    found = common.load_pattern(path)
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
