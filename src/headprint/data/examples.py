"""A data set as a stream of examples: read, tokenised, truncated and counted.

:mod:`headprint.data.rows` reads and :mod:`headprint.data.tokenization` tokenises. Here are the rules for the data set
as a whole: unique ids, rows that are too long or have no token to learn, and the report of what became of each.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, get_args

import numpy as np

from headprint.base.errors import InputError
from headprint.base.options import LossOn, Overlong
from headprint.data.chat import Tokenizer
from headprint.data.rows import Row, own_id, read_rows
from headprint.data.sources import Source
from headprint.data.tokenization import Example, check_limits, tokenize_rows

_TOKENISED = 256  # rows at a time
_NAMED = 5  # places of each kind that messages name


@dataclass(slots=True)
class Report:
    """Counts of what became of the rows: ``read = kept + dropped_long + dropped_unsupervised``.

    Attributes:
        read: Rows read.
        kept: Examples yielded.
        truncated: Of those, the ones shortened to ``max_length``.
        dropped_long: Rows over ``max_length``, with ``overlong="drop"``.
        dropped_unsupervised: Rows without a token to learn, after truncation; the first token does not count, since
            nothing predicts it.
        places: The first few places of each kind of ``truncated`` and ``dropped_*``.
    """

    read: int = 0
    kept: int = 0
    truncated: int = 0
    dropped_long: int = 0
    dropped_unsupervised: int = 0
    places: dict[str, list[str]] = field(default_factory=dict)

    def count(self, kind: str, place: str) -> None:
        """Count one row of a ``kind``, and remember its place for messages."""
        setattr(self, kind, getattr(self, kind) + 1)
        named = self.places.setdefault(kind, [])
        if len(named) < _NAMED:
            named.append(place)

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """Describe the counts in one line."""
        kinds = {
            "truncated": "truncated to max_length",
            "dropped_long": "dropped: over max_length",
            "dropped_unsupervised": "dropped: no token to learn",
        }
        parts = [f"{self.read:,} rows read, {self.kept:,} kept"]
        for kind, places in self.places.items():
            number = getattr(self, kind)
            more = ", …" if number > len(places) else ""
            parts.append(f"{number:,} {kinds[kind]} ({', '.join(places)}{more})")
        return "; ".join(parts)


class ExampleStream:
    """The examples of a data set in input order, read and tokenised on demand.

    Iterating again reads the source again.

    Attributes:
        report: What became of the rows of the latest iteration; it fills up while that runs.
    """

    def __init__(
        self,
        source: Source,
        tokenizer: Tokenizer | None,
        *,
        max_length: int | None = None,
        overlong: Overlong = "truncate",
        loss_on: LossOn = "auto",
        split: str = "train",
        limit: int | None = None,
        context: int | None = None,
        vocabulary: int | None = None,
    ) -> None:
        """Set what to read and how, without reading anything yet.

        Args:
            source: As for :func:`headprint.data.read_rows`; an iterator is read into a list first.
            tokenizer: A transformers tokenizer; None if every row has ``input_ids`` and ``labels``.
            max_length: Tokens of an example at most; None for no limit.
            overlong: What to do with longer rows: truncate them at the end, as TRL does, or drop them.
            loss_on: Which tokens carry loss. ``"auto"``: the completion, the assistant's turns of ``messages``, all of
                ``text``. ``"completion"``, ``"assistant"`` and ``"all"`` are TRL's ``completion_only_loss=True``,
                ``assistant_only_loss=True``, and neither.
            split: Which split of a folder, a hub id, a ``DatasetDict`` or a registered source.
            limit: Read only the first N rows; None for all.
            context: Tokens that the model can read; a row that is longer, after truncation, is refused.
            vocabulary: Token ids and labels must be below this. With a model, pass both as
                ``ExampleStream(..., **headprint.models.limits(model))``.

        Raises:
            InputError: An option is out of range. While iterating: a row is broken or more than the model can read,
                two rows have the same id, or, at the end, no example is left.
        """
        if max_length is not None and max_length < 2:
            raise InputError(f"max_length is {max_length}; it must be 2 tokens at least")
        if limit is not None and limit < 1:
            raise InputError(f"limit is {limit}; it must be 1 row at least")
        if overlong not in get_args(Overlong):
            raise InputError(f"overlong is '{overlong}'; choose one of {', '.join(get_args(Overlong))}")
        if loss_on not in get_args(LossOn):
            raise InputError(f"loss_on is '{loss_on}'; choose one of {', '.join(get_args(LossOn))}")
        self.source = list(source) if isinstance(source, Iterator) else source
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.overlong = overlong
        self.loss_on: LossOn = loss_on
        self.split = split
        self.limit = limit
        self.context = context
        self.vocabulary = vocabulary
        self.report = Report()

    def __iter__(self) -> Iterator[Example]:
        """Read from the beginning, with a new ``report``."""
        report = self.report = Report()
        seen = _Seen()
        named = True
        for number, (row, tokens) in enumerate(self._tokenised()):
            given = own_id(row)
            if number == 0:
                named = given is not None
            if named != (given is not None):
                raise InputError(
                    f"{row.place}: {'no' if named else 'an'} 'id', unlike the rows before; "
                    "give every row an id, or none"
                )
            if given is not None and seen.add(given):
                self._refuse_duplicate(row.place, given)
            report.read += 1
            if isinstance(tokens, InputError):
                raise tokens
            if example := self._fit(Example(given or str(number), *tokens), row.place, report):
                report.kept += 1
                yield example
        if not report.kept:
            raise InputError(f"no example is left: {report}; check max_length and the rows named")

    def _tokenised(self) -> Iterator[tuple[Row, tuple[list[int], list[int]] | InputError]]:
        """Yield each row with its tokens or its error, which is raised when it is that row's turn."""
        rows = islice(read_rows(self.source, split=self.split), self.limit)
        for some in _batched(rows, _TOKENISED):
            yield from zip(some, tokenize_rows(some, self.tokenizer, loss_on=self.loss_on), strict=True)

    def _fit(self, example: Example, place: str, report: Report) -> Example | None:
        long = self.max_length is not None and len(example.input_ids) > self.max_length
        if long and self.overlong == "drop":
            report.count("dropped_long", place)
            return None
        if long:
            example = Example(example.id, example.input_ids[: self.max_length], example.labels[: self.max_length])
        if not example.supervised:
            report.count("dropped_unsupervised", place)
            return None
        fix = f"shorten or drop the row, or truncate it with max_length={self.context} (--max-length {self.context})"
        check_limits(example, place, context=self.context, vocabulary=self.vocabulary, fix=fix)
        if long:
            report.count("truncated", place)
        return example

    def _refuse_duplicate(self, place: str, own: str) -> None:
        """Find the first row with this id by reading again; if it is this one, only the hashes collided."""
        rows = read_rows(self.source, split=self.split)
        first = next(row.place for row in rows if own_id(row) == own)
        if first != place:
            raise InputError(f"{place}: the id '{own}' is that of {first}; ids must be unique")


def _batched(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Yield ``size`` rows at a time; rows before a broken one are yielded before its error is raised."""
    some: list[Row] = []
    try:
        for row in rows:
            some.append(row)
            if len(some) == size:
                yield some
                some = []
    except Exception:
        if some:
            yield some
        raise
    if some:
        yield some


class _Seen:
    """The hashes of all ids so far: 8 bytes each in a sorted array, the newest in a small set."""

    block = 1 << 16

    def __init__(self) -> None:
        self._old = np.empty(0, np.int64)
        self._new: set[int] = set()

    def add(self, value: str) -> bool:
        """Add one and return whether its hash was there before; the caller checks whether the value was."""
        key = hash(value)
        at = int(np.searchsorted(self._old, key))
        if key in self._new or (at < len(self._old) and self._old[at] == key):
            return True
        self._new.add(key)
        if len(self._new) == self.block:
            newest = np.fromiter(self._new, np.int64, len(self._new))
            self._old = np.sort(np.concatenate([self._old, newest]))
            self._new.clear()
        return False
