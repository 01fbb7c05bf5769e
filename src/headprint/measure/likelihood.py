"""Losses and hidden states of tokenised rows, forward only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from headprint import models
from headprint.base.errors import InputError
from headprint.base.options import LossOn
from headprint.data import Example, check_limits, row_id, tokenize_row
from headprint.measure.batching import CPU_TOKENS, Budget, OutOfMemory, Result, collate, in_batches
from headprint.measure.levels import Batch
from headprint.measure.loss import labelled_rows, rows_per_chunk, split_head, supervised_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.data import Row
    from headprint.data.chat import Tokenizer

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


def last_hidden_states(model: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
    """The hidden states that the model's head reads, (B, T, width), without making logits where that can be avoided.

    Args:
        model: A causal language model.
        inputs: ``input_ids`` (B, T) and what else the forward takes.
    """
    parts = split_head(model)
    with torch.no_grad():
        hidden: Tensor = (
            model(**inputs, use_cache=False, output_hidden_states=True).hidden_states[-1]
            if parts is None
            else parts[0](**inputs, use_cache=False)[0]
        )
    return hidden


class HeldOut:
    """Tokenised rows whose losses are taken again and again, in batches of rows of similar length.

    Every run has the same batches, unless memory ran out in one before: differences between runs are then those of
    the model, and not of rounding.

    Args:
        model: A causal language model, in evaluation mode where it is run.
        examples: N examples, each with a supervised token.
        batch_tokens: Tokens per batch at most, padding included; None chooses. Halved when memory runs out.
    """

    def __init__(self, model: nn.Module, examples: Sequence[Example], *, batch_tokens: int | None = None) -> None:
        self.model = model
        self._examples = examples
        self._device = models.input_device(model)
        # A fixed budget: one that grew after the first batch would make other batches in the next run.
        self._budget = Budget(self._device, batch_tokens or (CPU_TOKENS if self._device.type == "cpu" else _GPU_TOKENS))

    def run(self, function: Callable[[Batch, Tensor], Result]) -> Iterator[tuple[list[int], Result]]:
        """Apply a function to every batch and the mask of its tokens that are not padding, (B, T).

        Yields:
            The indices of the batch's examples, and what the function returned.

        Raises:
            InputError: One row alone does not fit in memory.
        """
        lengths = [len(example.input_ids) for example in self._examples]

        def apply(chosen: list[int]) -> Result:
            batch = collate([self._examples[i] for i in chosen], self._device)
            real = torch.arange(batch.input_ids.shape[1]) < torch.tensor([lengths[i] for i in chosen])[:, None]
            return function(batch, real)

        try:
            yield from in_batches(lengths, apply, self._budget)
        except OutOfMemory as error:
            (row,) = error.rows
            raise InputError(
                f"out of memory on a row of {error.length} tokens (id {self._examples[row].id!r}): use a lower "
                "precision, or drop the row"
            ) from error

    def sums(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the summed token losses of each row in nats (N,), and how many tokens they are of (N,).

        Raises:
            InputError: One row alone does not fit in memory.
        """

        def summed(batch: Batch, real: Tensor) -> NDArray[np.float64]:
            nll: NDArray[np.float64] = (
                token_losses(self.model, batch.inputs(), batch.labels).double().sum(1).cpu().numpy()
            )
            return nll

        sums = np.empty(len(self._examples))
        for chosen, nll in self.run(summed):
            sums[chosen] = nll
        return sums, np.array([example.supervised for example in self._examples], np.int64)

    def losses(self) -> NDArray[np.float64]:
        """Return the mean token loss of each row in nats, (N,), in the order of the examples.

        Raises:
            InputError: One row alone does not fit in memory.
        """
        sums, counts = self.sums()
        return sums / counts
