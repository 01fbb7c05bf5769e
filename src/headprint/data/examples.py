"""A data set as a stream of examples: read, tokenised, cut, counted.

`headprint.data.rows` reads, `headprint.data.tokenization` tokenises; here are the rules that concern more than one
row: unique ids, over-long rows, rows without a token to learn, and the report of all that.
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
_NAMED = 5  # places kept for messages, of each kind


@dataclass(slots=True)
class Report:
    """What became of the rows: `read = kept + dropped_long + dropped_unsupervised`.

    Attributes:
        read: Rows read.
        kept: Examples yielded.
        cut: Of those, the ones shortened to `max_length`.
        dropped_long: Rows over `max_length`, with `overlong="drop"`.
        dropped_unsupervised: Rows without a token to learn (after the cut, and not counting the
            first token, which nothing predicts).
        places: The first few places of each kind of `cut` and `dropped_*`.
    """

    read: int = 0
    kept: int = 0
    cut: int = 0
    dropped_long: int = 0
    dropped_unsupervised: int = 0
    places: dict[str, list[str]] = field(default_factory=dict)

    def count(self, kind: str, place: str) -> None:
        """Add one row of a `kind` that is named in messages."""
        setattr(self, kind, getattr(self, kind) + 1)
        named = self.places.setdefault(kind, [])
        if len(named) < _NAMED:
            named.append(place)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """One line, for people."""
        kinds = {
            "cut": "cut to max_length",
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
    """The examples of a data set, in input order, read and tokenised as they are asked for.

    Iterating again reads again. `report` tells what became of the rows of the latest iteration,
    and fills as it goes.
    """

    def __init__(
        self,
        source: Source,
        tokenizer: Tokenizer | None,
        *,
        max_length: int | None = None,
        overlong: Overlong = "cut",
        loss_on: LossOn = "auto",
        split: str = "train",
        limit: int | None = None,
        context: int | None = None,
        vocabulary: int | None = None,
    ) -> None:
        """Set what to read and how; nothing is read yet.

        Args:
            source: As `headprint.data.rows.read_rows`; an iterator is read into a list first.
            tokenizer: A transformers tokenizer; None if every row has `input_ids` and `labels`.
            max_length: The most tokens an example may have; None for no limit.
            overlong: Cut longer rows at the end (as TRL does) or drop them.
            loss_on: Where the loss is. "auto": on the completion, on the assistant's turns of
                `messages`, on all of `text`. "completion", "assistant" and "all" are TRL's
                `completion_only_loss=True`, `assistant_only_loss=True`, and neither.
            split: Which split of a folder, hub id or `DatasetDict`.
            limit: Read the first `limit` rows only.
            context: Tokens that the model reads at most; a longer row, after the cut, is refused.
            vocabulary: Token ids and labels must be below this. With a model, pass both of
                `headprint.models.limits`: `ExampleStream(..., **limits(model))`.

        Raises:
            InputError: An option is out of range; while iterating, a row is broken or more than the
                model can read, two rows have the same id, or, at the end, no example is left.
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
        """Read from the beginning, with a new `report`."""
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
        """Each row with its tokens or its error, for the reader to raise when it is that row's turn."""
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
        fix = f"shorten or drop the row, or cut long rows with max_length={self.context} (--max-length {self.context})"
        check_limits(example, place, context=self.context, vocabulary=self.vocabulary, fix=fix)
        if long:
            report.count("cut", place)
        return example

    def _refuse_duplicate(self, place: str, own: str) -> None:
        """Find the first row of this id by reading again; it is this one if only hashes met."""
        rows = read_rows(self.source, split=self.split)
        first = next(row.place for row in rows if own_id(row) == own)
        if first != place:
            raise InputError(f"{place}: the id '{own}' is that of {first}; ids must be unique")


def _batched(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """So many rows at a time; what stands before a broken row comes out before its error does."""
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
    """Hashes of the ids met so far: 8 bytes each, sorted, but for a small set of the newest."""

    block = 1 << 16

    def __init__(self) -> None:
        self._old = np.empty(0, np.int64)
        self._new: set[int] = set()

    def add(self, value: str) -> bool:
        """Add one; True if its hash was there before (the caller confirms that the value was)."""
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
