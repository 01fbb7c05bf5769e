"""From rows to rows: what a method compares is extracted first, into a folder that later calls take it from.

chosen = headprint.select("target.jsonl", "pool.jsonl", model="lab", top=1000, cache="sets")
chosen.rows()
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from headprint import models
from headprint.analysis import selection
from headprint.analysis.comparability import check_comparable
from headprint.analysis.selection import MEASURED, Needs, Selection, check_gradients, method_for, selector_info
from headprint.base.errors import InputError
from headprint.base.options import (
    Block,
    ExtractOptions,
    LoadingOptions,
    ScoreOptions,
    SelectOptions,
    described,
    from_keywords,
    takes_options,
)
from headprint.data import ExampleStream, Source, count_rows, describe, fingerprint
from headprint.measure.caching import cache_folder, settings_like
from headprint.measure.extraction import extract
from headprint.patterns import Pattern, PatternSet

FEWEST = 4
"""Rows of a target at least: two for each half, whose agreement says how stable it is."""

_BLOCKS: dict[Needs, tuple[Block, ...]] = {"gradients": ("heads",), "mlp-gradients": ("heads", "mlp")}


@takes_options(SelectOptions)
def select(
    query: PatternSet | Pattern | Source,
    pool: PatternSet | Source,
    *,
    top: int | None = None,
    tokens: int | None = None,
    query_before: PatternSet | None = None,
    pool_before: PatternSet | None = None,
    query_rows: Source | None = None,
    pool_rows: Source | None = None,
    model: nn.Module | str | None = None,
    tokenizer: Any = None,
    cache: str | Path | None = None,
    show_progress: bool = False,
    say: Callable[[str], None] = lambda line: None,
    options: SelectOptions | None = None,
    **fields: Any,
) -> Selection:
    """Choose the rows of a pool that suit a target; each of the two is rows or a pattern set.

    Rows are extracted with ``model`` first, where the method compares levels or head gradients. One example's pattern
    is noisy and a task's is not, so these are compared with the target's mean, unless each of its examples counts by
    itself (``pick`` other than ``"top"``).

    Args:
        query: The target: rows, their pattern set, its pattern, or a change.
        pool: What to choose from: rows, or their pattern set.
        top: How many rows to take; or
        tokens: how many supervised tokens.
        query_before: The target before training, for levels ``"change"``.
        pool_before: The pool before training, likewise.
        query_rows: The rows of a target that is given as a pattern set, for methods that read them.
        pool_rows: The rows of a pool that is given as a pattern set, likewise.
        model: A model or its name, for rows and for methods that run one.
        tokenizer: Its tokenizer, as for :func:`headprint.extract`.
        cache: Folder for what is extracted: a stopped call continues there, and other calls with the same model and
            rows take it from there. None keeps it in memory.
        show_progress: Show progress bars on stderr.
        say: Called with a line about how long the pool will take.
        options: All of the following in one object; keyword arguments take precedence over it.
        {options}

    Raises:
        InputError: The input is wrong; the message names the place and the fix.
    """
    chosen = from_keywords(SelectOptions, options, {**shared_settings(query, pool), **fields})
    method = method_for(chosen, *(each for each in (query, pool) if isinstance(each, PatternSet | Pattern)))
    if top and not isinstance(pool, PatternSet | Pattern):
        there = count_rows(pool, split=chosen.split)
        if there is not None and top > there:
            raise InputError(f"{top:,} examples asked for, and the pool has {there:,}: ask for fewer")
    sides = measured(
        query,
        pool,
        selector_info(method).needs,
        chosen,
        query_rows=query_rows,
        pool_rows=pool_rows,
        model=model,
        tokenizer=tokenizer,
        cache=cache,
        show_progress=show_progress,
        say=say,
    )
    return selection.select(
        sides.query,
        sides.pool,
        top=top,
        tokens=tokens,
        query_before=query_before,
        pool_before=pool_before,
        query_rows=sides.query_rows,
        pool_rows=sides.pool_rows,
        model=sides.model,
        tokenizer=sides.tokenizer,
        show_progress=show_progress,
        options=from_keywords(ScoreOptions, chosen, {"method": method}),
    )


class Sides(NamedTuple):
    """A target and a pool, ready to be compared.

    Attributes:
        query: The target.
        pool: The pool.
        query_rows: The rows of the target, if they are known.
        pool_rows: The rows of the pool, likewise.
        model: The model: loaded, if it had to be.
        tokenizer: Its tokenizer.
    """

    query: PatternSet | Pattern
    pool: PatternSet
    query_rows: Source | None
    pool_rows: Source | None
    model: nn.Module | str | None
    tokenizer: Any


def shared_settings(*sides: Any) -> dict[str, Any]:
    """Return the settings of the first pattern set among the sides, which rows on another side then share."""
    levels = next((each for each in sides if isinstance(each, PatternSet)), None)
    return {} if levels is None else settings_like(levels)


def measured(
    query: PatternSet | Pattern | Source,
    pool: PatternSet | Source,
    needs: Needs,
    options: ExtractOptions,
    *,
    query_rows: Source | None = None,
    pool_rows: Source | None = None,
    model: nn.Module | str | None = None,
    tokenizer: Any = None,
    cache: str | Path | None = None,
    show_progress: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Sides:
    """Make pattern sets of rows, the target's first: it is the smaller one, and says how long the pool will take.

    Args:
        query: The target.
        pool: The pool.
        needs: What is going to be compared.
        options: How rows are extracted.
        query_rows: As for :func:`select`, like all that follow.
        pool_rows: Likewise.
        model: Likewise.
        tokenizer: Likewise.
        cache: Likewise.
        show_progress: Likewise.
        say: Likewise.

    Raises:
        InputError: A set lacks head gradients that are needed, there is no model for rows, it is not that of the sets,
            or the target is too small.
    """
    sets = {name: each for name, each in (("the pool", pool), ("the query", query)) if isinstance(each, PatternSet)}
    for name, levels in sets.items():
        for block in _BLOCKS.get(needs, ()):
            check_gradients(name, levels, block)
    if isinstance(pool, Pattern):
        raise InputError("the pool is a single pattern, which has no examples: give its pattern set, or rows")
    if not (isinstance(query, PatternSet | Pattern) and isinstance(pool, PatternSet)):
        making = _Making(options, needs, model, tokenizer, cache, show_progress, sets)
        model, tokenizer = making.model or model, making.tokenizer
    if not isinstance(query, PatternSet | Pattern):
        query_rows = list(query) if isinstance(query, Iterator) else query
        query = making.set_of(query_rows)
    if isinstance(query, PatternSet) and len(query) < FEWEST:
        raise InputError(f"the target has {len(query)} rows, which say little about it: give at least {FEWEST}")
    if not isinstance(pool, PatternSet):
        pool_rows = list(pool) if isinstance(pool, Iterator) else pool
        if seconds := making.seconds_per_row * (count_rows(pool_rows, split=options.split) or 0):
            say(f"the pool will take about {_duration(seconds)}, judging by the target")
        pool = making.set_of(pool_rows)
    return Sides(query, pool, query_rows, pool_rows, model, tokenizer)


class _Making:
    """Makes pattern sets of rows: with levels, with head gradients, or with the names and lengths of rows only.

    Attributes:
        model: The model, loaded; None where only its tokenizer is needed.
        tokenizer: Its tokenizer.
        seconds_per_row: Of the last extraction that measured anything; 0 before.
    """

    def __init__(
        self,
        options: ExtractOptions,
        needs: Needs,
        model: nn.Module | str | None,
        tokenizer: Any,
        cache: str | Path | None,
        show_progress: bool,
        sets: dict[str, PatternSet],
    ) -> None:
        self.options, self.needs, self.measures = options, needs, needs in MEASURED
        self.cache, self.show_progress, self.seconds_per_row = cache, show_progress, 0.0
        if model is None and tokenizer is None:
            what = "are measured with a model" if self.measures else "are counted in a model's tokens"
            raise InputError(f"rows {what}: give it, too (--model)")
        self.model: nn.Module | None = None
        if isinstance(model, nn.Module):
            self.model, self.tokenizer = model, tokenizer
        elif model is None or not (self.measures or needs == "model"):
            self.tokenizer = tokenizer or models.load_tokenizer(str(model), trust_remote_code=options.trust_remote_code)
        else:
            self.model, self.tokenizer = models.resolve(model, tokenizer, **options.keywords(LoadingOptions))
        if not self.measures:
            return
        if self.model is None:
            raise InputError("rows are measured with a model: give it, too (--model)")
        self._weights = models.fingerprint(self.model)
        own = {"model": {**models.describe(self.model), "weights": self._weights}}
        for name, levels in sets.items():
            check_comparable({name: levels.provenance, "the rows": own}, one_model=True)

    def set_of(self, source: Source) -> PatternSet:
        """The pattern set of some rows."""
        return self._extracted(source) if self.measures else self._bare(source)

    def _extracted(self, source: Source) -> PatternSet:
        settings = self.options.keywords(ExtractOptions)
        settings = {name: value for name, value in settings.items() if name not in described(LoadingOptions)}
        settings["sketch"] = (settings["sketch"] or 0) if self.needs in _BLOCKS else None
        if self.needs == "mlp-gradients":
            settings["blocks"] = "heads,mlp"
        settings["attn_implementation"] = self.options.attn_implementation
        out, started, rows = None, time.perf_counter(), 0
        if self.cache is not None:
            out = cache_folder(self.cache, source, ExtractOptions(**settings), self._weights)

        def count(examples: int, _: int) -> None:
            nonlocal started, rows
            started, rows = (started, rows + examples) if examples else (time.perf_counter(), 0)

        assert self.model is not None
        found = extract(
            self.model, self.tokenizer, source, out=out, show_progress=self.show_progress, on_batch=count, **settings
        )
        self.seconds_per_row = (time.perf_counter() - started) / rows if rows else 0.0
        return found

    def _bare(self, source: Source) -> PatternSet:
        """Names and token counts, for methods that look at no level."""
        options = self.options
        stream = ExampleStream(
            source,
            self.tokenizer,
            max_length=options.max_length,
            overlong=options.overlong,
            loss_on=options.loss_on,
            split=options.split,
            limit=options.limit,
            **(models.limits(self.model) if self.model else {}),  # type: ignore[typeddict-item]
        )
        ids, tokens = zip(*((example.id, example.supervised) for example in stream), strict=True)
        data = {"source": describe(source), "content": fingerprint(source, split=options.split), "split": options.split}
        provenance = {"data": data, "loss_on": options.loss_on, "max_length": options.max_length}
        n = len(ids)
        return PatternSet(np.empty((n, 0, 0)), ids, np.full(n, np.nan), np.array(tokens), provenance)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
