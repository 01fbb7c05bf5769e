"""Read a pattern set: the manifest at once, a shard when it is asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headprint.base.errors import InputError
from headprint.base.options import Block
from headprint.patterns.storage.manifest import Manifest, layout_of, read_manifest, settings_hash, shards_on_disk
from headprint.patterns.storage.shard_file import DamagedShard, Footer, read_shard, read_sketches
from headprint.patterns.storage.shards import Layout, Shard

if TYPE_CHECKING:
    from headprint.base.shapes import Values


@dataclass(frozen=True)
class StoredSet:
    """A pattern set on disk. Only the manifest is in memory until a shard is read.

    Attributes:
        directory: Where it lies.
        manifest: The content of manifest.json; of an unfinished set, with the shards found so far.
        indices: The shards' places in the set; of an unfinished one, with gaps.
    """

    directory: Path
    manifest: Manifest
    indices: tuple[int, ...]

    @classmethod
    def open(cls, directory: str | Path, *, partial: bool = False) -> StoredSet:
        """Open a complete set, or with ``partial`` whatever an unfinished one has so far.

        Raises:
            InputError: The directory is missing, foreign or unfinished, or a shard is missing. One that is damaged or
                of another run is refused when it is read.
        """
        directory = Path(directory)
        manifest = read_manifest(directory)
        if not manifest["complete"]:
            found = shards_on_disk(directory, manifest)
            if not partial:
                raise InputError(
                    f"{directory} is unfinished ({len(found)} shards so far): run the same command "
                    "again to finish it, or open it with partial=True"
                )
            return cls(directory, {**manifest, "shards": list(found.values())}, tuple(found))
        there = set(os.listdir(directory))
        for shard in manifest["shards"]:
            if shard["file"] not in there:
                raise _refused(directory / shard["file"], DamagedShard("it is missing"))
        return cls(directory, manifest, tuple(range(len(manifest["shards"]))))

    @property
    def rows(self) -> list[int]:
        """Number of examples in each shard."""
        return [shard["rows"] for shard in self.manifest["shards"]]

    @property
    def shape(self) -> tuple[int, int]:
        """(L, H)."""
        return self.manifest["layers"], self.manifest["heads"]

    @property
    def layout(self) -> Layout:
        """The shape of an example's sketches."""
        return layout_of(self.manifest)

    def read(self, index: int) -> Shard:
        """Read one shard, but for its sketches.

        Raises:
            InputError: The file is missing, damaged, or not the one that was written.
        """
        return self._read(index, levels=True)

    def read_labels(self, index: int) -> Shard:
        """Read one shard's ids, losses and tokens; its ``values`` are left empty.

        Raises:
            InputError: The file is missing, damaged, or not the one that was written.
        """
        return self._read(index, levels=False)

    def read_sketches(self, index: int, block: Block) -> Values:
        """Read one shard's sketches of one kind of block, float32.

        Raises:
            InputError: The file is missing, damaged, or not the one that was written.
        """
        path, place = self._place(index)
        settings = settings_hash(self.manifest)
        try:
            footer, sketches = read_sketches(path, block, self.layout[block], index=place, settings=settings)
            self._check_same(index, footer)
        except DamagedShard as damage:
            raise _refused(path, damage) from damage
        return sketches

    def _read(self, position: int, *, levels: bool) -> Shard:
        path, index = self._place(position)
        try:
            footer, shard = read_shard(
                path, self.shape, index=index, settings=settings_hash(self.manifest), levels=levels
            )
            self._check_same(position, footer)
        except DamagedShard as damage:
            raise _refused(path, damage) from damage
        return shard

    def _place(self, position: int) -> tuple[Path, int]:
        return self.directory / self.manifest["shards"][position]["file"], self.indices[position]

    def _check_same(self, position: int, footer: Footer) -> None:
        listed = self.manifest["shards"][position]
        if (footer.rows, footer.digest) != (listed["rows"], listed["sha256"]):
            raise DamagedShard("it is not the shard that the manifest lists")


def _refused(path: Path, damage: DamagedShard) -> InputError:
    return InputError(
        f"{path} cannot be used: {damage}; delete that file if it is there "
        "and run the same command again, which redoes this shard only"
    )
