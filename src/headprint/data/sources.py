"""Data sources by scheme: ``lab:math`` asks the source that is registered as ``lab`` for ``math``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any, Protocol, TypeAlias

from headprint.base.registry import Registry

Source: TypeAlias = str | PathLike[str] | Iterable[Mapping[str, Any]]
"""A file, a folder, a hub id, ``SCHEME:NAME``, or rows in memory (a list, or an object of ``datasets``)."""


class DataSource(Protocol):
    """What is registered under a scheme."""

    def __call__(self, name: str, split: str) -> Source:
        """Find a data set.

        Args:
            name: What follows the scheme and the colon.
            split: Which split is asked for, such as ``"train"``.

        Returns:
            Its rows, anew at every call; or another source, such as the path of a file.

        Raises:
            InputError: There is no such data set, or it has no such split.
        """
        ...


SOURCES: Registry[DataSource] = Registry("headprint.sources", "data source", {"lab": "headprint.lab:find_rows"})
"""Data sources by scheme."""


def scheme_of(source: object) -> str | None:
    """The registered scheme that a source's name begins with, such as ``"lab"`` of ``lab:math``; None without one."""
    if not isinstance(source, str):
        return None
    scheme, colon, _ = source.partition(":")
    return scheme if colon and scheme in SOURCES else None


def without_scheme(source: str) -> str:
    """A source's name without the scheme: ``math`` for ``lab:math``, and a path as it is."""
    scheme = scheme_of(source)
    return source if scheme is None else source.removeprefix(f"{scheme}:")
