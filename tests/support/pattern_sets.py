"""Pattern sets of given or random levels, in memory and in directories written shard by shard."""

from __future__ import annotations

import numpy as np

from headprint.patterns import PatternSet, PatternSetWriter, Shard

LAYERS, HEADS = 4, 6
SETTINGS = {"model": {"weights": "ab12"}, "dtype": "float32", "shard_size": 3, "lengths": (1, 2)}
PROVENANCE = {"task": "gsm8k", "placement": "example"}


def of_levels(values, ids=None, tokens=None, **provenance) -> PatternSet:
    n = len(values)
    return PatternSet(
        values,
        ids or [f"row-{i}" for i in range(n)],
        np.linspace(0.5, 1.5, n),
        np.arange(1, n + 1) if tokens is None else tokens,
        {"placement": "example", **provenance},
    )


def around(pattern, n=40, noise=0.3, seed=0, **options) -> PatternSet:
    """Signed levels whose absolute values have the given (L, H) pattern as their expectation."""
    rng = np.random.default_rng(seed)
    scale = np.exp(noise * rng.standard_normal((n, *np.shape(pattern))) - noise**2 / 2)
    return of_levels(pattern * scale * rng.choice([-1, 1], scale.shape), **options)


def random_pattern(seed, shape=(LAYERS, HEADS)):
    return np.random.default_rng(seed).lognormal(0, 0.7, shape)


def planted(n=40, noise=0.2, seed=0, tasks=("math", "code", "facts", "coref"), shares=(0.7, 0.4)):
    """Sets before and after of some tasks, and of a target made of the first of them."""
    before = random_pattern(100)
    changes = {task: random_pattern(seed + i) for i, task in enumerate(tasks)}
    target = sum(share * changes[task] for share, task in zip(shares, tasks, strict=False))
    every = {**changes, "target": target}
    sets = {
        task: (around(before, n, noise, 2 * i), around(before + step, n, noise, 2 * i + 1))
        for i, (task, step) in enumerate(every.items())
    }
    return sets.pop("target"), sets


def stored(levels: PatternSet, directory, size: int = 2) -> PatternSet:
    """The same set as a directory of small shards."""
    _, layers, heads = levels.shape
    provenance = levels.provenance
    shape = {"layers": layers, "heads": heads, "layout": levels.layout}
    with PatternSetWriter(directory, **shape, settings={}, provenance=provenance) as writer:
        for index, start in enumerate(range(0, len(levels), size)):
            part = levels[start : start + size]
            sketches = next(part.iter_block_sketches()) if levels.directions else {}
            writer.write(index, part.ids, part.values, part.losses, part.tokens, sketches)
        writer.close({})
    return PatternSet.load(directory)


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
