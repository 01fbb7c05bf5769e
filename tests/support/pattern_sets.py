"""Pattern sets of given or random levels, for the analyses that take nothing else."""

from __future__ import annotations

import numpy as np

from headprint.patterns import PatternSet, PatternSetWriter

LAYERS, HEADS = 4, 6


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


def stored(levels: PatternSet, directory, size: int = 2) -> PatternSet:
    """The same set as a directory of small shards."""
    _, layers, heads = levels.shape
    provenance = levels.provenance
    shape = {"layers": layers, "heads": heads, "directions": levels.directions}
    with PatternSetWriter(directory, **shape, settings={}, provenance=provenance) as writer:
        for index, start in enumerate(range(0, len(levels), size)):
            part = slice(start, start + size)
            writer.write(
                index,
                levels.ids[part],
                levels.values[part],
                levels.losses[part],
                levels.tokens[part],
                levels.sketches[part] if levels.directions else None,
            )
        writer.close({})
    return PatternSet.load(directory)
