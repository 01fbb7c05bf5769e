"""Examples to batches: a token budget that finds itself, right-padded tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from headprint.data.tokenization import IGNORE, Example
from headprint.measure.levels import Batch

CPU_TOKENS = 512
"""A CPU is fastest while a layer's activations fit its cache (measured: benchmarks/results/cpu.md)."""

GPU_TOKENS = 2**16
"""Beyond this a batch's matrix products gain nothing from more rows."""


class Budget:
    """How many tokens, padding counted, a batch may hold.

    On a CPU it is a constant. On a CUDA device the first full batch is small and its peak memory is measured; the
    budget then grows to fill four fifths of what is free. Running out of memory halves it.

    Args:
        device: Where the batches run.
        tokens: A fixed budget, or None.
    """

    def __init__(self, device: torch.device, tokens: int | None = None) -> None:
        self._device = device
        self._measuring = tokens is None and device.type == "cuda"
        self.tokens = tokens or CPU_TOKENS

    @contextmanager
    def watching(self, tokens: int) -> Iterator[None]:
        """Wrap the run of a batch of so many tokens."""
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
        """A batch of so many tokens ran out of memory."""
        self._measuring = False
        self.tokens = max(1, min(self.tokens, tokens) // 2)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def take(longest: int, left: int, budget: int, rows: int | None = None) -> int:
    """How many of the next examples make a batch.

    Args:
        longest: Tokens of the longest of them.
        left: Examples there are.
        budget: Tokens at most, padding counted.
        rows: Examples at most.

    Returns:
        At least 1: an example longer than the budget is a batch of its own.
    """
    return max(1, min(budget // longest, left, rows or left))


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
