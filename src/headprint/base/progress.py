"""One progress bar: examples done, tokens per second, time left; on stderr, so that stdout stays for results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    """Called after each step with the examples and tokens it finished."""

    def __call__(self, examples: int, tokens: int = 0) -> None:
        """Add to what is done."""


@contextmanager
def progress(label: str, total: int | None, *, enabled: bool) -> Iterator[Advance]:
    """Show a bar while the block runs.

    Args:
        label: What is being done.
        total: Examples in all, or None if unknown (the bar then pulses).
        enabled: False shows nothing.
    """
    if not enabled:
        yield lambda examples, tokens=0: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=False) as bar:
        task = bar.add_task(label, total=total, rate="")
        seen = 0

        def advance(examples: int, tokens: int = 0) -> None:
            nonlocal seen
            seen += tokens
            elapsed = bar.tasks[0].elapsed or 0.0
            rate = f"{seen / elapsed:,.0f} tokens/s" if seen and elapsed else ""
            bar.update(task, advance=examples, rate=rate)

        yield advance
