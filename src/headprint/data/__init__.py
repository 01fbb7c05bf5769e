"""Data: rows from any source, and the tokens and labels that training would see.

:mod:`~headprint.data.rows` reads rows from files, the hub, memory or a source that another package registers
(:mod:`~headprint.data.sources`); :mod:`~headprint.data.tokenization` and :mod:`~headprint.data.chat` turn a row into
tokens and labels, as TRL does; :class:`ExampleStream` does both for a whole data set and reports what became of its
rows.
"""

from headprint.data.chat import Tokenizer
from headprint.data.examples import ExampleStream, Report
from headprint.data.rows import Row, count_rows, describe, fingerprint, own_id, read_rows, row_id
from headprint.data.sources import SOURCES, DataSource, Source, scheme_of, without_scheme
from headprint.data.tokenization import IGNORE, Example, check_limits, tokenize_row

__all__ = [
    "IGNORE",
    "SOURCES",
    "DataSource",
    "Example",
    "ExampleStream",
    "Report",
    "Row",
    "Source",
    "Tokenizer",
    "check_limits",
    "count_rows",
    "describe",
    "fingerprint",
    "own_id",
    "read_rows",
    "row_id",
    "scheme_of",
    "tokenize_row",
    "without_scheme",
]
