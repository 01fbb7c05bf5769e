"""Pattern sets on disk, written shard by shard, for the tests of files."""

from __future__ import annotations

import numpy as np

from headprint.patterns import PatternSetWriter, Shard

SETTINGS = {"model": {"weights": "ab12"}, "dtype": "float32", "shard_size": 3, "lengths": (1, 2)}
PROVENANCE = {"task": "gsm8k", "placement": "example"}


def writer(directory, **options) -> PatternSetWriter:
    given = {"layers": 2, "heads": 3, "settings": SETTINGS, "provenance": PROVENANCE}
    return PatternSetWriter(directory, **{**given, **options})


def shard(index: int, n: int = 3, layers: int = 2, heads: int = 3) -> Shard:
    rng = np.random.default_rng(index)
    return Shard(
        [f"{index}-{i}" for i in range(n)],
        rng.standard_normal((n, layers, heads), np.float32),
        rng.random(n, np.float32),
        rng.integers(1, 99, n, np.int32),
    )


def fill(directory, indices, close: bool = True) -> None:
    with writer(directory) as out:
        for index in indices:
            out.write(index, *shard(index))
        if close:
            out.close({"dropped": 1})


def is_shard(found: Shard, expected: Shard) -> bool:
    return list(found.ids) == list(expected.ids) and all(
        a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)
        for a, b in zip(found[1:4], expected[1:4], strict=True)
    )
