"""From rows to rows: a mixture of tasks for a target, by head gradients, before anything is trained.

mixed = headprint.mix_for("target.jsonl", {"math": "math.jsonl", "code": "code.jsonl"}, model="lab", tokens=100_000)
mixed.write("mixture.jsonl")
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from headprint import models
from headprint.analysis.bootstrap import Bootstrap
from headprint.analysis.comparability import check_comparable
from headprint.analysis.decomposition import decompose
from headprint.analysis.mixture import Mixed, mix, mixture_budgets, token_size
from headprint.base.errors import InputError
from headprint.base.options import ExtractOptions, LoadingOptions, MixOptions, described, from_keywords, takes_options
from headprint.data import Source, count_rows, read_rows
from headprint.measure.caching import cache_folder, settings_like
from headprint.measure.extraction import extract
from headprint.patterns import PatternSet

FEWEST = 4
"""Rows of a target at least: the shares are judged by rows that are left out."""

_RESAMPLES = 200  # of rows, and of random tasks


@takes_options(MixOptions)
def mix_for(
    target: PatternSet | Source,
    sources: Mapping[str, Source],
    *,
    model: nn.Module | str,
    total: int | None = None,
    tokens: int | None = None,
    tokenizer: Any = None,
    sets: Mapping[str, PatternSet] | None = None,
    cache: str | Path | None = None,
    show_progress: bool = False,
    options: MixOptions | None = None,
    **fields: Any,
) -> Mixed:
    """Mix rows of tasks in the shares that a target's head gradients are made of.

    The target and some rows of every task are extracted with ``model``, the model that is to be trained; the target is
    decomposed by gradients (:func:`headprint.analysis.decompose`), and rows are drawn in the shares of its mixture.

    Args:
        target: Rows, or their pattern set with sketches.
        sources: The rows of each task, by its name.
        model: A model or its name.
        total: How many rows to take; or
        tokens: how many supervised tokens, which is what the shares are shares of.
        tokenizer: As for :func:`headprint.extract`.
        sets: Pattern sets with sketches of tasks that are not to be extracted here.
        cache: Folder for what is extracted: a stopped call continues there, and other calls with the same model and
            rows take it from there. None keeps it in memory.
        show_progress: Show progress bars on stderr.
        options: All of the following in one object; keyword arguments take precedence over it.
        {options}

    Returns:
        The rows, with the decomposition in their provenance.

    Raises:
        InputError: The input is wrong; the message names the place and the fix.
    """
    known = {"the target": target} if isinstance(target, PatternSet) else {}
    known |= sets or {}
    given = settings_like(next(iter(known.values()))) if known else {}
    chosen = from_keywords(MixOptions, options, given | fields)
    if (total is None) == (tokens is None):
        raise InputError("give either the rows of the mixture (--total) or its tokens (--tokens)")
    if unknown := [name for name in sets or {} if name not in sources]:
        raise InputError(f"there are no rows of {unknown[0]!r}, whose pattern set is given: give them, too (--from)")
    target = list(target) if isinstance(target, Iterator) else target
    for source in (target, *sources.values()):
        if not isinstance(source, PatternSet):
            next(read_rows(source, split=chosen.split), None)  # a wrong path is found before the model is loaded
    loaded, tokenizer = models.resolve(model, tokenizer, **chosen.keywords(LoadingOptions))
    weights = models.fingerprint(loaded)
    own = {"model": {**models.describe(loaded), "weights": weights}}
    for name, levels in known.items():
        check_comparable({name: levels.provenance, "the rows": own}, one_model=True)
    for name, source in {"the target": target, **sources}.items():
        if name in known or isinstance(source, PatternSet):
            continue
        some = _sample(source, chosen.measured, chosen.seed, chosen.split)
        settings = chosen.keywords(ExtractOptions) | {"sketch": chosen.sketch or 0}
        extracting = ExtractOptions(**settings)
        folder = cache and cache_folder(cache, some, extracting, weights, name=name.rpartition(" ")[2])
        measuring = {each: value for each, value in settings.items() if each not in described(LoadingOptions)}
        measuring["attn_implementation"] = chosen.attn_implementation
        known[name] = extract(loaded, tokenizer, some, out=folder, show_progress=show_progress, **measuring)
    query = known.pop("the target")
    if len(query) < FEWEST:
        raise InputError(f"the target has {len(query)} rows, which say little about it: give at least {FEWEST}")
    found = decompose(
        query,
        {name: known[name] for name in sources},
        name="the target",
        by="gradients",
        permutations=_RESAMPLES,
        seed=chosen.seed,
        bootstrap=Bootstrap(draws=_RESAMPLES, seed=chosen.seed),
    )
    intervals = found.mixture.shares if found.mixture and chosen.weights == "shares" else found.weights
    shares = {name: share.value for name, share in intervals.items()}
    mixed = mix(
        sources,
        mixture_budgets(shares, total or tokens or 0, negative=chosen.negative),
        seed=chosen.seed,
        oversample=chosen.oversample,
        size=token_size(tokenizer) if tokens else None,
        split=chosen.split,
    )
    mixed.provenance.update(
        unit="tokens" if tokens else "rows",
        model=models.describe(loaded),
        settings=chosen.settings(),
        weights=shares,
        decomposition=found.to_dict(),
    )
    return mixed


def _sample(source: Source, most: int, seed: int, split: str) -> Source:
    """The source itself, or so many of its rows, in their order."""
    count = count_rows(source, split=split)
    if count is None:
        source = [row.data for row in read_rows(source, split=split)]
        count = len(source)
    if count <= most:
        return source
    wanted = set(np.random.default_rng(seed).choice(count, most, replace=False).tolist())
    return [row.data for index, row in enumerate(read_rows(source, split=split)) if index in wanted]
