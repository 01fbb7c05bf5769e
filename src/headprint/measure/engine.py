"""One shard of examples through the model, in batches that fit; results in input order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from headprint.base.errors import InputError
from headprint.base.options import Block, Loss, Objective, Placement
from headprint.data import Example
from headprint.measure.batching import Budget, OutOfMemory, collate, in_batches
from headprint.measure.levels import measure
from headprint.measure.tap import Tap
from headprint.models.heads import HeadMap
from headprint.patterns import Shard


@dataclass
class Engine:
    """A frozen model, ready to measure shard after shard.

    Attributes:
        model: The model (:func:`headprint.models.frozen`).
        heads: Its heads.
        tap: An open tap on them.
        device: Where its input goes.
        budget: Tokens per batch.
        placement: Where the absolute value goes.
        loss: How the tokens' losses are weighted.
        rows: Examples per batch at most; exactly this many, in input order, under the batch-mean loss.
        objective: What is differentiated.
    """

    model: nn.Module
    heads: HeadMap
    tap: Tap
    device: torch.device
    budget: Budget
    placement: Placement
    loss: Loss
    rows: int | None
    objective: Objective = "loss"
    _zeros_explained: bool = field(default=False, init=False)

    @property
    def layout(self) -> dict[Block, tuple[int, ...]]:
        """The shape of an example's sketches, as far as the tap makes them: (L, H, K) of heads, (L, R) of MLPs."""
        found: dict[Block, tuple[int, ...]] = {}
        if self.tap.sketch:
            found["heads"] = (self.heads.layers, self.heads.heads, self.tap.sketch.size)
        if self.tap.sketch and self.tap.mlps:
            found["mlp"] = (self.heads.layers, self.tap.sketch.side**2)
        return found

    def run(self, examples: list[Example], advance: Callable[[int, int], None]) -> Shard:
        """Measure some examples.

        Args:
            examples: n examples.
            advance: Called after each batch with its examples and real tokens.

        Returns:
            ids, levels (n, L, H) float32 with NaN where there is no head, mean losses (n,), supervised tokens (n,), and
            the sketches of :attr:`layout`.

        Raises:
            InputError: One example alone does not fit in memory, or its loss or a level is not finite.
        """
        n = len(examples)
        levels = np.full((n, self.heads.layers, self.heads.heads), np.nan, np.float32)
        sketches = {block: np.full((n, *shape), np.nan, np.float32) for block, shape in self.layout.items()}
        losses = np.empty(n, np.float32)
        layers = [site.layer for site in self.heads.sites]
        lengths = [len(example.input_ids) for example in examples]

        def run(chosen: list[int]) -> tuple[Tensor, Tensor]:
            batch = collate([examples[i] for i in chosen], self.device)
            return measure(
                self.model, self.tap, batch, placement=self.placement, loss=self.loss, objective=self.objective
            )

        batches = in_batches(lengths, run, self.budget, rows=self.rows, as_given=self.loss == "batch-mean")
        try:
            for chosen, (values, nll) in batches:
                self._check_finite([examples[i] for i in chosen], values, nll)
                levels[np.ix_(chosen, layers)] = values.numpy()
                if self.tap.sketch:
                    sketches["heads"][np.ix_(chosen, layers)] = self.tap.sketches().numpy()
                if self.tap.mlps:
                    sketches["mlp"][np.ix_(chosen, self.tap.mlps.layers)] = self.tap.mlps.sketches().numpy()
                losses[chosen] = nll.numpy()
                advance(len(chosen), sum(lengths[i] for i in chosen))
        except OutOfMemory as error:
            raise InputError(
                f"out of memory on {len(error.rows)} example(s) of {error.length} tokens "
                f"(id {examples[error.rows[0]].id!r} …): "
                "use checkpointing, a smaller max_length, or a lower precision"
            ) from None
        tokens = [example.supervised for example in examples]
        return Shard([example.id for example in examples], levels, losses, np.array(tokens, np.int32), sketches)

    def _check_finite(self, batch: list[Example], levels: Tensor, losses: Tensor) -> None:
        present = torch.tensor([site.heads for site in self.heads.sites])[:, None] > torch.arange(levels.shape[-1])
        finite = losses.isfinite() & (levels.isfinite() | ~present).all((1, 2))
        if not finite.all():
            first = int((~finite).nonzero()[0])
            raise InputError(
                f"example {batch[first].id!r}: its loss is {losses[first].item():.4g} and a level is not finite"
                f"{self._broken_weights()}; "
                "check the model's weights, or use a wider dtype (float16 overflows, bfloat16 and float32 do not)"
            )
        # Fused kernels turn scores of NaN into an output of zero, so that the loss stays finite. No head is exactly
        # zero otherwise, unless its weights are, so the weights are searched where one is, and only once.
        if not self._zeros_explained and ((levels == 0) & present).any():
            if broken := self._broken_weights():
                raise InputError(f"the levels of a head are 0{broken}: repair the model's weights")
            self._zeros_explained = True

    def _broken_weights(self) -> str:
        for name, parameter in self.model.named_parameters():
            if parameter.is_floating_point() and not parameter.isfinite().all():
                return f", and {name} holds numbers that are not finite"
        return ""
