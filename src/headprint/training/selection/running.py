"""A model and the tokenised rows of target and pool, for selectors that run the one over the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headprint import models
from headprint.analysis.selection import SelectionInputs
from headprint.base.errors import InputError
from headprint.base.progress import progress
from headprint.data import Example, ExampleStream
from headprint.measure.levels import Batch
from headprint.measure.likelihood import HeldOut, token_losses


@dataclass(frozen=True)
class Running:
    """A frozen model, and the rows as it reads them.

    Attributes:
        model: The model.
        tokenizer: Its tokenizer; None for pre-tokenised rows.
        target: Q examples.
        pool: M examples.
        show_progress: Whether passes show a progress bar.
    """

    model: nn.Module
    tokenizer: Any
    target: list[Example]
    pool: list[Example]
    show_progress: bool

    def over(
        self, examples: list[Example], function: Callable[[Batch, Tensor], Tensor], *, model: nn.Module | None = None
    ) -> NDArray[Any]:
        """Apply a function to batches of examples.

        Args:
            examples: n examples.
            function: From a batch and the mask of its tokens that are not padding, (B, T), to one value a row, (B, …).
            model: The model, where it is not :attr:`model`.

        Returns:
            (n, …) in the order of the examples.
        """
        found: dict[int, Tensor] = {}
        with progress("score", len(examples), enabled=self.show_progress) as bar:
            for chosen, values in HeldOut(model or self.model, examples).run(function):
                found.update(zip(chosen, values, strict=True))
                bar(len(chosen))
        # float64, since NumPy has no bfloat16
        return torch.stack([found[index].double().cpu() for index in range(len(examples))]).numpy()

    def losses(self, examples: list[Example], *, model: nn.Module | None = None) -> NDArray[np.float64]:
        """Return each example's mean token loss in nats, (n,); NaN for one without a token to predict."""
        which = model or self.model
        sums = self.over(
            examples, lambda batch, _: token_losses(which, batch.inputs(), batch.labels).sum(1), model=which
        )
        counts = np.array([example.supervised for example in examples], np.float64)
        means: NDArray[np.float64] = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
        return means


@contextmanager
def running(inputs: SelectionInputs) -> Iterator[Running]:
    """Load the model where it was given by name, tokenise the rows as the pool's were, and freeze the model.

    Raises:
        InputError: A model or rows were not given, or the model cannot read a row.
    """
    target, pool = inputs.rows_of_query(), inputs.rows_of_pool()
    model, tokenizer = models.resolve(inputs.required_model(), inputs.tokenizer)
    read = reader(model, tokenizer, inputs.pool.provenance)
    examples = read(pool)
    if len(examples) != len(inputs.pool):
        raise InputError(
            f"{len(inputs.pool) - len(examples):,} rows of the pool have no token to learn as this model reads them: "
            "extract the pool with this model"
        )
    with models.frozen(model):
        yield Running(model, tokenizer, read(target), examples, inputs.show_progress)


def reader(
    model: nn.Module, tokenizer: Any, provenance: Mapping[str, Any]
) -> Callable[[list[dict[str, Any]]], list[Example]]:
    """Return the function that turns rows into examples by the settings that a pattern set was extracted with.

    Args:
        model: Sets what a row may hold.
        tokenizer: Its tokenizer; None for pre-tokenised rows.
        provenance: Of the pattern set.
    """
    settings = {"loss_on": provenance.get("loss_on", "auto"), "max_length": provenance.get("max_length")}
    return lambda rows: list(ExampleStream(rows, tokenizer, **settings, **models.limits(model)))
