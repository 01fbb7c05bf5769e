"""How far the work is: a bar on a terminal, plain lines elsewhere; on stderr, so that stdout stays for results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console

SECONDS_BETWEEN_LINES = 5.0
"""Without a terminal: work that is done sooner prints nothing."""


class Advance(Protocol):
    """Called after each step, and whenever something else is under way."""

    def __call__(self, done: int, tokens: int = 0, *, under_way: str | None = None) -> None:
        """Add to what is done.

        Args:
            done: Units that were finished: examples, steps or jobs.
            tokens: Tokens that were finished, for a rate.
            under_way: What is being worked on from now on; None is what it was.
        """


@contextmanager
def progress(label: str, total: int | None, *, enabled: bool, unit: str = "examples") -> Iterator[Advance]:
    """Show progress while the block runs.

    Args:
        label: What is being done.
        total: Units in all, or None if unknown (a bar then pulses).
        enabled: False shows nothing.
        unit: What is counted, in the plural.
    """
    if not enabled:
        yield lambda done, tokens=0, *, under_way=None: None
        return
    from rich.console import Console

    console = Console(stderr=True)
    with (_bar if console.is_terminal else _lines)(console, label, total, unit) as advance:
        yield advance


@contextmanager
def _bar(console: Console, label: str, total: int | None, unit: str) -> Iterator[Advance]:
    from rich.markup import escape
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
        TextColumn(unit),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[under_way]}"),
    )
    with Progress(*columns, console=console, transient=False) as bar:
        task = bar.add_task(escape(label), total=total, rate="", under_way="")
        seen = 0

        def advance(done: int, tokens: int = 0, *, under_way: str | None = None) -> None:
            nonlocal seen
            seen += tokens
            bar.update(task, advance=done, rate=_rate(seen, bar.tasks[0].elapsed or 0.0))
            if under_way is not None:
                bar.update(task, under_way=escape(under_way))

        yield advance


@contextmanager
def _lines(console: Console, label: str, total: int | None, unit: str) -> Iterator[Advance]:
    start = last = monotonic()
    finished = seen = printed = 0
    first: tuple[int, float] | None = None  # a resumed run first says what was finished before
    now_doing = ""

    def say(now: float) -> None:
        nonlocal last, printed
        last, printed = now, finished
        elapsed = now - start
        parts = [f"{finished:,} of {total:,} {unit}" if total is not None else f"{finished:,} {unit}"]
        parts += [rate] if (rate := _rate(seen, elapsed)) else []
        parts.append(f"{_time(elapsed)} elapsed")
        if total is not None and first and first[0] < finished < total:
            pace = (now - first[1]) / (finished - first[0])
            parts.append(f"about {_time(pace * (total - finished))} left")
        doing = f" ({now_doing})" if now_doing else ""
        console.print(f"{label}: {', '.join(parts)}{doing}", markup=False, highlight=False, soft_wrap=True)

    def advance(done: int, tokens: int = 0, *, under_way: str | None = None) -> None:
        nonlocal finished, seen, first, now_doing
        finished, seen = finished + done, seen + tokens
        now_doing = now_doing if under_way is None else under_way
        now = monotonic()
        first = first or (finished, now)
        if now - last >= SECONDS_BETWEEN_LINES:
            say(now)

    yield advance
    if last > start and printed < finished:
        now_doing = ""
        say(monotonic())


def _rate(tokens: int, seconds: float) -> str:
    return f"{tokens / seconds:,.0f} tokens/s" if tokens and seconds else ""


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
