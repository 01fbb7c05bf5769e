"""Examples through the model, shard by shard: a pattern set out, in input order, resumable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import numpy as np
from torch import nn

from headprint import models
from headprint.base import provenance
from headprint.base.errors import InputError
from headprint.base.options import Loss, LossOn, Overlong, Placement
from headprint.base.progress import progress
from headprint.base.run_directory import RunDirectory
from headprint.data import Example, ExampleStream, Source, rows
from headprint.measure.batching import Budget
from headprint.measure.engine import Engine
from headprint.measure.tap import Tap
from headprint.measure.verification import ensure_exact
from headprint.models import checkpointed, frozen
from headprint.models.heads import locate
from headprint.patterns import PATTERN_SET_RUN, PatternSet, PatternSetWriter

AUTHORS_BATCH = 4
"""Rows per batch in the authors' public script, whose batch-mean loss makes levels depend on it."""


def extract(
    model: nn.Module,
    tokenizer: Any,
    examples: Source,
    *,
    out: str | Path | None = None,
    placement: Placement = "example",
    loss: Loss = "mean",
    loss_on: LossOn = "auto",
    max_length: int | None = None,
    overlong: Overlong = "cut",
    split: str = "train",
    limit: int | None = None,
    compute_dtype: str | None = None,
    attn_implementation: str | None = None,
    batch_tokens: int | None = None,
    batch_size: int | None = None,
    checkpointing: bool = False,
    shard_size: int = 512,
    verify: bool = True,
    overwrite: bool = False,
    show_progress: bool = False,
    on_batch: Callable[[int, int], None] | None = None,
) -> PatternSet:
    """Measure the activation level of every attention head on every example.

    The level of head h of layer l on example x is Σ_ij A_ij · ∂L(x)/∂A_ij, the number inside the absolute value of
    the paper's Eq. 2 (arXiv 2409.15820), computed exactly and without an attention matrix
    (:mod:`headprint.measure.tap`). The model's flags, mode, hooks and kernel are afterwards what they were, also after
    an error.

    Args:
        model: A transformers causal language model on its device, bare or wrapped by PEFT or DDP.
        tokenizer: Its tokenizer; None for pre-tokenised rows (``input_ids`` and ``labels``).
        examples: Rows (prompt/completion, messages, text or pre-tokenised): a list of dicts, the path of a JSONL or
            Parquet file, or a data set of ``datasets`` by object or hub id (:func:`headprint.data.rows.read_rows`).
        out: Directory for the pattern set. Finished shards are kept and never redone: the same call resumes a killed
            run, and memory does not grow with the number of examples. None keeps the levels in memory.
        placement: Where the absolute value goes. ``"example"`` (the paper's) and ``"none"`` store signed levels;
            ``"token"`` stores Σ_i |⟨z_i, ∂L/∂z_i⟩|.
        loss: ``"mean"`` of each example's token losses (the paper's formula), ``"sum"`` of them, or ``"batch-mean"``,
            as the authors' script has it: batches of ``batch_size`` (default 4) in input order share one token mean.
        loss_on: Which tokens carry loss; ``"auto"`` is the completion, the assistant's turns, or all of plain text.
        max_length: Tokens per example at most.
        overlong: What happens to longer ones: ``"cut"`` or ``"drop"``. Both are counted in ``provenance["report"]``.
        split: Which split of a folder or of a ``datasets`` data set.
        limit: Only the first so many rows.
        compute_dtype: Take matrix products in this lower precision (``"bfloat16"``) by autocast, and what happens
            between them in float32; the weights are float32 or of that precision. None computes as the weights are.
        attn_implementation: Attention kernel for this call, such as ``"eager"`` or ``"sdpa"``.
        batch_tokens: Tokens per batch, padding counted. None finds a budget, and halves it when memory runs out.
        batch_size: Examples per batch at most.
        checkpointing: Recompute each layer in the backward: less memory, about a third more time.
        shard_size: Examples per shard, the unit that is sorted by length, written and resumed.
        verify: Hold a model of a family that headprint's own tests do not cover against the materialised oracle first.
        overwrite: Start anew where ``out`` holds a pattern set already.
        show_progress: Show a progress bar on stderr.
        on_batch: Called after each batch with how many examples and real tokens it held.

    Returns:
        Levels (N, L, H) float32 in input order, with ids, mean losses in nats, and provenance.

    Raises:
        InputError: Something about the input is wrong; the message names the place and the mend.
        headprint.models.heads.UnsupportedModel: The measure would not be exact for this model.
    """
    for name, value, choices in (("placement", placement, Placement), ("loss", loss, Loss)):
        if value not in get_args(choices):
            raise InputError(f"{name} is {value!r}; it wants one of {', '.join(get_args(choices))}")
    for name, number in (("batch_tokens", batch_tokens), ("batch_size", batch_size), ("shard_size", shard_size)):
        if number is not None and number < 1:
            raise InputError(f"{name} is {number}; it wants 1 at least")
    stream = ExampleStream(
        examples, tokenizer, max_length=max_length, overlong=overlong, loss_on=loss_on, split=split, limit=limit
    )
    known = settings_without_model(
        stream.source,
        placement=placement,
        loss=loss,
        loss_on=loss_on,
        max_length=max_length,
        overlong=overlong,
        split=split,
        limit=limit,
        batch_size=batch_size,
        shard_size=shard_size,
    )
    if out is not None:
        RunDirectory(out, PATTERN_SET_RUN).check(known, so_far=True, overwrite=overwrite)
    batch_size, shard_size = known["batch_size"] or batch_size, known["shard_size"]
    heads = locate(model)
    with ExitStack() as stack:
        enter = stack.enter_context
        enter(models.using_kernel(model, attn_implementation))
        if verify:
            ensure_exact(model)
        settings = {
            "model": {"weights": models.fingerprint(model)},
            **known,
            "dtype": models.dtype_name(model),
            "compute_dtype": compute_dtype,
            "kernel": models.kernel(model),
        }
        made_by = provenance.collect(settings, model=models.describe(model), data={"source": rows.describe(examples)})
        device = models.input_device(model)
        enter(models.computing_in(model, compute_dtype))
        enter(frozen(model))
        if checkpointing:
            enter(checkpointed(model))
        engine = Engine(
            model, heads, enter(Tap(heads.sites)), device, Budget(device, batch_tokens), placement, loss, batch_size
        )
        total = rows.count_rows(stream.source, split=split)
        if total is not None and limit is not None:
            total = min(total, limit)
        bar = enter(progress("extract", total, enabled=show_progress))

        def advance(examples: int, tokens: int = 0) -> None:
            bar(examples, tokens)
            if on_batch:
                on_batch(examples, tokens)

        if out is None:
            shards = [engine.run(chunk, advance) for chunk in _chunks(stream, shard_size)]
            ids, levels, losses, tokens = zip(*shards, strict=True)
            made_by["report"] = stream.report.to_dict()
            return PatternSet(
                np.concatenate(levels),
                [name for part in ids for name in part],
                np.concatenate(losses),
                np.concatenate(tokens),
                made_by,
            )
        writer = enter(
            PatternSetWriter(
                out,
                layers=heads.layers,
                heads=heads.heads,
                settings=settings,
                provenance=made_by,
                overwrite=overwrite,
            )
        )
        for index, chunk in enumerate(_chunks(stream, shard_size)):
            if index in writer.finished:
                bar(len(chunk))
            else:
                writer.write(index, *engine.run(chunk, advance))
        writer.close(stream.report.to_dict())
    return PatternSet.load(out)


def settings_without_model(
    source: Source,
    *,
    placement: Placement,
    loss: Loss,
    loss_on: LossOn,
    max_length: int | None,
    overlong: Overlong,
    split: str,
    limit: int | None,
    batch_size: int | None,
    shard_size: int,
) -> dict[str, Any]:
    """The part of a pattern set's settings that is known before there is a model; options as of :func:`extract`.

    Raises:
        InputError: The rows cannot be read.
    """
    together = loss == "batch-mean"
    if together:
        batch_size = batch_size or AUTHORS_BATCH
        shard_size = max(1, shard_size // batch_size) * batch_size  # no batch may straddle two shards
    return {
        "data": {"content": rows.fingerprint(source, split=split), "split": split, "limit": limit},
        "placement": placement,
        "loss": loss,
        "loss_on": loss_on,
        "max_length": max_length,
        "overlong": overlong,
        "batch_size": batch_size if together else None,
        "shard_size": shard_size,
    }


def _chunks(stream: Iterable[Example], size: int) -> Iterator[list[Example]]:
    iterator = iter(stream)
    while chunk := list(islice(iterator, size)):
        yield chunk
