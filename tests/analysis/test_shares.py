"""Shares of a mixture: the fit by brute force, and everything around it one number at a time."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headprint.analysis.bootstrap import Bootstrap
from headprint.analysis.decomposition import decompose
from headprint.analysis.decomposition.shares import PENALTIES, scaled_fit, shares_at
from headprint.patterns import PatternSet
from support.pattern_sets import around, random_pattern

QUIET = {"permutations": 0, "bootstrap": Bootstrap(draws=0)}


def brute_force(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """The best of all supports: on each, the normal equations."""
    tasks = x.shape[1]
    if np.isinf(penalty):
        mean = sum(x.T) / tasks
        return np.full(tasks, max(0.0, mean @ y / (mean @ mean)) / tasks)
    uneven = np.eye(tasks) - np.full((tasks, tasks), 1 / tasks)
    quadratic, linear = x.T @ x + penalty * uneven.T @ uneven, x.T @ y
    best, least = np.zeros(tasks), y @ y
    for size in range(1, tasks + 1):
        for support in map(list, combinations(range(tasks), size)):
            beta = np.zeros(tasks)
            beta[support] = np.linalg.solve(quadratic[np.ix_(support, support)], linear[support])
            value = ((y - x @ beta) ** 2).sum() + penalty * ((beta - beta.mean()) ** 2).sum()
            if (beta >= 0).all() and value < least:
                best, least = beta, value
    return best


@given(seed=st.integers(0, 10_000), penalty=st.sampled_from([0.0, 1e-3, 0.3, 1.0, 50.0, np.inf]))
@settings(max_examples=40, deadline=None)
def test_the_fit_is_that_of_brute_force(seed: int, penalty: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((12, 4))
    y = x @ rng.dirichlet(np.ones(4)) * 0.2 + rng.standard_normal(12) * rng.choice([0.0, 0.1, 3.0])
    np.testing.assert_allclose(scaled_fit(x, y, penalty), brute_force(x, y, penalty), atol=1e-12)


def test_what_tasks_do_not_explain_of_a_target_does_not_even_out_its_shares() -> None:
    x = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 4)))[0]
    y = 0.05 * (0.75 * x[:, 0] + 0.25 * x[:, 1]) + x[:, 3]
    triangle = np.column_stack([x[:, :3], y])
    np.testing.assert_allclose(shares_at(triangle, 0.0), [0.75, 0.25, 0], atol=1e-12)
    np.testing.assert_allclose(shares_at(triangle, 1e6), [1 / 3] * 3, atol=1e-5)
    np.testing.assert_allclose(shares_at(np.column_stack([x[:, :3], -y]), 0.0), [1 / 3] * 3)


def plain_shares(x: np.ndarray, rows: np.ndarray, weights: np.ndarray, seed: int = 0) -> tuple[np.ndarray, float]:
    """Shares and λ: columns x (P, K), the target's rows (N, P), and the diagonal of Σ⁻¹ (P,)."""
    y = sum(rows) / len(rows)
    norm = np.sqrt((y**2).sum())
    x = np.stack([column / np.sqrt((column**2).sum()) for column in x.T], axis=-1)
    root = np.sqrt(weights)
    unit = np.mean([(weights * column**2).sum() for column in x.T])
    parts = np.array_split(np.random.default_rng(seed).permutation(len(rows)), min(10, len(rows)))
    errors = []
    for penalty in PENALTIES:
        error = []
        for part in parts:
            rest = [n for n in range(len(rows)) if n not in part]
            beta = brute_force(root[:, None] * x, root * rows[rest].mean(axis=0) / norm, penalty * unit)
            error.append((weights * (rows[part].mean(axis=0) / norm - x @ beta) ** 2).sum())
        errors.append(error)
    best = errors[int(np.argmin([np.mean(each) for each in errors]))]
    for penalty, error in zip(PENALTIES, errors, strict=True):
        worse = np.array(error) - best
        if worse.mean() <= np.sqrt(((worse - worse.mean()) ** 2).sum() / (len(parts) - 1) / len(parts)):
            chosen = penalty
    beta = brute_force(root[:, None] * x, root * y / norm, chosen * unit)
    return beta / beta.sum() if beta.any() else np.full(len(beta), 1 / len(beta)), chosen


