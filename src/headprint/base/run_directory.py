"""The directory of a run: whose it is, what it was begun with, and which process writes to it.

Extraction, training, a study and pretraining all leave a directory that can be stopped at any moment and resumed. They
differ in the files that they write (a :class:`RunKind`) and share the rules, which are here:

- A directory belongs to a run if the run's *record* is in it, the file that says what the run was begun with. It is the
  first file written. A directory with other files and no record belongs to something else and is refused.
- A run with *progress*, files that are worth keeping, is resumed under the same settings only. A run without any can be
  started again under any settings, and a start that fails before there is progress removes what it wrote.
- One process at a time writes, by a lock of the operating system, which ends with the process.

    run = RunDirectory("runs/math", TRAINING)
    run.check(settings)                       # before a model is loaded; writes nothing
    with run.begin(record, settings):         # takes the lock, checks again, writes the record
        ...
        run.finish(result)
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock, Timeout

from headprint.base.errors import InputError
from headprint.base.files import TEMPORARY_NAME, remove_temporaries, write_atomically
from headprint.base.settings import differences

if TYPE_CHECKING:
    from typing_extensions import Buffer

LOCK = ".headprint.lock"

_PATIENCE = 0.1
"""Seconds to wait for the lock: longer than another process's :meth:`RunDirectory.check` holds it."""

Settings = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RunKind:
    """The files of one kind of run.

    Attributes:
        name: What messages call it, such as ``"pattern set"``.
        record: Name of the file that says what the run was begun with.
        read: Reads the settings from the record, to be compared. It raises :class:`InputError` if the file is damaged
            or the record of something else.
        progress: Glob patterns of files and directories that are worth keeping.
        leftovers: Glob patterns of what else a run writes. A run that is started again removes it.
        result: Name of the file that is there once the run is finished, if there is one beside the record.
        replaceable: Whether the command can start anew over such a run (``--overwrite``).
    """

    name: str
    record: str
    read: Callable[[Path], Settings]
    progress: tuple[str, ...]
    leftovers: tuple[str, ...] = ()
    result: str | None = None
    replaceable: bool = False


