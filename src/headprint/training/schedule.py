"""At which steps of a training something is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from headprint.base.errors import InputError

Every = int | Sequence[int] | Literal["dense"]
"""``"dense"``: 0, 1, 2, 4, 8, ... and the last; an integer k: 0, k, 2k, ... and the last; or exactly these steps."""


@dataclass(frozen=True)
class Schedule:
    """Steps, counted in optimizer steps; 0 is before the first.

    Raises:
        InputError: It is none of :data:`Every`.
    """

    every: Every

    def __post_init__(self) -> None:
        given: Any = self.every
        if given == "dense":
            return
        listed = isinstance(given, Sequence)
        steps = list(given) if listed else [given]
        if not steps or any(type(step) is not int or step < (0 if listed else 1) for step in steps):
            raise InputError(
                f"every is {self.every!r}: give 'dense' (0, 1, 2, 4, 8, ...), a number of steps from 1, or a list "
                "of steps from 0"
            )

    def due(self, step: int, *, last: bool = False) -> bool:
        """Whether to measure after so many steps.

        Args:
            step: Optimizer steps done.
            last: There will be no more.
        """
        if self.every == "dense":
            return last or step & (step - 1) == 0
        if isinstance(self.every, int):
            return last or step % self.every == 0
        return step in self.every
