"""A data set as a stream of examples: read, tokenised, truncated and counted.

:mod:`headprint.data.rows` reads and :mod:`headprint.data.tokenization` tokenises. Here are the rules for the data set
as a whole: unique ids, rows that are too long or have no token to learn, and the report of what became of each.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from headprint.base.errors import InputError
from headprint.base.options import ReadingOptions, from_keywords, takes_options
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

    @takes_options(ReadingOptions)
    def __init__(
        self,
        source: Source,
        tokenizer: Tokenizer | None,
        *,
        context: int | None = None,
        vocabulary: int | None = None,
        options: ReadingOptions | None = None,
        **fields: Any,
    ) -> None:
        """Set what to read and how, without reading anything yet.

        Args:
            source: As for :func:`headprint.data.read_rows`; an iterator is read into a list first.
            tokenizer: A transformers tokenizer; None if every row has ``input_ids`` and ``labels``.
            context: Tokens that the model can read; a row that is longer, after truncation, is refused.
            vocabulary: Token ids and labels must be below this. With a model, pass both as
                ``ExampleStream(..., **headprint.models.limits(model))``.
            options: All of the following in one object; keyword arguments take precedence over it.
            {options}

        Raises:
            InputError: An option is out of range. While iterating: a row is broken or more than the model can read,
                two rows have the same id, or, at the end, no example is left.
        """
        self.source = list(source) if isinstance(source, Iterator) else source
        self.tokenizer = tokenizer
        self.options = from_keywords(ReadingOptions, options, fields)
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
        rows = islice(read_rows(self.source, split=self.options.split), self.options.limit)
        for some in _batched(rows, _TOKENISED):
            yield from zip(some, tokenize_rows(some, self.tokenizer, loss_on=self.options.loss_on), strict=True)

    def _fit(self, example: Example, place: str, report: Report) -> Example | None:
        longest = self.options.max_length
        long = longest is not None and len(example.input_ids) > longest
        if long and self.options.overlong == "drop":
            report.count("dropped_long", place)
            return None
        if long:
            example = Example(example.id, example.input_ids[:longest], example.labels[:longest])
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
        rows = read_rows(self.source, split=self.options.split)
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
