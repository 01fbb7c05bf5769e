"""Things that are chosen by name (data sources, models, scorers, selectors), and how other packages add to them.

The package's own entries are a table in the code; an installed package adds entries through an entry point, such as
this one in its ``pyproject.toml``::

    [project.entry-points."headprint.scorers"]
    rouge = "my_package.scoring:rouge"

See https://packaging.python.org/en/latest/specifications/entry-points/.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar, cast

from headprint.base.errors import InputError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Entries of one kind by name. Nothing is imported before it is used.

    Attributes:
        group: The entry point group that packages register under, such as ``"headprint.scorers"``.
        kind: What an entry is called in messages, such as ``"scorer"``.
    """

    def __init__(self, group: str, kind: str, builtin: Mapping[str, str]) -> None:
        """Name the group and the package's own entries.

        Args:
            group: The entry point group.
            kind: What an entry is called in messages.
            builtin: The package's own entries: name to ``"module:attribute"``, as an entry point has it. They need no
                installation, and no other package can replace them.
        """
        self.group = group
        self.kind = kind
        self._builtin = dict(builtin)

    def __contains__(self, name: object) -> bool:
        """Whether there is an entry of this name."""
        return name in self._builtin or (isinstance(name, str) and bool(entry_points(group=self.group, name=name)))

    def names(self) -> list[str]:
        """The names of all entries: the package's own, then those of other packages in alphabetical order."""
        added = {entry.name for entry in entry_points(group=self.group)} - self._builtin.keys()
        return [*self._builtin, *sorted(added)]

    def load(self, name: str) -> T:
        """Import the entry of this name.

        Raises:
            InputError: There is none; two packages register it; or the package that does cannot be imported.
        """
        entry = self._entry(name)
        try:
            return cast(T, entry.load())
        except Exception as error:  # whatever the code of another package raises
            if entry.dist is None:
                raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise InputError(
                f"the {self.kind} {name!r} of the package {entry.dist.name} cannot be loaded "
                f"({entry.value}: {reason}): update that package or uninstall it"
            ) from error

    def _entry(self, name: str) -> EntryPoint:
        if name in self._builtin:
            return EntryPoint(name, self._builtin[name], self.group)
        found = {entry.value: entry for entry in entry_points(group=self.group, name=name)}
        if not found:
            raise InputError(f"unknown {self.kind} {name!r}: {did_you_mean(name, self.names())}")
        if len(found) > 1:
            packages = " and ".join(sorted(str(entry.dist.name) for entry in found.values() if entry.dist))
            raise InputError(f"the {self.kind} {name!r} is registered by {packages}: uninstall one of them")
        return next(iter(found.values()))
