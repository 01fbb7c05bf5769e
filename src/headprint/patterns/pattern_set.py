"""Pattern sets, (N, L, H): what an extraction gives and a directory holds.

    levels = headprint.load("runs/gsm8k")            # a PatternSet: L x H levels per example
    before = levels.pattern()                        # a Pattern: one number per head
    change = after - before                          # kind "change"
    relative = (after - before) / before
    change.top(10, by="absolute")

NaN marks the layers that have no attention. It passes through all arithmetic, and statistics leave
it out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headprint.base.errors import InputError
from headprint.base.options import Block, Placement, Reading
from headprint.patterns.pattern import ONE_ARCHITECTURE, Head, Pattern
from headprint.patterns.readings import check_reading, read, reading_of
from headprint.patterns.storage.manifest import holds_manifest
from headprint.patterns.storage.reader import StoredSet
from headprint.patterns.storage.shards import InMemory, Layout, Shard, Shards, read_labels, take_levels, take_sketches
from headprint.patterns.storage.writer import PatternSetWriter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.base.shapes import Levels, Losses, MlpSketches, Sketches, TokenCounts, Values

__all__ = ["Head", "Pattern", "PatternSet", "load"]

ROWS_PER_SHARD = 4096

_LACKING: dict[Block, str] = {
    "heads": "head gradients: extract it with sketch=K (--sketch K)",
    "mlp": "gradients of MLPs: extract it with sketch=K and blocks='heads,mlp' (--sketch K --blocks heads,mlp)",
}
"""Every kind of block, and what a set without it lacks."""


class PatternSet:
    """One dataset's activation levels: an (L, H) matrix per example, with ids and losses.

    A set opened from a directory reads its shards when they are needed: :meth:`pattern`,
    :meth:`iter_shards` and indexing hold one shard at a time, :attr:`values` holds all of it.

    Args:
        values: (N, L, H) float32 levels: signed sums over tokens, or, if the placement is
            ``"token"``, sums of absolute values.
        ids: N names.
        losses: (N,) float32, mean loss of each example.
        tokens: (N,) int32, supervised tokens of each example.
        provenance: Where it comes from (JSON-able); ``"placement"`` says what the levels are.
        sketches: (N, L, H, K) float32, each head's gradient along K random directions
            (:mod:`headprint.measure.sketch`); None if they were not measured.
        mlp_sketches: (N, L, R) float32, the same of each layer's MLP (:mod:`headprint.measure.mlp_tap`).

    Raises:
        InputError: The shapes do not belong together.
    """

    def __init__(
        self,
        values: Levels,
        ids: Sequence[str],
        losses: Losses,
        tokens: TokenCounts,
        provenance: dict[str, Any] | None = None,
        sketches: Sketches | None = None,
        mlp_sketches: MlpSketches | None = None,
    ) -> None:
        given: dict[Block, Any] = {"heads": sketches, "mlp": mlp_sketches}
        shard = Shard(
            list(ids),
            np.asarray(values, dtype=np.float32),
            np.asarray(losses, dtype=np.float32),
            np.asarray(tokens, dtype=np.int32),
            {block: np.asarray(x, dtype=np.float32) for block, x in given.items() if x is not None},
        )
        columns: tuple[Any, ...] = (shard.ids, shard.values, shard.losses, shard.tokens, *shard.sketches.values())
        lengths = [len(column) for column in columns]
        if shard.values.ndim != 3 or len(set(lengths)) != 1:
            raise InputError(
                "a pattern set has levels (examples, layers, heads) and as many ids, losses and "
                f"token counts; got levels {shard.values.shape} and lengths {lengths}"
            )
        for block, found in shard.sketches.items():
            axes = 3 if block == "heads" else 2
            if found.ndim != axes + 1 or found.shape[:axes] != shard.values.shape[:axes] or not found.shape[-1]:
                named = "layers, heads" if block == "heads" else "layers"
                raise InputError(f"sketches of {block} are (examples, {named}, directions), not {found.shape}")
        self._source: Shards = InMemory(shard)
        self.provenance: dict[str, Any] = dict(provenance or {})

    @classmethod
    def load(cls, directory: str | Path, *, partial: bool = False) -> PatternSet:
        """Open a directory; levels are read later.

        Args:
            directory: What :meth:`save` or ``headprint extract`` wrote.
            partial: Open an unfinished set, too, with the examples that it has so far.

        Raises:
            InputError: The directory is missing, foreign, damaged, or unfinished.
        """
        stored = StoredSet.open(directory, partial=partial)
        self = cls.__new__(cls)
        self._source, self.provenance = stored, dict(stored.manifest["provenance"])
        if stored.manifest["report"]:
            self.provenance["report"] = stored.manifest["report"]
        return self

    def save(self, directory: str | Path, *, overwrite: bool = False) -> None:
        """Write a directory of Parquet shards and a manifest.

        Args:
            directory: Empty or new, unless ``overwrite`` replaces the pattern set that is there.
            overwrite: Allowed only over another set: this one, if it was loaded from there, is still being read.

        Raises:
            InputError: A pattern set or another file is there, or nothing can be written there.
        """
        directory = Path(directory)
        if holds_manifest(directory):
            source = self._source
            if isinstance(source, StoredSet) and source.directory.samefile(directory):
                raise InputError(f"{directory} is where this set was read from: choose another")
            if not overwrite:
                raise InputError(
                    f"{directory} holds a pattern set already: choose another directory, or pass overwrite=True"
                )
        layers, heads = self._source.shape
        provenance = {key: value for key, value in self.provenance.items() if key != "report"}
        with PatternSetWriter(
            directory,
            layers=layers,
            heads=heads,
            layout=self.layout,
            settings={"saved": _without_places(provenance)},
            provenance=provenance,
            overwrite=overwrite,
        ) as writer:
            for index, start in enumerate(range(0, len(self), ROWS_PER_SHARD)):
                piece = self[start : start + ROWS_PER_SHARD]
                writer.write(index, *piece._source.read(0))
            writer.close(self.provenance.get("report", {}))

    @cached_property
    def values(self) -> Levels:
        """(N, L, H) float32 levels; of a directory, read at first use."""
        if isinstance(self._source, InMemory):
            return self._source.shard.values
        return take_levels(self._source, np.arange(len(self)))

    @cached_property
    def sketches(self) -> Sketches:
        """(N, L, H, K) float32, each head's gradient along K directions; of a directory, read at first use.

        Raises:
            InputError: The set was extracted without them.
        """
        return self._sketches("heads")

    @cached_property
    def mlp_sketches(self) -> MlpSketches:
        """(N, L, R) float32, the gradient of each layer's down projections along R directions; NaN without an MLP.

        Raises:
            InputError: The set was extracted without them.
        """
        return self._sketches("mlp")

    @property
    def directions(self) -> int:
        """K, how many numbers of each head's gradient there are; 0 if the set has no sketches."""
        return self.layout.get("heads", (0,))[-1]

    @property
    def layout(self) -> Layout:
        """What an example's sketches are, by kind of block: ``{"heads": (L, H, K), "mlp": (L, R)}``, or a part of it.

        Sketches may be compared if their layouts are equal, and the seeds of their directions
        (``provenance["sketch_seed"]``).
        """
        return self._source.layout

    def iter_sketches(self) -> Iterator[Sketches]:
        """Yield the sketches of heads, one shard in memory at a time.

        Raises:
            InputError: The set was extracted without them.
        """
        self._check_sketches("heads")
        for index in range(len(self._source.rows)):
            yield self._source.read_sketches(index, "heads")

    def iter_block_sketches(self) -> Iterator[dict[Block, Values]]:
        """Yield the sketches of every kind of block (:attr:`layout`), one shard in memory at a time.

        The last axis holds the numbers of one block: a head or a layer's MLP. Divide each block by its root mean square
        over the pool before blocks are put side by side, or those whose gradients are large everywhere drown the rest::

            squares = {kind: 0.0 for kind in pool.layout}
            for shard in pool.iter_block_sketches():
                for kind, numbers in shard.items():
                    squares[kind] += (numbers.astype(float) ** 2).sum(axis=0).mean(axis=-1)
            unit = {kind: np.sqrt(sums / len(pool)) for kind, sums in squares.items()}
            vectors = np.concatenate(
                [(shard[kind] / unit[kind][..., None])[:, unit[kind] > 0].reshape(n, -1) for kind in shard], axis=1
            )

        (a layer without attention, or without an MLP, is NaN, and left out by the last line).

        Raises:
            InputError: The set was extracted without sketches.
        """
        self._check_sketches("heads")
        for index in range(len(self._source.rows)):
            yield {block: self._source.read_sketches(index, block) for block in self.layout}

    def _sketches(self, block: Block) -> Values:
        self._check_sketches(block)
        if isinstance(self._source, InMemory):
            return self._source.read_sketches(0, block)
        return take_sketches(self._source, np.arange(len(self)), block)

    def _check_sketches(self, block: Block) -> None:
        if block not in self.layout:
            raise InputError(f"this pattern set has no {_LACKING[block]}")

    @property
    def ids(self) -> list[str]:
        """N names, in order."""
        return self._labels[0]

    @property
    def losses(self) -> Losses:
        """(N,) float32, mean loss of each example."""
        return self._labels[1]

    @property
    def tokens(self) -> TokenCounts:
        """(N,) int32, supervised tokens of each example."""
        return self._labels[2]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, L, H)."""
        return (len(self), *self._source.shape)

    @property
    def placement(self) -> Placement:
        """Where the absolute value goes: as extracted, and per example if that is not known."""
        placement: Placement = self.provenance.get("placement", "example")
        return placement

    def __len__(self) -> int:
        return sum(self._source.rows)

    def __repr__(self) -> str:
        n, layers, heads = self.shape
        return f"PatternSet({n} examples, {layers} layers x {heads} heads, {self.placement!r})"

    @property
    def reading(self) -> Reading:
        """What a pattern is the mean of unless :meth:`pattern` is asked otherwise (:meth:`read_as`)."""
        return reading_of(self.provenance) or "level"

    def read_as(self, reading: Reading | None) -> PatternSet:
        """Return the same set, whose patterns, and whatever is computed from them, follow a reading.

        Args:
            reading: One of :mod:`headprint.patterns.readings`; None changes nothing.

        Raises:
            InputError: The levels do not permit it.
        """
        if reading is None:
            return self
        check_reading(reading, self.provenance)
        same = copy(self)
        same.provenance = {**self.provenance, "reading": reading}
        return same

    def readings(self, reading: Reading | None = None) -> NDArray[np.float64]:
        """Return what each example adds to the pattern, (N, L, H), in memory.

        Args:
            reading: As for :meth:`pattern`.

        Raises:
            InputError: As :meth:`pattern`.
        """
        wanted = self.read_as(reading)
        empty = np.empty((0, *self._source.shape))
        return np.concatenate([empty, *(read(shard, wanted.reading, self.provenance) for shard in self._shards())])

    def pattern(self, reading: Reading | None = None) -> Pattern:
        """Return the activation pattern: the mean over the examples, shard by shard, in float64.

        Args:
            reading: What is averaged (:mod:`headprint.patterns.readings`): ``"level"``, the paper's (Eq. 2, arXiv
                2409.15820), ``"signed"``, ``"share"``, ``"elasticity"`` or ``"margin"``. By default as :attr:`reading`.

        Raises:
            InputError: The set is empty, or its levels do not permit the reading.
        """
        wanted = self.read_as(reading)
        if len(self) == 0:
            raise InputError("the pattern set has no examples and so no pattern: extract one first")
        total, loss = np.zeros(self._source.shape), 0.0
        for shard in self._shards():
            total += read(shard, wanted.reading, self.provenance).sum(axis=0)
            loss += float(shard.losses.sum(dtype=np.float64))
        about = {"reading": wanted.reading, "examples": len(self), "mean_loss": loss / len(self)}
        provenance = {**self.provenance, **about}
        return Pattern((total / len(self)).astype(np.float32), provenance)

    def iter_shards(self) -> Iterator[PatternSet]:
        """Yield the set in consecutive pieces, each in memory; a set in memory is one piece."""
        for index, shard in enumerate(self._shards()):
            sketches = (
                self._source.read_sketches(index, block) if block in self.layout else None for block in _LACKING
            )
            yield PatternSet(shard.values, shard.ids, shard.losses, shard.tokens, self.provenance, *sketches)

    def __getitem__(self, key: slice | int | str | Sequence[int] | Sequence[str] | NDArray[Any]) -> PatternSet:
        """Return examples by slice, index, boolean mask or id, in the order asked for, in memory.

        Raises:
            InputError: An id is not there.
            IndexError: An index is not there.
        """
        rows = self._rows(key)
        ids = [self.ids[row] for row in rows]
        return PatternSet(
            take_levels(self._source, rows),
            ids,
            self.losses[rows],
            self.tokens[rows],
            self.provenance,
            *(take_sketches(self._source, rows, block) if block in self.layout else None for block in _LACKING),
        )

    def aligned_with(self, first: PatternSet, *, name: str = "") -> NDArray[np.int64] | None:
        """Find this set's rows in the order of another set of the same examples.

        Args:
            first: The set whose order is wanted.
            name: Of the data, for messages.

        Returns:
            (N,) row numbers, such that ``self[rows].ids == first.ids``; None if the order is the same already.

        Raises:
            InputError: A set is empty, shapes differ, or the sets are not of the same examples.
        """
        of = f" of {name}" if name else ""
        if len(first) == 0 or len(self) == 0:
            raise InputError(f"a pattern set{of} has no examples: extract at least two")
        if first.shape[1:] != self.shape[1:]:
            raise InputError(f"shapes{of} differ: {first.shape[1:]} and {self.shape[1:]} {ONE_ARCHITECTURE}")
        if first.ids == self.ids:
            return None
        row_of = {each: row for row, each in enumerate(self.ids)}
        shared = sum(each in row_of for each in first.ids)
        if shared != len(first) or shared != len(self):
            raise InputError(
                f"the two pattern sets{of} are not of the same examples ({len(first)} and {len(self)}, {shared} in "
                "both): extract both from the same rows"
            )
        return np.array([row_of[each] for each in first.ids])

    def merge(self, *others: PatternSet) -> PatternSet:
        """Return this set's examples, then those of the others, as one set in memory.

        The provenance keeps what all agree on, and each set's own under ``"merged"``.

        Raises:
            InputError: Models, settings or shapes differ, or an id occurs twice.
        """
        sets = (self, *others)
        mine = _measure(self)
        for theirs in map(_measure, others):
            for name, value in mine.items():
                if theirs[name] != value:
                    raise InputError(
                        f"cannot merge: {name} is {value} in one set and {theirs[name]} in "
                        "another; extract both with the same model and settings"
                    )
        ids = [name for part in sets for name in part.ids]
        twice = [name for name, count in Counter(ids).items() if count > 1]
        if twice:
            raise InputError(
                f"cannot merge: {len(twice)} ids occur more than once, such as {twice[0]!r}; leave them out of one set"
            )
        agreed = {
            name: value
            for name, value in self.provenance.items()
            if all(name in part.provenance and part.provenance[name] == value for part in others)
        }
        return PatternSet(
            np.concatenate([part.values for part in sets]),
            ids,
            np.concatenate([part.losses for part in sets]),
            np.concatenate([part.tokens for part in sets]),
            {**agreed, "merged": [part.provenance for part in sets]},
            *(
                np.concatenate([part._sketches(block) for part in sets]) if block in self.layout else None
                for block in _LACKING
            ),
        )

    @cached_property
    def _labels(self) -> tuple[list[str], Losses, TokenCounts]:
        return read_labels(self._source)

    def _shards(self) -> Iterator[Shard]:
        return (self._source.read(index) for index in range(len(self._source.rows)))

    def _rows(self, key: Any) -> NDArray[np.int64]:
        every = np.arange(len(self))
        if isinstance(key, slice):
            return every[key]
        names = [key] if isinstance(key, str) else list(np.atleast_1d(key))
        if not all(isinstance(name, str) for name in names):
            return np.atleast_1d(every[np.asarray(key)])
        row_of = {name: row for row, name in enumerate(self.ids)}
        unknown = [name for name in names if name not in row_of]
        if unknown:
            raise InputError(f"no example of the {len(self)} in this set is called {unknown[0]!r}: its ids are in .ids")
        return np.array([row_of[name] for name in names], dtype=np.int64)


def load(path: str | Path, *, partial: bool = False, reading: Reading | None = None) -> Pattern | PatternSet:
    """Open a pattern (a file) or a pattern set (a directory).

    Args:
        path: The file or directory.
        partial: Open an unfinished pattern set, too.
        reading: Of a pattern set, see :meth:`PatternSet.read_as`; of a pattern, the reading that it has to be of.

    Raises:
        InputError: Nothing is there, or what is there is foreign, damaged or unfinished, or not of that reading.
    """
    path = Path(path)
    if path.is_dir():
        return PatternSet.load(path, partial=partial).read_as(reading)
    if not path.exists():
        raise InputError(f"there is no file or directory {path}")
    pattern = Pattern.load(path)
    if reading not in (None, own := reading_of(pattern.provenance)):
        raise InputError(
            f"{path} is a pattern of reading {own!r}, which cannot be turned into {reading!r}: give the pattern set's "
            "directory"
        )
    return pattern


def _without_places(provenance: Any) -> Any:
    """Provenance without the paths of the model and the rows, which affect no level and so no byte of a shard."""
    if isinstance(provenance, list):
        return [_without_places(part) for part in provenance]
    if not isinstance(provenance, dict):
        return provenance
    return {key: _without_places(value) for key, value in provenance.items() if key not in ("id", "source")}


def _measure(part: PatternSet) -> dict[str, Any]:
    """What must agree before the levels of two sets may stand in one table."""
    model = part.provenance.get("model")
    named = ("placement", "loss", "objective", "loss_on", "dtype", "compute_dtype", "batch_size")
    return {
        "shape (layers, heads)": part._source.shape,
        "sketch (directions, seed)": (
            *(shape[-1] for shape in part.layout.values()),
            part.directions and part.provenance.get("sketch_seed"),
        ),
        # Equal weights are an equal model, wherever they were loaded from.
        "model": model.get("weights", model) if isinstance(model, dict) else model,
        **{name: part.provenance.get(name) for name in named},
    }
