"""What a chapter is: the code of one claim, from its jobs to what a reader sees of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Generic, TypeVar

ExhibitT = TypeVar("ExhibitT")


@dataclass(frozen=True)
class Chapter(Generic[ExhibitT]):
    """One claim of the paper, or a question of our own.

    Attributes:
        name: In messages, and the attribute of the results that holds its exhibit.
        exhibit: A record whose fields are keys of ``exhibits`` in ``results.json``.
    """

    name: str
    exhibit: type[ExhibitT]

    @property
    def exhibits(self) -> tuple[str, ...]:
        """Keys of ``exhibits`` in ``results.json``."""
        return tuple(field.name for field in fields(self.exhibit))  # type: ignore[arg-type]
