"""At which steps something is measured."""

from __future__ import annotations

import pytest

from headprint.base.errors import InputError
from headprint.training.schedule import Schedule


@pytest.mark.parametrize(
    ("every", "due"),
    [("dense", [0, 1, 2, 4, 8, 11]), (4, [0, 4, 8, 11]), ([0, 5, 50], [0, 5]), ((3,), [3]), (1, list(range(12)))],
)
def test_schedules(every, due) -> None:
    schedule = Schedule(every)
    assert [step for step in range(12) if schedule.due(step, last=step == 11)] == due


@pytest.mark.parametrize("every", ["sparse", 0, -3, 2.5, True, [], [1, -1], [0.5], None])
def test_schedules_that_make_no_sense(every) -> None:
    with pytest.raises(InputError, match=r"every is .*dense"):
        Schedule(every)
