"""Files: one pattern is a safetensors file, a pattern set is a directory of Parquet shards.

A pattern set directory holds ``part-00000.parquet``, ``part-00001.parquet``, ...
(:mod:`headprint.patterns.storage.shards`) and ``manifest.json`` (:mod:`headprint.patterns.storage.manifest`). Here it
is read; :mod:`headprint.patterns.storage.writer` writes it, and :mod:`headprint.patterns.storage.pattern_file` is the
single pattern's file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from headprint.base.errors import InputError
from headprint.patterns.storage.manifest import Manifest, read_manifest, settings_hash, shards_on_disk
from headprint.patterns.storage.pattern_file import load_pattern, save_pattern
from headprint.patterns.storage.shards import Shard, read_shard, rows_of_shard

__all__ = ["StoredSet", "load_pattern", "save_pattern"]


@dataclass(frozen=True)
class StoredSet:
    """A pattern set on disk. Only the manifest is in memory until a shard is read.

    Attributes:
        directory: Where it lies.
        manifest: The content of manifest.json; of an unfinished set, with the shards found so far.
    """

    directory: Path
    manifest: Manifest

    @classmethod
    def open(cls, directory: str | Path, *, partial: bool = False) -> StoredSet:
        """Opens a complete set, or with ``partial`` whatever an unfinished one has so far.

        Raises:
            InputError: If the directory is missing, foreign or unfinished, or lacks a shard.
        """
        directory = Path(directory)
        manifest = read_manifest(directory)
        if not manifest["complete"]:
            found = list(shards_on_disk(directory, manifest).values())
            if not partial:
                raise InputError(
                    f"{directory} is unfinished ({len(found)} shards so far): run the same command "
                    "again to finish it, or open it with partial=True"
                )
            manifest = {**manifest, "shards": found}
        stored = cls(directory, manifest)
        for shard in manifest["shards"]:
            if not (directory / shard["file"]).is_file():
                raise stored._damaged(shard["file"], "it is missing")
        return stored

    @property
    def rows(self) -> list[int]:
        """Number of examples in each shard."""
        return [shard["rows"] for shard in self.manifest["shards"]]

    @property
    def shape(self) -> tuple[int, int]:
        """(L, H)."""
        return self.manifest["layers"], self.manifest["heads"]

    def read(self, index: int) -> Shard:
        """Reads one shard whole.

        Raises:
            InputError: If the file is damaged or was made by another run.
        """
        return self._read(index, levels=True)

    def read_labels(self, index: int) -> Shard:
        """Reads one shard's ids, losses and tokens; its ``values`` are left empty.

        Raises:
            InputError: If the file is damaged or was made by another run.
        """
        return self._read(index, levels=False)

    def _read(self, index: int, *, levels: bool) -> Shard:
        name = self.manifest["shards"][index]["file"]
        path = self.directory / name
        if rows_of_shard(path, settings_hash(self.manifest)) != self.rows[index]:
            raise self._damaged(name, "it is cut short, or was made by another run")
        try:
            return read_shard(path, self.shape, levels=levels)
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(name, str(error).splitlines()[0]) from error

    def _damaged(self, name: str, why: str) -> InputError:
        return InputError(
            f"{self.directory / name} cannot be used: {why}; delete that file if it is there "
            "and run the same command again, which redoes this shard only"
        )
