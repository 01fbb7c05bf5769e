"""Rows to batches: longest first, as many as a token budget allows, half as many where memory runs out.

Whatever runs a model over many rows (measuring, losses, generation, the benchmark) does it by :func:`in_batches`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

from headprint.base.errors import InputError
from headprint.data.tokenization import IGNORE, Example
from headprint.measure.levels import Batch

CPU_TOKENS = 512
"""Tokens per batch on a CPU, which is fastest while a layer's activations fit its cache (benchmarks/results/cpu.md)."""

GPU_TOKENS = 2**16
"""Tokens per batch at most on a GPU: matrix products gain nothing from more rows than this."""

Result = TypeVar("Result")


class Budget:
    """How many tokens a batch may hold, padding included.

    On a CPU the budget is constant. On a CUDA device the first full batch is small and its peak memory is measured;
    the budget then grows to fill four fifths of the free memory. Running out of memory halves it. A budget that is used
    again starts where the last use left it.

    Args:
        device: Where the batches run.
        tokens: A fixed budget; None finds one.
        start: The first budget where ``tokens`` is None.
    """

    def __init__(self, device: torch.device, tokens: int | None = None, *, start: int = CPU_TOKENS) -> None:
        self._device = device
        self._measuring = tokens is None and device.type == "cuda"
        self.tokens = tokens or start

    @contextmanager
    def watching(self, tokens: int) -> Iterator[None]:
        """Measure the memory of the block, which runs a batch of so many tokens, if the budget still has to grow."""
        if not self._measuring:
            yield
            return
        cuda = torch.cuda
        cuda.reset_peak_memory_stats(self._device)
        before = cuda.memory_allocated(self._device)
        yield
        peak = cuda.max_memory_allocated(self._device) - before
        cached = cuda.memory_reserved(self._device) - cuda.memory_allocated(self._device)
        free = cuda.mem_get_info(self._device)[0] + cached
        if 2 * tokens >= self.tokens:  # a smaller batch says little about a full one
            self.tokens = max(self.tokens, min(GPU_TOKENS, int(0.8 * free * tokens / max(peak, 1))))
            self._measuring = False

    def halve(self, tokens: int) -> None:
        """Allow half of what a batch of so many tokens needed when it ran out of memory."""
        self._measuring = False
        self.tokens = max(1, min(self.tokens, tokens) // 2)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


class OutOfMemory(InputError):
    """A batch that cannot be split any further does not fit in memory.

    Attributes:
        rows: Indices of its rows.
        length: Tokens of its longest row.
    """

    def __init__(self, rows: list[int], length: int) -> None:
        super().__init__(f"out of memory on {len(rows)} row(s) of {length} tokens: use a lower precision, or drop them")
        self.rows = rows
        self.length = length


def in_batches(
    lengths: Sequence[int],
    run: Callable[[list[int]], Result],
    budget: Budget,
    *,
    rows: int | None = None,
    as_given: bool = False,
) -> Iterator[tuple[list[int], Result]]:
    """Run a function on every row, batch by batch.

    The longest rows come first, so that what does not fit in memory shows at once and little is padding. A batch that
    runs out of memory is split, and the budget stays halved; finished batches are not run again::

        for chosen, found in in_batches([len(row) for row in rows], lambda chosen: run(chosen), Budget(device)):
            results[chosen] = found

    Args:
        lengths: Tokens of each of the N rows, with the room that a row needs beyond its own tokens.
        run: Called with the indices of a batch's rows.
        budget: Tokens per batch; a longer row is a batch of its own. Changed in place.
        rows: Rows per batch at most.
        as_given: Make batches of exactly ``rows`` rows in their own order, whatever they hold, and never split them.

    Yields:
        The indices of a batch's rows, and what ``run`` returned.

    Raises:
        OutOfMemory: One row alone, or a batch of ``as_given``, does not fit in memory.
    """
    left = list(range(len(lengths)))
    if not as_given:
        left.sort(key=lambda i: -lengths[i])
    while left:
        fitting = max(1, budget.tokens // lengths[left[0]])  # a row longer than the budget is a batch of its own
        chosen = left[: rows if as_given else min(fitting, rows or fitting)]
        longest = max(lengths[i] for i in chosen)
        tokens = len(chosen) * longest
        try:
            with budget.watching(tokens):
                found = run(chosen)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            left = left[len(chosen) :]
            yield chosen, found
            continue
        # Outside the except clause, so that the traceback no longer holds the activations.
        if len(chosen) == 1 or as_given:
            raise OutOfMemory(chosen, longest)
        budget.halve(tokens)


def collate(examples: Sequence[Example], device: torch.device | str = "cpu", *, pad_to: int = 0) -> Batch:
    """Right-padded tensors (B, T); no attention mask is needed (:class:`headprint.measure.levels.Batch`).

    Args:
        examples: B examples.
        device: Where the tensors go.
        pad_to: T at least.
    """
    width = max(pad_to, *(len(example.input_ids) for example in examples))

    def padded(rows: Iterable[Sequence[int]], fill: int) -> Tensor:
        lines = [list(row) + [fill] * (width - len(row)) for row in rows]
        return torch.tensor(lines, dtype=torch.long).to(device)

    return Batch(
        input_ids=padded((example.input_ids for example in examples), 0),
        labels=padded((example.labels for example in examples), IGNORE),
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on a GPU or on the host."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )
