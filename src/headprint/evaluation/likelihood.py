"""Losses of tokenised rows, forward only: batches are made once and run as often as needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from headprint import models
from headprint.base.errors import InputError
from headprint.base.options import LossOn
from headprint.data import Example, check_limits, row_id, tokenize_row
from headprint.measure.batching import CPU_TOKENS, collate, is_out_of_memory, take
from headprint.measure.levels import Batch
from headprint.measure.loss import labelled_rows, rows_per_chunk, supervised_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.data.chat import Tokenizer
    from headprint.data.rows import Row

_GPU_TOKENS = 2**14


def examples_of(
    rows: Sequence[Row],
    tokenizer: Tokenizer | None,
    *,
    loss_on: LossOn = "auto",
    context: int | None = None,
    vocabulary: int | None = None,
) -> list[Example]:
    """Tokenize rows as training does, without truncation.

    Args:
        rows: N rows.
        tokenizer: Theirs; None for pre-tokenised rows.
        loss_on: Which tokens have a loss.
        context: How many tokens the model can read; None for no limit.
        vocabulary: Token ids and labels must be below this; None for no limit. With a model, pass both of
            :func:`headprint.models.limits`.

    Raises:
        InputError: A row is broken, has no token with a loss, or is more than the model can read; with its place.
    """
    examples = []
    for number, row in enumerate(rows):
        example = tokenize_row(row, tokenizer, loss_on=loss_on, example_id=row_id(row, number))
        if not example.supervised:
            raise InputError(f"{row.place}: no token with a loss; give the row a completion, or set loss=False")
        check_limits(example, row.place, context=context, vocabulary=vocabulary)
        examples.append(example)
    return examples


def token_losses(model: nn.Module, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
    """The negative log-likelihood of every labelled token in nats, (B, T), zero elsewhere.

    As :func:`headprint.measure.loss.backward` without the backward: logits are made of labelled positions only, by the
    model's own head code, a chunk at a time.

    Args:
        model: A causal language model.
        inputs: ``input_ids`` (B, T) and what else the forward takes.
        labels: (B, T), unshifted; -100 where no loss.
    """
    where = F.pad(supervised_mask(labels), (1, 0))
    with torch.no_grad():
        rows, head = labelled_rows(model, inputs, where[:, 1:])
        targets = labels[where].to(rows.device)
        wide = torch.promote_types(rows.dtype, torch.float32)
        step = rows_per_chunk(model, rows.device)
        chunks = [
            F.cross_entropy(head(rows[start : start + step]).to(wide), targets[start : start + step], reduction="none")
            for start in range(0, len(rows), step)
        ]
        nll = torch.cat(chunks) if chunks else rows.new_empty(0, dtype=wide)
        return torch.zeros(labels.shape, dtype=wide, device=nll.device).masked_scatter_(where.to(nll.device), nll)


class HeldOut:
    """Tokenised rows as right-padded batches of rows of like length, ready to be run again and again.

    Args:
        model: A causal language model, in evaluation mode where it is run.
        examples: N examples, each with a supervised token.
        batch_tokens: Tokens per batch at most, padding counted; None chooses. Halved where memory runs out.
    """

    def __init__(self, model: nn.Module, examples: Sequence[Example], *, batch_tokens: int | None = None) -> None:
        self.model = model
        device = models.input_device(model)
        budget = batch_tokens or (CPU_TOKENS if device.type == "cpu" else _GPU_TOKENS)
        self._examples = examples
        self._batches: list[tuple[list[int], Batch]] = []
        left = sorted(range(len(examples)), key=lambda i: -len(examples[i].input_ids))
        while left:
            count = take(len(examples[left[0]].input_ids), len(left), budget)
            self._batches.append(self._collated(left[:count], device))
            left = left[count:]

    def _collated(self, chosen: list[int], device: torch.device) -> tuple[list[int], Batch]:
        return chosen, collate([self._examples[i] for i in chosen], device)

    def batches(self) -> Iterator[tuple[Tensor, Batch]]:
        """Every batch with what in it is a token and not padding, (B, T)."""
        for chosen, batch in self._batches:
            lengths = torch.tensor([len(self._examples[i].input_ids) for i in chosen])
            yield torch.arange(batch.input_ids.shape[1]) < lengths[:, None], batch

    def sums(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Summed token losses in nats (N,), and how many tokens they are of (N,).

        Raises:
            InputError: One row alone does not fit in memory.
        """
        sums, counts = np.empty(len(self._examples)), np.empty(len(self._examples), np.int64)
        at = 0
        while at < len(self._batches):
            chosen, batch = self._batches[at]
            nll = self._run(batch)
            if nll is None:
                self._split(at)
                continue
            sums[chosen] = nll.double().sum(1).cpu().numpy()
            counts[chosen] = supervised_mask(batch.labels).sum(1).cpu().numpy()
            at += 1
        return sums, counts

    def losses(self) -> NDArray[np.float64]:
        """Each row's mean token loss in nats, (N,), in the order of the examples.

        Raises:
            InputError: One row alone does not fit in memory.
        """
        sums, counts = self.sums()
        return sums / counts

    def _run(self, batch: Batch) -> Tensor | None:
        try:
            return token_losses(self.model, batch.inputs(), batch.labels)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        return None  # outside the except clause, so that the traceback no longer holds the activations

    def _split(self, at: int) -> None:
        """Put two halves in the place of a batch that did not fit."""
        chosen, batch = self._batches[at]
        if len(chosen) == 1:
            raise InputError(
                f"out of memory on a row of {batch.input_ids.shape[1]} tokens (id {self._examples[chosen[0]].id!r}): "
                "use a lower precision, or drop the row"
            )
        half = len(chosen) // 2
        device = batch.input_ids.device
        self._batches[at : at + 1] = [self._collated(part, device) for part in (chosen[:half], chosen[half:])]
        if device.type == "cuda":
            torch.cuda.empty_cache()
