"""Scores of rows for targets by every method, from the model as it is before any training.

A method is a selector by its name (:data:`headprint.analysis.selection.SELECTORS`); it sees the target's first training
rows as queries, and nothing else of it. How well a method predicts and how well it selects are read from one matrix.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from headprint.base.files import read_json, read_json_lines, write_json, write_json_lines
from headprint.study.chapters.evidence.settings import ALL_WEIGHTS, Training
from headprint.study.chapters.evidence.trials import Trials, schedule
from headprint.study.groundwork.models import Model, load
from headprint.study.pipeline import Cache, Job, Needs, stage
from headprint.study.records import parsed

PATTERNS_BEFORE = "patterns before"
"""Correlation of the mean patterns of source and target before any training, as a predictor: what a change of levels
amounts to where the loss collapses, with both signs reversed."""

PATTERNS_CHANGE = "pattern changes"
"""Correlation of the changes ΔAP of source and target, each fine-tuned: the paper's."""


SCORES = "scores.json"

_BUCKETS = 2**14


@stage(version=1)
def gathered(out: Path, needs: Needs, *, names: list[str], rows: int) -> None:
    """Put the first rows of several sources into one file, each with its ``source``.

    Writes ``train.jsonl``.
    """
    found = [
        {**row, "id": f"{name}/{row['id']}", "source": name}
        for name in names
        for row in list(read_json_lines(needs[name] / "reserve.jsonl"))[:rows]
    ]
    write_json_lines(out / "train.jsonl", found)


@stage(version=1, ignores={"batch_tokens"})
def measured(
    out: Path, needs: Needs, *, model: Model, limit: int | None, sketch: int, batch_tokens: int | None
) -> None:
    """Measure levels and head gradients of rows with the untrained model.

    Writes ``set/``, ``rows.jsonl`` and ``measured.json``.
    """
    from headprint.measure.extraction import extract

    loaded, tokenizer = load(model)
    rows = list(read_json_lines(needs["rows"] / "train.jsonl"))[:limit]
    write_json_lines(out / "rows.jsonl", rows)
    tokens = 0

    def count(examples: int, some: int) -> None:
        nonlocal tokens
        tokens += some

    start = time.perf_counter()
    extract(loaded, tokenizer, rows, out=out / "set", sketch=sketch, batch_tokens=batch_tokens, on_batch=count)
    seconds = time.perf_counter() - start
    write_json(out / "measured.json", {"rows": len(rows), "tokens": tokens, "seconds": seconds})


@stage(version=1)
def scored(out: Path, needs: Needs, *, model: Model, method: str, seed: int) -> None:
    """Score the rows of a pool for a target by one method.

    Writes ``scores.json``: one number for each row, null where there is none.
    """
    from headprint.analysis.selection import SelectionInputs, score
    from headprint.base.files import without_nan
    from headprint.patterns import PatternSet

    loaded, tokenizer = load(model)
    start = time.perf_counter()
    inputs = SelectionInputs(
        PatternSet.load(needs["query"] / "set"),
        PatternSet.load(needs["pool"] / "set"),
        query_rows=needs["query"] / "rows.jsonl",
        pool_rows=needs["pool"] / "rows.jsonl",
        model=loaded,
        tokenizer=tokenizer,
        mean_query=True,
        seed=seed,
    )
    found = score(inputs, method).mean()
    seconds = time.perf_counter() - start
    write_json(out / SCORES, {"scores": without_nan(found.tolist()), "seconds": seconds})


