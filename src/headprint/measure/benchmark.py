"""How fast the measure is on a model, against what it must cost: a forward, a training step, the authors' recipe.

Every contender works on the same examples, in the same process, in rounds whose order rotates; what is reported is the
ratio of one round's times, so that a machine whose speed drifts drifts for all of them.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from headprint import models
from headprint.base import provenance
from headprint.data.tokenization import IGNORE, Example
from headprint.measure.batching import Budget, collate, in_batches
from headprint.measure.engine import Engine
from headprint.measure.levels import Batch
from headprint.measure.loss import split_head
from headprint.measure.tap import Tap
from headprint.models import frozen
from headprint.models.heads import locate

AUTHORS_LENGTH = 1024
AUTHORS_ROWS = 4


def gsm8k_like(count: int, vocab_size: int, *, seed: int = 0) -> list[Example]:
    """Random tokens in rows of GSM8K's lengths; the completion carries the loss.

    Lengths are log-normal, fitted to the characters of GSM8K's questions (ln-mean 5.47, ln-deviation 0.35) and answers
    (5.39, 0.52), at 3.5 and 2.8 characters per token: about 72 and 90 tokens on average.
    """
    rng = random.Random(seed)
    examples = []
    for number in range(count):
        prompt, completion = round(rng.lognormvariate(4.21, 0.35)), round(rng.lognormvariate(4.36, 0.52))
        ids = [rng.randrange(vocab_size) for _ in range(prompt + completion)]
        examples.append(Example(str(number), ids, [IGNORE] * prompt + ids[prompt:]))
    return examples


def uniform(count: int, length: int, vocab_size: int, *, seed: int = 0) -> list[Example]:
    """Random tokens in rows of one length; the second half carries the loss."""
    rng = random.Random(seed)
    rows = [[rng.randrange(vocab_size) for _ in range(length)] for _ in range(count)]
    half = length // 2
    return [Example(str(n), ids, [IGNORE] * half + ids[half:]) for n, ids in enumerate(rows)]


def authors_recipe(model: nn.Module, batch: Batch) -> Tensor:
    """Levels as the authors' public script takes them: materialised attention with retained gradients.

    Args:
        model: With trainable weights and the eager kernel.
        batch: B padded rows with their attention mask.

    Returns:
        Σ A · ∂L/∂A under the batch's mean token loss, (B, L, H), signed, on the CPU.
    """
    outputs = model(**batch.inputs(), labels=batch.labels, output_attentions=True, use_cache=False)
    for attention in outputs.attentions:
        attention.retain_grad()
    outputs.loss.backward()
    levels = [(a * a.grad).sum((2, 3)).detach().float().cpu() for a in outputs.attentions]
    model.zero_grad(set_to_none=True)
    return torch.stack(levels, dim=1)


@dataclass(frozen=True)
class Timing:
    """One contender's result.

    Attributes:
        seconds: Median over rounds for all of its examples.
        tokens_per_second: Real tokens, padding not counted.
        ratio: Median over rounds of this contender's time per real token over headprint's in the same round.
        ratio_low: Smallest ratio of any round.
        ratio_high: Largest ratio of any round.
        peak_bytes: Peak device memory above the weights, median; None off CUDA.
    """

    seconds: float
    tokens_per_second: float
    ratio: float
    ratio_low: float
    ratio_high: float
    peak_bytes: int | None


def run(
    model: nn.Module,
    examples: Sequence[Example],
    *,
    rounds: int = 5,
    batch_tokens: int | None = None,
    recipe_rows: int = AUTHORS_ROWS,
    recipe_length: int = AUTHORS_LENGTH,
    contenders: Sequence[str] = ("forward", "training step", "authors' recipe"),
) -> dict[str, Any]:
    """Time headprint against its contenders.

    Args:
        model: A causal language model on its device.
        examples: What to measure.
        rounds: Counted rounds, after one that is not.
        batch_tokens: Tokens per batch for headprint, the forward and the training step; None as in extraction.
        recipe_rows: How many of the examples the authors' recipe is given (it is slow; its time per token is compared).
        recipe_length: What the recipe pads to.
        contenders: Which to run beside headprint.

    Returns:
        JSON-able: ``results`` by contender (:class:`Timing`), and how they were taken.
    """
    device = models.input_device(model)
    budget = Budget(device, batch_tokens)
    heads = locate(model)

    def headprint() -> None:
        with frozen(model), Tap(heads.sites) as tap:
            engine = Engine(model, heads, tap, device, budget, "example", "mean", None)
            engine.run(list(examples), lambda count, tokens: None)

    headprint()  # finds the budget, warms up
    lengths, own = [len(example.input_ids) for example in examples], Budget(device, budget.tokens)
    batches = [batch for _, batch in in_batches(lengths, lambda i: collate([examples[n] for n in i], device), own)]
    parts = split_head(model)
    body = parts[0] if parts else model

    def forward() -> None:
        with frozen(model), torch.no_grad():
            for batch in batches:
                body(**batch.inputs(), use_cache=False)

    def training_step() -> None:
        for batch in batches:
            model(**batch.inputs(), labels=batch.labels, use_cache=False).loss.backward()
            model.zero_grad(set_to_none=True)

    few = list(examples)[:recipe_rows]
    padded = [
        with_mask(collate(few[i : i + AUTHORS_ROWS], device, pad_to=recipe_length), few[i : i + AUTHORS_ROWS])
        for i in range(0, len(few), AUTHORS_ROWS)
    ]

    def recipe() -> None:
        with models.using_kernel(model, "eager"):
            for batch in padded:
                authors_recipe(model, batch)

    real = sum(len(example.input_ids) for example in examples)
    real_few = sum(len(example.input_ids) for example in few)
    everything: dict[str, tuple[Callable[[], None], int]] = {
        "headprint": (headprint, real),
        "forward": (forward, real),
        "training step": (training_step, real),
        "authors' recipe": (recipe, real_few),
    }
    chosen = {name: everything[name] for name in ("headprint", *contenders)}
    seconds: dict[str, list[float]] = {name: [] for name in chosen}
    peaks: dict[str, list[int]] = {name: [] for name in chosen}
    for number in range(rounds + 1):
        for name in rotated(list(chosen), number):
            with measured(device) as cost:
                chosen[name][0]()
            if number:
                seconds[name].append(cost["seconds"])
                peaks[name].append(cost["peak"])
    results = {}
    for name, (_, tokens) in chosen.items():
        ratios = [(own / tokens) / (ours / real) for own, ours in zip(seconds[name], seconds["headprint"], strict=True)]
        median = statistics.median(seconds[name])
        results[name] = asdict(
            Timing(
                seconds=median,
                tokens_per_second=tokens / median,
                ratio=statistics.median(ratios),
                ratio_low=min(ratios),
                ratio_high=max(ratios),
                peak_bytes=int(statistics.median(peaks[name])) if device.type == "cuda" else None,
            )
        )
    return {
        "results": results,
        "model": models.describe(model),
        "dtype": models.dtype_name(model),
        "kernel": models.kernel(model),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "examples": len(examples),
        "tokens": real,
        "padded_tokens": sum(batch.input_ids.numel() for batch in batches),
        "batch_tokens": budget.tokens,
        "rounds": rounds,
        "recipe": {"rows": len(few), "tokens": real_few, "length": recipe_length, "batch": AUTHORS_ROWS},
        "versions": provenance.versions(),
    }


def with_mask(batch: Batch, examples: Sequence[Example]) -> Batch:
    """A right-padded batch with its attention mask."""
    lengths = torch.tensor([len(example.input_ids) for example in examples], device=batch.input_ids.device)
    mask = torch.arange(batch.input_ids.shape[1], device=lengths.device) < lengths[:, None]
    return Batch(batch.input_ids, batch.labels, attention_mask=mask.long())


def rotated(names: list[str], by: int) -> list[str]:
    """The names, starting with another one each time."""
    by %= len(names)
    return names[by:] + names[:by]


@contextmanager
def measured(device: torch.device) -> Iterator[dict[str, Any]]:
    """Wall seconds of the block, and on CUDA its peak memory above what was allocated before."""
    cost: dict[str, Any] = {"peak": 0}
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    start = time.perf_counter()
    yield cost
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        cost["peak"] = torch.cuda.max_memory_allocated(device) - before
    cost["seconds"] = time.perf_counter() - start
