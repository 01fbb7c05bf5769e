"""Fixtures of the whole suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.numerics import float64_throughout


@pytest.fixture
def in_float64() -> Iterator[None]:
    """Run the test with float64 models in float64 throughout."""
    with float64_throughout():
        yield
