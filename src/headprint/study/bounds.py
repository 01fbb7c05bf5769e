"""Types of a config's fields, with the bounds that they keep to."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Annotated, TypeAlias, TypeVar

from pydantic import AfterValidator, Field, StringConstraints

Item = TypeVar("Item", bound=Hashable)

_MOST = 1_000_000

Count: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=_MOST)]
"""How many of something there are: one at least."""

CountOrNone: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=_MOST)]
"""How many of something there are; 0 for none."""

Tokens: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]
"""A budget of tokens."""

Seed: TypeAlias = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
"""What every random generator takes: NumPy's the fewest."""

Name: TypeAlias = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^/\\\x00-\x1f.][^/\\\x00-\x1f]*$")
]
"""Of a task or a model. It names folders, so it holds no slash and does not start with a dot."""


def _distinct(values: Sequence[Item]) -> Sequence[Item]:
    for i, value in enumerate(values):
        if value in values[:i]:
            raise ValueError(f"{value!r} is there twice")
    return values


Distinct = Annotated[list[Item], Field(min_length=1), AfterValidator(_distinct)]
"""A list of one thing or more, each once."""
