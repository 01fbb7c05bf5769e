"""Activation levels of a data set's examples, the patterns and changes made of them, their statistics and their files.

A :class:`PatternSet` holds a level for each example, layer and head. Its mean over the examples, in one of several
readings (:mod:`headprint.patterns.readings`), is a :class:`Pattern`,
and a difference of patterns is a change. A pattern is saved as one safetensors file, a pattern set as a directory of
Parquet shards, which :class:`PatternSetWriter` writes piece by piece; :func:`load` opens both. How they lie on disk is
the business of ``headprint.patterns.storage``, which nothing outside this folder imports.
"""

from headprint.patterns import statistics
from headprint.patterns.pattern import Head, Pattern, shared_heads
from headprint.patterns.pattern_set import PatternSet, load
from headprint.patterns.readings import reading_of
from headprint.patterns.storage.manifest import holds_manifest
from headprint.patterns.storage.shards import Shard
from headprint.patterns.storage.writer import PATTERN_SET_RUN, PatternSetWriter

__all__ = [
    "PATTERN_SET_RUN",
    "Head",
    "Pattern",
    "PatternSet",
    "PatternSetWriter",
    "Shard",
    "holds_manifest",
    "load",
    "reading_of",
    "shared_heads",
    "statistics",
]