class RunDirectory:
    """One run's directory.

    Between :meth:`begin` and :meth:`release`, which leaving the ``with`` block calls, this process holds the lock.

    Args:
        path: The directory; it need not exist.
        kind: What is in it.

    Attributes:
        resumed: After :meth:`begin`, whether a run with progress was there.
    """

    def __init__(self, path: str | Path, kind: RunKind) -> None:
        self.path = Path(path)
        self.kind = kind
        self.resumed = False
        self._lock: FileLock | None = None
        self._made: list[Path] = []
        self._succeeded = False

    @property
    def record(self) -> Path:
        """Path of the file that says what the run was begun with."""
        return self.path / self.kind.record

    @property
    def finished(self) -> bool:
        """Whether the file of the result is there."""
        return self.kind.result is not None and (self.path / self.kind.result).is_file()

    @property
    def has_progress(self) -> bool:
        """Whether there is a run with something worth keeping."""
        return self.record.is_file() and (self.finished or any(self._found(self.kind.progress)))

    def check(
        self,
        settings: Settings | Callable[[], Settings] | None = None,
        *,
        so_far: bool = False,
        resume: bool = True,
        overwrite: bool = False,
    ) -> None:
        """Refuse what :meth:`begin` would refuse, and write nothing.

        Args:
            settings: What the run is to be begun with, or a function that is called only if there is a run to
                compare it with. None compares nothing.
            so_far: Settings that are missing are not known yet, rather than not set.
            resume: Whether a run with progress may be there.
            overwrite: Whether to start anew over it.

        Raises:
            InputError: Another process writes there, it cannot be written to, it holds other files, or a run
                that must not be resumed: each setting that differs is named.
        """
        self._check_place()
        if (self.path / LOCK).is_file():
            self._acquire().release()
        self._check_run(settings, so_far=so_far, resume=resume, overwrite=overwrite)

    def begin(
        self,
        record: Buffer,
        settings: Settings | Callable[[], Settings] | None = None,
        *,
        resume: bool = True,
        overwrite: bool = False,
    ) -> Self:
        """Take the lock, check again under it, and resume the run or start it again.

        Args:
            record: Content of the record, written unless a run is resumed.
            settings: As for :meth:`check`.
            resume: As for :meth:`check`.
            overwrite: Remove what the run that is there wrote, and nothing else.

        Raises:
            InputError: As :meth:`check`.
        """
        options = {"resume": resume, "overwrite": overwrite}
        self.check(settings, **options)
        with self._writing():
            self._made = [path for path in (self.path, *self.path.parents) if not path.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
        self._lock = self._acquire()
        try:
            self._check_run(settings, **options)  # another process may have begun a run since
        except BaseException:
            self._unlock()
            raise
        self._succeeded = False
        try:
            with self._writing():
                self._tidy()
                self.resumed = self.has_progress and not overwrite
                if not self.resumed:
                    # The old record stays until the new one replaces it: without one, the files that are left if this
                    # process is killed now would be taken for those of something else.
                    self._remove((*self.kind.progress, *self.kind.leftovers, self.kind.result))
            if not self.resumed:
                write_atomically(self.record, record)
        except BaseException:
            self.release()
            raise
        return self

    def finish(self, result: Buffer | None = None) -> None:
        """Write the result and let others write.

        Args:
            result: Content of the file of the result, if the kind has one.

        Raises:
            InputError: It cannot be written; the run can be resumed.
        """
        if result is not None and self.kind.result is not None:
            write_atomically(self.path / self.kind.result, result)
        self._succeeded = True
        self.release()

    def release(self) -> None:
        """Let others write. A run that got nowhere removes what it wrote, and the directory if it made it."""
        if self._lock is None:
            return
        with contextlib.suppress(OSError):
            if not self._succeeded and not self.has_progress:
                self._remove((*self.kind.leftovers, self.kind.record, LOCK))
                for path in self._made:
                    path.rmdir()
        self._unlock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _check_place(self) -> None:
        existing = next(path for path in (self.path, *self.path.absolute().parents) if path.exists())
        if not existing.is_dir():
            raise InputError(f"cannot write to {self.path}: {existing} is a file; choose a directory (--out)")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise InputError(f"cannot write to {self.path}: no permission to write to {existing}")

    def _check_run(
        self, settings: Settings | Callable[[], Settings] | None, *, resume: bool, overwrite: bool, so_far: bool = False
    ) -> None:
        if not self.record.is_file():
            self._check_not_foreign()
            return
        begun = self.kind.read(self.record)
        if overwrite or not self.has_progress:
            return
        if not resume:
            raise InputError(
                f"{self.path} holds a {'finished' if self.finished else 'stopped'} run: resume it (--resume), or "
                "choose another directory (--out)"
            )
        if settings is None:
            return
        differing = differences(begun, settings() if callable(settings) else settings, so_far=so_far)
        if differing:
            anew = ", or start anew there (--overwrite)" if self.kind.replaceable else ""
            raise InputError(
                f"{self.path} was begun with other settings: {'; '.join(differing)}. "
                f"Choose another directory (--out){anew}"
            )

    def _check_not_foreign(self) -> None:
        names = sorted(path.name for path in self.path.iterdir()) if self.path.is_dir() else []
        for name in names:
            if name != LOCK and not TEMPORARY_NAME.fullmatch(name):
                raise InputError(
                    f"{self.path} holds other files ({name}) and no {self.kind.name}: "
                    "choose an empty or new directory (--out)"
                )

    def _acquire(self) -> FileLock:
        lock = FileLock(self.path / LOCK)
        try:
            with self._writing():
                lock.acquire(timeout=_PATIENCE)
        except Timeout:
            raise InputError(
                f"another process is writing to {self.path}: wait for it, or choose another directory (--out)"
            ) from None
        return lock

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _tidy(self) -> None:
        """Remove the temporary files of a process that was killed."""
        remove_temporaries(self.path)
        for path in self._found((*self.kind.progress, *self.kind.leftovers)):
            if path.is_dir() and not path.is_symlink():
                remove_temporaries(path, recursive=True)

    def _found(self, patterns: Iterable[str | None]) -> Iterator[Path]:
        return (path for pattern in patterns if pattern for path in self.path.glob(pattern))

    def _remove(self, patterns: Iterable[str | None]) -> None:
        for path in list(self._found(patterns)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except Timeout:  # an OSError, too
            raise
        except NotImplementedError as error:
            raise InputError(
                f"cannot lock {self.path}: its file system has no locks; choose another (--out)"
            ) from error
        except OSError as error:
            raise InputError(f"cannot write to {self.path}: {error.strerror or error}") from error
