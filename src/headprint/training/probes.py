"""Held-out rows that are measured again and again while a model trains."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from headprint import data, models
from headprint.base.errors import InputError
from headprint.data import ExampleStream
from headprint.measure.extraction import extract
from headprint.patterns.pattern_set import PatternSet

_STEP = re.compile(r"step-(\d{8,})")
_NAME = re.compile(r"\w[\w.+-]*")


class Probe:
    """One task's held-out rows, and their pattern sets by step.

    Args:
        name: Of the task; with ``out`` also of a directory.
        source: As :func:`headprint.data.rows.read_rows`; an iterator is read into a list.
        split: Of a folder, hub id or laboratory task.
        limit: Only the first N rows, which must be there; None takes all.
        max_length: Tokens of one at most.
        out: Where ``NAME/step-00000008/`` is made; None keeps the sets in memory.
        options: For :func:`headprint.measure.extraction.extract`: what decides the numbers of a set.

    Raises:
        InputError: The name cannot be that of a directory, or there are fewer rows than asked for.
    """

    def __init__(
        self,
        name: str,
        source: data.Source,
        *,
        split: str,
        limit: int | None,
        max_length: int | None,
        out: Path | None,
        options: dict[str, Any],
    ) -> None:
        if not _NAME.fullmatch(name):
            raise InputError(f"a task cannot be called {name!r}: use letters, digits, and . _ + - inside the name")
        self.name, self.source = name, list(source) if isinstance(source, Iterator) else source
        self.split, self.limit, self.max_length = split, limit, max_length
        self.home = out / name if out else None
        self.sets: dict[int, PatternSet] = {}
        self._options = options
        self._examples: list[dict[str, Any]] = []
        self._content = ""
        self._verified = False
        wanted = 1 if limit is None else limit
        found = sum(1 for _ in islice(data.read_rows(self.source, split=split), wanted))
        if found < wanted or wanted < 1:
            raise self._too_few(found, "there are")

    def begin(self, model: nn.Module, tokenizer: Any, step: int) -> None:
        """Tokenise the rows, and load what a killed run left on disk.

        Args:
            model: To be measured.
            tokenizer: Of the model.
            step: From which training goes on; 0 for a new one.

        Raises:
            InputError: A row cannot be used, or the directory holds something else.
        """
        options: dict[str, Any] = {"max_length": self.max_length, "split": self.split, "limit": self.limit}
        stream = ExampleStream(self.source, tokenizer, **options, **models.limits(model))
        self._examples = [{"id": e.id, "input_ids": e.input_ids, "labels": e.labels} for e in stream]
        if self.limit is not None and len(self._examples) < self.limit:
            raise self._too_few(len(self._examples), f"{stream.report}; usable are")
        self._content = data.fingerprint(self._examples)
        self.sets = {}
        for done, directory in self._on_disk():
            if done <= step and step > 0 and (levels := _complete(directory)):
                if not self._is_ours(levels):
                    raise self._foreign(directory)
                self.sets[done] = levels

    def measure(self, model: nn.Module, step: int) -> PatternSet:
        """The levels of the rows, after so many steps; training does not notice.

        Raises:
            InputError: What is on disk for step 0 is of another model or other rows.
        """
        directory = self.home and self.home / f"step-{step:08d}"
        if directory and (stored := _complete(directory)):
            if self._is_ours(stored) and stored.provenance["model"]["weights"] == models.fingerprint(model):
                self.sets[step] = stored
                return stored
            if step == 0:  # later ones are of a run that was killed, and that need not repeat itself to the bit
                raise self._foreign(directory)
        with untouched_randomness(models.input_device(model)):
            levels = extract(model, None, self._examples, verify=not self._verified, **self._options)
        self._verified = True
        levels.provenance["data"]["source"] = data.describe(self.source)
        levels.provenance |= {"step": step}
        if directory:
            levels.save(directory, overwrite=True)
            levels = PatternSet.load(directory)
        self.sets[step] = levels
        return levels

    def _on_disk(self) -> list[tuple[int, Path]]:
        if not (self.home and self.home.is_dir()):
            return []
        found = ((_STEP.fullmatch(path.name), path) for path in self.home.iterdir())
        return sorted((int(match[1]), path) for match, path in found if match)

    def _is_ours(self, levels: PatternSet) -> bool:
        own = levels.provenance
        return bool(own["data"]["content"] == self._content and own["placement"] == self._options["placement"])

    def _foreign(self, directory: Path) -> InputError:
        return InputError(f"{directory} is of another model, other probes or settings: choose another directory")

    def _too_few(self, found: int, there_are: str) -> InputError:
        return InputError(
            f"probes {self.name!r}: {self.limit} rows were asked for, {there_are} {found} "
            f"({data.describe(self.source)}): ask for fewer, or give more"
        )


def _complete(directory: Path) -> PatternSet | None:
    """The finished pattern set there, if there is one; what is unfinished or damaged is made again."""
    if not directory.is_dir():
        return None
    try:
        return PatternSet.load(directory)
    except InputError:
        return None


@contextmanager
def untouched_randomness(device: torch.device) -> Iterator[None]:
    """Give every random number generator back as it was: nothing draws from one here, whatever a model does."""
    own, arrays = random.getstate(), np.random.get_state()
    devices = [device] if device.type not in ("cpu", "meta") else []
    with torch.random.fork_rng(devices, device_type=device.type if devices else "cuda"):
        yield
    random.setstate(own)
    np.random.set_state(arrays)
