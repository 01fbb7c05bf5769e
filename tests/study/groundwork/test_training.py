"""Trainings in an exact number of steps."""

from __future__ import annotations

import math

import pytest

from headprint.base.errors import InputError
from headprint.study.groundwork.training import one_pass


@pytest.mark.parametrize("at_once", [1, 4, 16])
@pytest.mark.parametrize("steps", [1, 5, 12, 25])
def test_one_pass_takes_every_row_once_in_exactly_so_many_steps(at_once: int, steps: int) -> None:
    for given in (1, 3, 12, 31, 100, 377, 400, 401):
        source = [{"id": str(i)} for i in range(given)]
        if 2 * given < steps:
            with pytest.raises(InputError, match=f"{given} rows were chosen, too few for {steps} steps"):
                one_pass(source, {"per_device_train_batch_size": at_once}, steps)
            continue
        rows, fields = one_pass(source, {"per_device_train_batch_size": at_once}, steps)
        size, parts = fields["per_device_train_batch_size"], fields["gradient_accumulation_steps"]
        assert size <= at_once
        assert math.ceil(math.ceil(len(rows) / size) / parts) == steps
        assert rows[:given] == source[: len(rows)]
        assert len({row["id"] for row in rows}) == len(rows)
        if given >= steps:
            # Of two batch sizes the nearer one is taken, so at most half of a step's rows is missing, or too many.
            assert abs(len(rows) - given) <= max(parts * size, steps * parts) / 2
        if given >= steps**2:
            assert abs(len(rows) - given) <= parts * steps / 2