@pytest.mark.parametrize("relative", [False, True])
def test_shares_of_changes(relative: bool) -> None:
    pairs = {
        name: (around(random_pattern(10 + i), n, 0.5, 2 * i), around(random_pattern(20 + i), n, 0.5, 2 * i + 1))
        for i, (name, n) in enumerate([("t", 12), ("math", 15), ("code", 13), ("facts", 14)])
    }

    def rows(pair: tuple[PatternSet, PatternSet]) -> np.ndarray:
        before, after = (np.abs(each.values.astype(float)).reshape(len(each), -1) for each in pair)
        return (after - before) / (before.mean(axis=0) if relative else 1.0)

    target, *basics = map(rows, pairs.values())
    variance = target.var(axis=0)
    expected, penalty = plain_shares(
        np.stack([each.mean(axis=0) for each in basics], -1), target, 1 / ((variance + variance.mean()) / 2)
    )
    found = decompose(pairs.pop("t"), pairs, relative=relative, **QUIET).mixture
    assert found.penalty == penalty
    np.testing.assert_allclose([share.value for share in found.shares.values()], expected, atol=1e-11)


def gradients(n: int, seed: int, mean: np.ndarray) -> PatternSet:
    rng = np.random.default_rng(seed)
    sketches = (mean + rng.standard_normal((n, *mean.shape))).astype(np.float32)
    ids = [f"{seed}-{row}" for row in range(n)]
    return PatternSet(sketches[..., 0], ids, np.ones(n), np.ones(n), {"sketch_seed": 0}, sketches)


def test_shares_of_gradients() -> None:
    rng = np.random.default_rng(1)
    means = {name: rng.standard_normal((2, 3, 4)) for name in ("math", "code", "facts")}
    means = {"t": 0.6 * means["math"] + 0.4 * means["code"], **means}
    sets = {name: gradients(12 + i, i, mean) for i, (name, mean) in enumerate(means.items())}
    squares = sum((each.sketches.astype(float) ** 2).sum(axis=0).mean(axis=-1) for each in sets.values())
    unit = np.sqrt(squares / sum(map(len, sets.values())))
    target, *basics = ((each.sketches / unit[..., None]).reshape(len(each), -1) for each in sets.values())
    x = np.stack([each.mean(axis=0) for each in basics], axis=-1)
    expected, penalty = plain_shares(x, target, np.ones(len(x)))
    found = decompose(sets.pop("t"), sets, by="gradients", **QUIET).mixture
    assert found.penalty == penalty
    np.testing.assert_allclose([share.value for share in found.shares.values()], expected, atol=1e-11)


def test_a_target_that_is_like_no_task_is_mixed_evenly_and_one_that_is_like_two_is_not() -> None:
    rng = np.random.default_rng(2)
    means = {name: rng.standard_normal((3, 4, 5)) for name in ("math", "code", "facts", "coref")}
    basics = {name: gradients(30, i, mean) for i, (name, mean) in enumerate(means.items())}
    made = decompose(
        gradients(30, 8, 0.5 * (means["math"] + means["code"])), basics, by="gradients", permutations=0
    ).mixture
    assert made.shares["math"].value + made.shares["code"].value > 0.9
    assert made.shares["math"].low <= 0.5 <= made.shares["math"].high
    off = []  # of targets whose mean is noise, which no fit can know
    for seed in range(9, 15):
        shares = decompose(gradients(30, seed, 0 * means["math"]), basics, by="gradients", **QUIET).mixture.shares
        assert sum(share.value for share in shares.values()) == pytest.approx(1)
        off.append(max(abs(share.value - 0.25) for share in shares.values()))
    assert np.mean(off) < 0.1


def test_a_target_without_rows_has_no_mixture() -> None:
    before, after = around(random_pattern(0), 8), around(random_pattern(1), 8, seed=1)
    change = after.pattern() - before.pattern()
    assert decompose(change, {"math": (before, after)}, **QUIET).mixture is None
    assert decompose((before[:1], after[:1]), {"math": (before, after)}, **QUIET).mixture is None