@stage(version=1)
def weight_gradients(out: Path, needs: Needs, *, model: Model) -> None:
    """Take every row's gradient of all weights, with random signs, folded into buckets and brought to norm 1.

    Two gradients have the same inner product after that, in expectation over the signs (the count sketch; Weinberger et
    al. 2009, arXiv 0902.2206). Writes ``gradients.npy``, (rows, buckets) in float16.
    """
    import torch

    from headprint import models
    from headprint.data import read_rows
    from headprint.measure.batching import collate
    from headprint.measure.likelihood import examples_of
    from headprint.training.short import mean_loss

    loaded, tokenizer = load({**model, "dtype": "float32"})
    loaded.requires_grad_(True)
    parameters = list(loaded.parameters())
    count = sum(parameter.numel() for parameter in parameters)
    padded = -(-count // _BUCKETS) * _BUCKETS
    signs = torch.randint(2, (padded,), generator=torch.Generator().manual_seed(0), dtype=torch.int8) * 2.0 - 1
    examples = examples_of(list(read_rows(needs["rows"] / "rows.jsonl")), tokenizer, **models.limits(loaded))
    found = np.empty((len(examples), _BUCKETS), np.float16)
    start = time.perf_counter()
    for number, example in enumerate(examples):
        batch = collate([example], models.input_device(loaded))
        gradients = torch.autograd.grad(mean_loss(loaded, batch.inputs(), batch.labels), parameters)
        flat = torch.zeros(padded)
        flat[:count] = torch.cat([gradient.flatten().float().cpu() for gradient in gradients])
        folded = (flat * signs).view(-1, _BUCKETS).sum(0)
        found[number] = (folded / folded.norm().clamp_min(1e-30)).numpy()
    np.save(out / "gradients.npy", found)
    write_json(out / "weight_gradients.json", {"seconds": time.perf_counter() - start, "parameters": count})


@stage(version=1)
def scored_by_weights(out: Path, needs: Needs) -> None:
    """Score the rows of a pool for a target by the mean cosine of the gradients of all weights.

    Writes ``scores.json``.
    """
    start = time.perf_counter()
    query, pool = (np.load(needs[name] / "gradients.npy", mmap_mode="r") for name in ("query", "pool"))
    mean = query.astype(np.float32).mean(axis=0)
    found = np.concatenate([block.astype(np.float32) @ mean for block in np.array_split(pool, -(-len(pool) // 512))])
    write_json(out / SCORES, {"scores": found.tolist(), "seconds": time.perf_counter() - start})


@stage(version=1, ignores={"batch_tokens"})
def changed(
    out: Path,
    needs: Needs,
    *,
    model: Model,
    training: dict[str, Any],
    query: int,
    batch_tokens: int | None,
    seed: int,
) -> None:
    """Train on a task's rows, and take the pattern of the first of them before and after: the paper's ΔAP.

    Writes ``before/`` and ``after/``, pattern sets of the same rows.
    """
    from headprint import models
    from headprint.data import read_rows
    from headprint.measure.extraction import extract
    from headprint.measure.likelihood import examples_of
    from headprint.training.short import in_steps, train

    loaded, tokenizer = load({**model, "dtype": "float32"})
    settings = parsed(Training, training, "training")
    rows = list(read_json_lines(needs["rows"] / "train.jsonl"))
    probes = list({str(row.get("prompt", row)): row for row in rows}.values())[:query]
    extract(loaded, tokenizer, probes, out=out / "before", batch_tokens=batch_tokens)
    loaded.requires_grad_(True)
    examples = examples_of(list(read_rows(rows)), tokenizer, **models.limits(loaded))
    train(loaded, in_steps(examples, settings.tokens, settings.steps, seed), **schedule(settings))
    extract(loaded, tokenizer, probes, out=out / "after", batch_tokens=batch_tokens)


class Scores:
    """Makes the jobs that score rows, of one model and seed.

    Args:
        trials: Of the same model and seed.
    """

    def __init__(self, trials: Trials) -> None:
        self.trials = trials
        self.run, self.given = trials.run, trials.given

    def query(self, target: str) -> Job:
        """The target's first training rows."""
        return self._measured(self.run.rows[target], target, self.given.query)

    def pool(self, rows: int | None = None) -> Job:
        """The pool, or its first rows; the same for all seeds."""
        return self._measured(self.trials.pool, "pool", rows)

    def sources(self, names: Sequence[str], rows: int) -> Job:
        """The first rows of each source."""
        together = gathered.job(
            self.run.label("sources"), {name: self.trials.source(name) for name in names}, names=list(names), rows=rows
        )
        return self._measured(together, "sources", None)

    def of(self, method: str, target: str, rows: Job) -> Job:
        """The scores of measured rows for a target."""
        needs = {"query": self.query(target), "pool": rows}
        if method == ALL_WEIGHTS:
            gradients = {
                name: weight_gradients.job(self.run.label(each.label, ALL_WEIGHTS), {"rows": each}, **self.run.model)
                for name, each in needs.items()
            }
            return scored_by_weights.job(self.run.label(target, method), gradients)
        return scored.job(self.run.label(target, method), needs, **self.run.model, method=method, seed=self.run.seed)

    def change(self, name: str) -> Job:
        """What training changes in the patterns of a source, or of a target on its few rows."""
        is_target = name in self.given.targets
        rows = self.run.rows[name] if is_target else self.trials.mixture({name: 1.0}, [name], name, "first")
        return changed.job(
            self.run.label(name, "change"),
            {"rows": rows},
            **self.run.measuring,
            training=asdict(self.given.own if is_target else self.given.first),
            query=self.given.query,
            seed=self.run.seed,
        )

    def _measured(self, rows: Job, label: str, limit: int | None) -> Job:
        return measured.job(
            self.run.label(label), {"rows": rows}, **self.run.measuring, limit=limit, sketch=self.given.sketch
        )


def scores_of(job: Job, cache: Cache) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The (M,) scores that a job found; NaN where there is none."""
    return np.array([np.nan if each is None else each for each in read_json(cache.of(job) / SCORES)["scores"]])
