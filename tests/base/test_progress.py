"""Progress: plain lines without a terminal, a bar on one, nothing where it is not wanted."""

from __future__ import annotations

import pytest

from headprint.base import progress as module
from headprint.base.progress import progress


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return clock


def test_lines_come_every_few_seconds_and_at_the_end(clock, capsys):
    with progress("extract", 1000, enabled=True) as advance:
        advance(0)
        for seconds in (3.0, 3.0, 1.0, 5.0, 1.0):
            clock.now += seconds
            advance(200, 3000)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "extract: 400 of 1,000 examples, 1,000 tokens/s, 0:00:06 elapsed, about 0:00:09 left",
        "extract: 800 of 1,000 examples, 1,000 tokens/s, 0:00:12 elapsed, about 0:00:03 left",
        "extract: 1,000 of 1,000 examples, 1,154 tokens/s, 0:00:13 elapsed",
    ]


def test_what_a_resumed_run_finished_before_is_no_measure_of_its_pace(clock, capsys):
    with progress("train", 1000, enabled=True, unit="steps") as advance:
        advance(900)
        clock.now += 10
        advance(10)
    assert capsys.readouterr().err.splitlines() == ["train: 910 of 1,000 steps, 0:00:10 elapsed, about 0:01:30 left"]


def test_what_is_under_way_is_named_as_it_is_written(clock, capsys):
    with progress("study", None, enabled=True, unit="jobs") as advance:
        clock.now += 60
        advance(0, under_way="train [b]lab[/b] on math")
        clock.now += 6
        advance(1)
        clock.now += 6
        advance(1, under_way="")
    assert capsys.readouterr().err.splitlines() == [
        "study: 0 jobs, 0:01:00 elapsed (train [b]lab[/b] on math)",
        "study: 1 jobs, 0:01:06 elapsed (train [b]lab[/b] on math)",
        "study: 2 jobs, 0:01:12 elapsed",
    ]


def test_lines_are_as_long_as_they_are(clock, capsys):
    with progress("x" * 200, 2, enabled=True) as advance:
        clock.now += 6
        advance(1)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_work_that_is_soon_done_prints_nothing(clock, capsys):
    with progress("extract", 3, enabled=True) as advance:
        advance(3, 99)
    assert capsys.readouterr() == ("", "")


def test_work_that_fails_has_no_last_line(clock, capsys):
    def work() -> None:
        with progress("extract", 3, enabled=True) as advance:
            clock.now += 6
            advance(1)
            advance(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_nothing_is_shown_where_it_is_not_wanted(clock, capsys):
    with progress("extract", 3, enabled=False) as advance:
        clock.now += 60
        advance(1, 5, under_way="something")
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_there_is_a_bar(clock, capsys, monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "150")
    with progress("extract [raw]", 3, enabled=True, unit="rows") as advance:
        advance(2, under_way="[/b] here")
        advance(1)
    out, err = capsys.readouterr()
    assert out == ""
    for part in ("extract [raw]", "3/3", "rows", "[/b] here"):
        assert part in err
