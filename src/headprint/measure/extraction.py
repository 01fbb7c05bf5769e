"""Rows through the model, shard by shard: a pattern set in input order, which a later call can resume."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from headprint import models
from headprint.base import provenance
from headprint.base.errors import InputError
from headprint.base.options import ExtractOptions, LoadingOptions, from_keywords, takes_options
from headprint.base.progress import progress
from headprint.base.run_directory import RunDirectory
from headprint.data import Example, ExampleStream, Source, rows
from headprint.measure.batching import Budget
from headprint.measure.engine import Engine
from headprint.measure.sketch import Sketch
from headprint.measure.tap import Tap
from headprint.measure.verification import ensure_exact
from headprint.models.mlps import locate_mlps
from headprint.patterns import PATTERN_SET_RUN, PatternSet, PatternSetWriter

AUTHORS_BATCH = 4
"""Rows per batch in the authors' public script, whose batch-mean loss makes levels depend on it."""


@takes_options(ExtractOptions)
def extract(
    model: nn.Module | str | os.PathLike[str],
    tokenizer: Any,
    examples: Source,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    show_progress: bool = False,
    on_batch: Callable[[int, int], None] | None = None,
    options: ExtractOptions | None = None,
    **fields: Any,
) -> PatternSet:
    """Measure the activation level of every attention head on every example.

    The level of head h of layer l on example x is Σ_ij A_ij · ∂L(x)/∂A_ij, the number inside the absolute value of
    the paper's Eq. 2 (arXiv 2409.15820), computed exactly and without an attention matrix
    (:mod:`headprint.measure.tap`). A model that is given loaded is left as it was, its flags, mode, hooks and kernel
    included, also after an error.

    Args:
        model: A transformers causal language model on its device, bare or wrapped by PEFT or DDP; or the name of one
            (:func:`headprint.load_model`).
        tokenizer: Its tokenizer. None for pre-tokenised rows (``input_ids`` and ``labels``), or for the tokenizer that
            comes with a model given by name.
        examples: Rows (prompt/completion, messages, text or pre-tokenised): a list of dicts, the path of a JSONL or
            Parquet file, or a data set of ``datasets`` by object or hub id (:func:`headprint.data.rows.read_rows`).
        out: Directory for the pattern set. Finished shards are never redone: the same call resumes a stopped run, and
            memory does not grow with the number of examples. None keeps the levels in memory.
        overwrite: Start anew where ``out`` holds a pattern set already.
        show_progress: Show a progress bar on stderr.
        on_batch: Called with how many examples and real tokens a batch held, after each batch; and once with zeros
            when everything is loaded and the first batch is about to run.
        options: All of the following in one object; keyword arguments take precedence over it.
        {options}

    Returns:
        Levels (N, L, H) float32 in input order, with ids, mean losses in nats, and provenance; under ``sketch`` also
        head gradients (N, L, H, K), which files hold in float16.

    Raises:
        InputError: The input is wrong; the message names the place and the fix.
        headprint.models.UnsupportedModel: The measure would not be exact for this model.
    """
    chosen = from_keywords(ExtractOptions, options, fields)
    if chosen.sketch is None and chosen.blocks != "heads":
        raise InputError(
            f"blocks {chosen.blocks!r} are sketched: say in how many directions, with sketch=K (--sketch K)"
        )
    source = list(examples) if isinstance(examples, Iterator) else examples
    known = _settings(source, chosen)
    if out is not None:
        RunDirectory(out, PATTERN_SET_RUN).check(known, so_far=True, overwrite=overwrite)
    loading = chosen.keywords(LoadingOptions)
    if isinstance(model, str | os.PathLike):
        next(rows.read_rows(source, split=chosen.split), None)  # a broken first row is found before the model is loaded
    else:
        del loading["attn_implementation"]  # of a loaded model it is changed for this call, below
    model, tokenizer = models.resolve(model, tokenizer, **loading)
    stream = ExampleStream(source, tokenizer, options=chosen, **models.limits(model))
    heads = models.locate(model)
    with ExitStack() as stack:
        enter = stack.enter_context
        enter(models.using_kernel(model, chosen.attn_implementation))
        if chosen.verify:
            ensure_exact(model)
        settings = {
            "model": {"weights": models.fingerprint(model)},
            **known,
            "dtype": models.dtype_name(model),
            "kernel": models.kernel(model),
        }
        made_by = provenance.collect(settings, model=models.describe(model), data={"source": rows.describe(examples)})
        device = models.input_device(model)
        enter(models.computing_in(model, chosen.compute_dtype))
        enter(models.frozen(model))
        if chosen.checkpointing:
            enter(models.checkpointed(model))
        sketch = mlps = None
        if chosen.sketch is not None:
            sketch = Sketch.planned(heads, chosen.sketch, chosen.sketch_seed, chosen.blocks)
            mlps = locate_mlps(model, heads) if sketch.side else None
        engine = Engine(
            model,
            heads,
            enter(Tap(heads.sites, sketch, mlps)),
            device,
            Budget(device, chosen.batch_tokens),
            chosen.placement,
            chosen.loss,
            known["batch_size"] or chosen.batch_size,
            chosen.objective,
        )
        total = rows.count_rows(source, split=chosen.split)
        if total is not None and chosen.limit is not None:
            total = min(total, chosen.limit)
        bar = enter(progress("extract", total, enabled=show_progress))

        def advance(examples: int, tokens: int = 0) -> None:
            bar(examples, tokens)
            if on_batch:
                on_batch(examples, tokens)

        advance(0)
        chunks = _chunks(stream, known["shard_size"])
        if out is None:
            shards = [engine.run(chunk, advance) for chunk in chunks]
            ids, levels, losses, tokens, sketches = zip(*shards, strict=True)
            gradients = {block: np.concatenate([part[block] for part in sketches]) for block in engine.layout}
            made_by["report"] = stream.report.to_dict()
            return PatternSet(
                np.concatenate(levels),
                [name for part in ids for name in part],
                np.concatenate(losses),
                np.concatenate(tokens),
                made_by,
                gradients.get("heads"),
                gradients.get("mlp"),
            )
        writer = enter(
            PatternSetWriter(
                out,
                layers=heads.layers,
                heads=heads.heads,
                layout=engine.layout,
                settings=settings,
                provenance=made_by,
                overwrite=overwrite,
            )
        )
        for index, chunk in enumerate(chunks):
            if index in writer.finished:
                bar(len(chunk))
            else:
                writer.write(index, *engine.run(chunk, advance))
        writer.close(stream.report.to_dict())
    return PatternSet.load(out)


def _settings(source: Source, options: ExtractOptions) -> dict[str, Any]:
    """The part of a pattern set's settings that is known before there is a model.

    Raises:
        InputError: The rows cannot be read.
    """
    batch_size, shard_size = None, options.shard_size
    if options.loss == "batch-mean":
        batch_size = options.batch_size or AUTHORS_BATCH
        shard_size = max(1, shard_size // batch_size) * batch_size  # no batch may straddle two shards
    content = rows.fingerprint(source, split=options.split)
    return {"data": {"content": content}, **options.settings(), "batch_size": batch_size, "shard_size": shard_size}


def _chunks(stream: Iterable[Example], size: int) -> Iterator[list[Example]]:
    iterator = iter(stream)
    while chunk := list(islice(iterator, size)):
        yield chunk
