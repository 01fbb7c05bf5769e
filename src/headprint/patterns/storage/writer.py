"""Write a pattern set shard by shard, and resumes one that is unfinished.

Every file is written beside its place and renamed, so what has its final name is whole. While a set is unfinished,
the shards themselves are the record of what is done: a run that was killed at any moment resumes from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from headprint.base.options import Block
from headprint.base.run_directory import RunDirectory, RunKind
from headprint.patterns.storage.manifest import (
    MANIFEST,
    Manifest,
    decisive,
    layout_of,
    new_manifest,
    read_manifest,
    settings_hash,
    shards_on_disk,
    to_bytes,
    write_manifest,
)
from headprint.patterns.storage.shard_file import SHARD_GLOB, shard_name, write_shard
from headprint.patterns.storage.shards import Layout, Shard

if TYPE_CHECKING:
    from headprint.base.shapes import Levels, Losses, TokenCounts, Values

PATTERN_SET_RUN = RunKind(
    name="pattern set",
    record=MANIFEST,
    read=lambda path: decisive(read_manifest(path.parent)),
    progress=(SHARD_GLOB,),
    replaceable=True,
)
"""What the directory of a pattern set looks like to :class:`headprint.base.run_directory.RunDirectory`."""


class PatternSetWriter:
    """Write a pattern set shard by shard; an unfinished set of equal settings is resumed.

    One process at a time may write to a directory (by a lock of the operating system, which ends
    with the process). Use it as a context manager: left without :meth:`close`, the set stays
    unfinished, to be resumed.

    Args:
        directory: Made if missing. It may hold a pattern set of the same settings, or nothing.
        layers: L.
        heads: H.
        layout: The shape of an example's sketches; empty for a set without sketches.
        settings: All that decides the numbers and which examples a shard holds (JSON-able, finite
            numbers). A set is resumed only under equal settings.
        provenance: What else is worth knowing, such as versions (JSON-able, finite numbers). A
            resumed set keeps the provenance that it was begun with.
        overwrite: Remove the pattern set that is there, and nothing but it, and begin anew.

    Attributes:
        manifest: As on disk. ``manifest["complete"]`` tells that there was nothing left to do.

    Raises:
        InputError: Other settings were used there, other files are there, or another process is
            writing there.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        layers: int,
        heads: int,
        layout: Layout = MappingProxyType({}),
        settings: dict[str, Any],
        provenance: dict[str, Any],
        overwrite: bool = False,
    ) -> None:
        self.directory = Path(directory)
        fresh = new_manifest(layers=layers, heads=heads, layout=layout, settings=settings, provenance=provenance)
        self._run = RunDirectory(directory, PATTERN_SET_RUN)
        self._run.begin(to_bytes(fresh), decisive(fresh), overwrite=overwrite)
        try:
            self.manifest: Manifest = read_manifest(self.directory)
            self._shards = shards_on_disk(self.directory, self.manifest)
            if self.manifest["complete"] and self.manifest["shards"] != list(self._shards.values()):  # one was lost
                self.manifest = {**fresh, "provenance": self.manifest["provenance"]}
                write_manifest(self.directory, self.manifest)
        except BaseException:
            self._run.release()
            raise

    @property
    def finished(self) -> frozenset[int]:
        """Indices of the shards that are on disk and whole."""
        return frozenset(self._shards)

    def write(
        self,
        index: int,
        ids: Sequence[str],
        values: Levels,
        losses: Losses,
        tokens: TokenCounts,
        sketches: Mapping[Block, Values] = MappingProxyType({}),
    ) -> None:
        """Write shard ``index`` whole or not at all.

        Args:
            index: Its place in the set; a complete set is numbered from 0 without a gap.
            ids: n names.
            values: (n, L, H) activation levels.
            losses: (n,) mean loss of each example.
            tokens: (n,) supervised tokens of each example.
            sketches: n sketches of each kind that the set has; stored in float16.

        Raises:
            InputError: The disk is full or not writable; finished shards are kept.
        """
        shape = (self.manifest["layers"], self.manifest["heads"])
        if values.shape[1:] != shape:
            raise ValueError(f"expected levels of shape (n, {shape[0]}, {shape[1]}): {values.shape}")
        shapes = {block: numbers.shape[1:] for block, numbers in sketches.items()}
        if shapes != layout_of(self.manifest):
            raise ValueError(f"expected sketches of shapes {layout_of(self.manifest)}: {shapes}")
        path, shard = self.directory / shard_name(index), Shard(ids, values, losses, tokens, sketches)
        footer = write_shard(path, shard, index=index, settings=settings_hash(self.manifest))
        self._shards[index] = {"file": path.name, "rows": footer.rows, "sha256": footer.digest}

    def close(self, report: dict[str, Any]) -> None:
        """Mark the set complete and lets others write.

        Args:
            report: What happened, such as counts of dropped rows (JSON-able, finite numbers).

        Raises:
            ValueError: A shard is missing among those written.
        """
        missing = set(range(len(self._shards))) - self.finished
        if missing:
            raise ValueError(f"shards {sorted(missing)} of {self.directory} were never written")
        shards = [self._shards[index] for index in sorted(self._shards)]
        self.manifest = {**self.manifest, "complete": True, "shards": shards, "report": report}
        write_manifest(self.directory, self.manifest)
        self._run.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run.release()
