"""The experiments' statistics against plain enumerations."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from scipy.stats import spearmanr

from headprint.study.chapters.evidence import statistics


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_spearman_agrees_with_scipy_also_with_ties(rng: np.random.Generator) -> None:
    x, y = rng.integers(0, 5, 20), rng.normal(size=20)

    assert statistics.spearman(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)


def test_spearman_of_constant_scores_is_missing() -> None:
    assert statistics.spearman([1, 1, 1], [1, 2, 3]) is None


def test_sign_flips_count_all_patterns(rng: np.random.Generator) -> None:
    differences = rng.normal(0.3, 1, 7)
    as_large = [np.dot(signs, differences) >= differences.sum() - 1e-9 for signs in product((1, -1), repeat=7)]

    assert statistics.sign_flips(differences) == pytest.approx(np.mean(as_large))


def test_sign_flips_of_one_sided_differences_are_as_rare_as_can_be() -> None:
    assert statistics.sign_flips([1.0, 2.0, 3.0]) == pytest.approx(1 / 8)
    assert statistics.sign_flips([]) is None


def test_random_sign_flips_come_near_the_exact_share(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    differences = rng.normal(0.3, 1, 12)
    exact = statistics.sign_flips(differences)
    monkeypatch.setattr(statistics, "EXACT", 11)

    assert statistics.sign_flips(differences) == pytest.approx(exact, abs=0.02)


def test_holm_by_hand() -> None:
    found = statistics.holm({"a": 0.04, "b": 0.01, "c": None, "d": 0.03})

    assert found == {"a": pytest.approx(0.06), "b": pytest.approx(0.03), "c": None, "d": pytest.approx(0.06)}


def test_mean_rank_correlation_leaves_constant_targets_out(rng: np.random.Generator) -> None:
    scores, gains = rng.normal(size=(9, 3)), rng.normal(size=(9, 3))
    scores[:, 1] = 1.0
    known = [spearmanr(scores[:, i], gains[:, i]).statistic for i in (0, 2)]

    assert statistics.mean_rank_correlation(scores, gains) == pytest.approx(np.mean(known), abs=1e-12)


def test_permuted_sources_come_near_the_enumerated_null(rng: np.random.Generator) -> None:
    scores, gains = rng.normal(size=(5, 1)), rng.normal(size=(5, 1))
    measured = spearmanr(scores[:, 0], gains[:, 0]).statistic
    null = [spearmanr(order, gains[:, 0]).statistic for order in permutations(scores[:, 0])]

    found = statistics.permuted_sources(scores, gains, draws=4000)

    assert found == pytest.approx(np.mean(np.array(null) >= measured - 1e-12), abs=0.03)


def test_bootstrap_interval_holds_the_correlation_of_many_mixtures(rng: np.random.Generator) -> None:
    scores = rng.normal(size=(80, 4))
    gains = scores + rng.normal(size=(80, 4))

    low, high = statistics.bootstrapped(scores, gains) or (None, None)

    measured = statistics.mean_rank_correlation(scores, gains)
    assert low is not None
    assert high is not None
    assert measured is not None
    assert low < measured < high
    assert high - low < 0.35


def test_the_surface_finds_a_quadratic_again(rng: np.random.Generator) -> None:
    mixtures = rng.dirichlet(np.ones(3), 60)
    outcomes = 0.3 * mixtures[:, 0] - mixtures[:, 1] + 2 * mixtures[:, 0] * mixtures[:, 2]

    surface = statistics.Surface(mixtures, outcomes, ridge=1e-9)

    assert surface.at(mixtures) == pytest.approx(outcomes, abs=1e-5)
    assert surface.lowest(3) == pytest.approx(-1.0, abs=1e-3)


def test_relabelings_are_all_counted(rng: np.random.Generator) -> None:
    mixtures = rng.dirichlet(np.ones(3), 40)
    surface = statistics.Surface(mixtures, mixtures @ [0.0, 1.0, 2.0], ridge=1e-9)

    assert statistics.relabeled([0.7, 0.2, 0.1], surface=surface) == pytest.approx(1 / 6)
    assert statistics.relabeled([0.1, 0.2, 0.7], surface=surface) == 1.0
