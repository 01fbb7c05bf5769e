"""Writes a pattern set shard by shard, and goes on with one that is unfinished.

Every file is written beside its place and renamed, so what has its final name is whole. While a set is unfinished,
the shards themselves are the record of what is done: a run that was killed at any moment resumes from them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock, Timeout

from headprint.base.errors import InputError
from headprint.patterns.storage.manifest import (
    SHARD_NAME,
    Manifest,
    check_same,
    new_manifest,
    read_manifest,
    settings_hash,
    shards_on_disk,
    write_manifest,
)
from headprint.patterns.storage.shards import Shard, write_shard

if TYPE_CHECKING:
    from headprint.base.shapes import Levels, Losses, TokenCounts

LOCK = ".headprint.lock"
TEMPORARY_NAME = re.compile(r"\.(part-\d{5,}\.parquet|manifest\.json)\.\d+\.tmp")


class SetWriter:
    """Writes a pattern set shard by shard; on an unfinished set of equal settings, goes on with it.

    One process at a time may write to a directory (by a lock of the operating system, which ends
    with the process). Use it as a context manager: left without :meth:`close`, the set stays
    unfinished, to be resumed.

    Args:
        directory: Made if missing. It may hold a pattern set of the same settings, or nothing.
        layers: L.
        heads: H.
        settings: All that decides the numbers and which examples a shard holds (JSON-able, finite
            numbers). A set is resumed only under equal settings.
        provenance: What else is worth knowing, such as versions (JSON-able, finite numbers). A
            resumed set keeps the provenance that it was begun with.
        overwrite: Remove the pattern set that is there, and nothing but it, and start anew.

    Attributes:
        manifest: As on disk. ``manifest["complete"]`` tells that there was nothing left to do.

    Raises:
        InputError: If other settings were used there, other files are there, or another process is
            writing there.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        layers: int,
        heads: int,
        settings: dict[str, Any],
        provenance: dict[str, Any],
        overwrite: bool = False,
    ) -> None:
        self.directory = Path(directory)
        fresh = new_manifest(layers=layers, heads=heads, settings=settings, provenance=provenance)
        check_home(self.directory)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.directory / LOCK)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"another process is writing to {self.directory}: wait for it, or choose another directory (--out)"
            ) from None
        except OSError as error:
            raise InputError(f"cannot write to {self.directory}: {error.strerror or error}") from error
        try:
            self.manifest: Manifest = self._begin(fresh, overwrite)
            self._shards = shards_on_disk(self.directory, self.manifest)
        except BaseException:
            self._lock.release()
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
    ) -> None:
        """Writes shard ``index`` whole or not at all.

        Args:
            index: Its place in the set; a complete set is numbered from 0 without a gap.
            ids: n names.
            values: (n, L, H) activation levels.
            losses: (n,) mean loss of each example.
            tokens: (n,) supervised tokens of each example.

        Raises:
            InputError: If the disk is full or not writable; finished shards are kept.
        """
        shape = (self.manifest["layers"], self.manifest["heads"])
        if values.shape[1:] != shape:
            raise ValueError(f"expected levels of shape (n, {shape[0]}, {shape[1]}): {values.shape}")
        name = f"part-{index:05d}.parquet"
        shard = Shard(ids, values, losses, tokens)
        write_shard(self.directory / name, shard, settings_hash(self.manifest))
        self._shards[index] = {"file": name, "rows": len(ids)}

    def close(self, report: dict[str, Any]) -> None:
        """Marks the set complete and lets others write.

        Args:
            report: What happened, such as counts of dropped rows (JSON-able, finite numbers).

        Raises:
            ValueError: If a shard is missing among those written.
        """
        missing = set(range(len(self._shards))) - self.finished
        if missing:
            raise ValueError(f"shards {sorted(missing)} of {self.directory} were never written")
        shards = [self._shards[index] for index in sorted(self._shards)]
        self.manifest = {**self.manifest, "complete": True, "shards": shards, "report": report}
        write_manifest(self.directory, self.manifest)
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    def _begin(self, fresh: Manifest, overwrite: bool) -> Manifest:
        """Under the lock: tidies up after a killed run, then resumes, refuses or starts."""
        for path in list(self.directory.iterdir()):
            if TEMPORARY_NAME.fullmatch(path.name):
                path.unlink()
        found = read_manifest(self.directory)
        if found is not None and overwrite:
            # The manifest stays until the new one replaces it: shards without one would be
            # taken for somebody else's.
            for path in list(self.directory.iterdir()):
                if SHARD_NAME.fullmatch(path.name):
                    path.unlink()
        elif found is not None and _holds_shards(self.directory):  # without one, nothing is lost by starting anew
            check_same(self.directory, found, fresh)
            whole = list(shards_on_disk(self.directory, found).values())
            if not found["complete"] or found["shards"] == whole:
                return found
            fresh = {**fresh, "provenance": found["provenance"]}  # a shard was lost since
        write_manifest(self.directory, fresh)
        return fresh


def check_home(directory: str | Path, settings: Callable[[], dict[str, Any]] | None = None) -> None:
    """Refuses what a :class:`SetWriter` would refuse, as far as it can be told before there is a model.

    Args:
        directory: Where a set is to be written; nothing is put there.
        settings: Makes the settings known so far; asked only if there is a set to compare them with. None lets any
            set be there.

    Raises:
        InputError: It is a file, holds somebody else's files, or a set begun with other settings.
    """
    directory = Path(directory)
    if not directory.exists():
        return
    if not directory.is_dir():
        raise InputError(f"cannot write to {directory}: it is a file; choose a directory (--out)")
    found = read_manifest(directory)
    if found is not None:
        if settings is not None and _holds_shards(directory):
            check_same(directory, found, {"settings": settings()}, so_far=True)
        return
    for path in directory.iterdir():
        if path.name != LOCK and not TEMPORARY_NAME.fullmatch(path.name):
            raise InputError(
                f"{directory} holds other files ({path.name}) and no pattern set: "
                "choose an empty or new directory (--out)"
            )


def _holds_shards(directory: Path) -> bool:
    return any(SHARD_NAME.fullmatch(path.name) for path in directory.iterdir())
