"""``headprint extract``: a model and rows to a pattern set."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from headprint.base.options import Loss, LossOn, LowerDtype, Overlong, Placement
from headprint.cli import common

_DATA, _MEASURE, _BATCHES = "Data", "Measure", "Batches"


def extract(
    model: common.ModelArgument,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="JSONL or Parquet file, folder with <split> files, datasets id, or lab:TASK: a built-in task.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="The pattern set's directory.", rich_help_panel=common.OUTPUT_PANEL),
    ],
    loss_on: Annotated[
        LossOn,
        typer.Option(help="Tokens with loss; auto: completion, assistant, or all of text.", rich_help_panel=_DATA),
    ] = "auto",
    max_length: Annotated[
        int | None, typer.Option(metavar="N", min=2, help="Tokens per example at most.", rich_help_panel=_DATA)
    ] = None,
    overlong: Annotated[Overlong, typer.Option(help="What happens to longer ones.", rich_help_panel=_DATA)] = "cut",
    split: Annotated[str, typer.Option(help="Of a folder, datasets id or lab task.", rich_help_panel=_DATA)] = "train",
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Only the first rows.", rich_help_panel=_DATA)
    ] = None,
    placement: Annotated[
        Placement,
        typer.Option(
            help="The absolute value: per example (the paper's), per token, or none.", rich_help_panel=_MEASURE
        ),
    ] = "example",
    loss: Annotated[
        Loss,
        typer.Option(
            help="Each example's mean (the paper's), its sum, or the batch's mean (the authors' script).",
            rich_help_panel=_MEASURE,
        ),
    ] = "mean",
    no_verify: Annotated[
        bool,
        typer.Option(
            "--no-verify",
            help="Believe that the measure is exact, of a model that headprint's tests do not cover.",
            rich_help_panel=_MEASURE,
        ),
    ] = False,
    dtype: common.DtypeOption = "auto",
    compute_dtype: Annotated[
        LowerDtype | None,
        typer.Option(help="Of matrix products; what is between them is float32.", rich_help_panel=common.MODEL_PANEL),
    ] = None,
    attn_implementation: common.AttentionOption = None,
    device: common.DeviceOption = None,
    trust_remote_code: common.TrustOption = False,
    batch_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Tokens per batch. \\[default: finds it]", rich_help_panel=_BATCHES),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Examples per batch at most.", rich_help_panel=_BATCHES)
    ] = None,
    checkpointing: Annotated[
        bool,
        typer.Option(
            "--checkpointing", help="Recompute layers in the backward: less memory.", rich_help_panel=_BATCHES
        ),
    ] = False,
    shard_size: Annotated[
        int, typer.Option(metavar="N", min=1, help="Examples per file, the unit of resuming.", rich_help_panel=_BATCHES)
    ] = 512,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace a pattern set in DIR.", rich_help_panel=common.OUTPUT_PANEL),
    ] = False,
    json: common.JsonOption = False,
    quiet: common.QuietOption = False,
) -> None:
    """Measure every attention head's activation level on every row; keep them in a directory.

    A run that was stopped goes on from its last finished shard when the same command is given again.
    """
    started = time.perf_counter()
    kept = "finished shards are saved: the same command goes on from there"
    with common.working(quiet=quiet, when_interrupted=lambda: kept) as bars:
        check(data, split)
        from functools import partial

        from headprint import models
        from headprint.base.run_directory import RunDirectory
        from headprint.data.examples import Report
        from headprint.measure.extraction import extract as run
        from headprint.measure.extraction import settings_without_model
        from headprint.patterns import PATTERN_SET_RUN

        chosen: dict[str, Any] = {
            "placement": placement,
            "loss": loss,
            "loss_on": loss_on,
            "max_length": max_length,
            "overlong": overlong,
            "split": split,
            "limit": limit,
            "batch_size": batch_size,
            "shard_size": shard_size,
        }
        known = partial(
            settings_without_model, data, **chosen
        )  # reads the data: only if there is a set to compare with
        RunDirectory(out, PATTERN_SET_RUN).check(known, so_far=True, overwrite=overwrite)
        loaded, tokenizer = models.load_model(
            model,
            dtype=dtype,
            device=device,
            attn_implementation=attn_implementation,
            trust_remote_code=trust_remote_code,
        )
        before, tokens = time.perf_counter(), 0

        def count(_: int, more: int) -> None:
            nonlocal tokens
            tokens += more

        levels = run(
            loaded,
            tokenizer,
            data,
            out=out,
            **chosen,
            compute_dtype=compute_dtype,
            batch_tokens=batch_tokens,
            checkpointing=checkpointing,
            verify=not no_verify,
            overwrite=overwrite,
            show_progress=bars,
            on_batch=count,
        )
    now = time.perf_counter()
    seconds, rate = now - started, tokens / (now - before)  # the rate without loading the model
    report = levels.provenance["report"]
    examples, layers, heads = levels.shape
    if json:
        shape = {"examples": examples, "layers": layers, "heads": heads}
        cost = {"seconds": seconds, "tokens": tokens, "tokens_per_second": rate}
        common.emit({"out": str(out), **shape, "report": report, **cost, "provenance": levels.provenance})
    elif not quiet:
        common.show(
            f"{Report(**report)}",
            f"{examples:,} examples × {layers} layers × {heads} heads in {out}, {seconds:,.1f} s"
            + (f" ({rate:,.0f} tokens/s)" if tokens else ""),
            f"next: headprint show {shlex.quote(str(out))}",
        )


def check(data: str, split: str) -> None:
    """Read the first row of a command's DATA: a wrong path should not cost loading a model.

    Raises:
        InputError: There is no such data, or the first row is broken.
    """
    from headprint.data.rows import read_rows

    next(read_rows(data, split=split))
