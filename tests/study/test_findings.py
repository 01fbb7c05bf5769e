"""Findings: the rules of the verdicts, by hand-made exhibits; sentences that hold the exhibits' own numbers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from headprint.study.applications import gap
from headprint.study.checks import Check, judged, judged_share, verdict
from headprint.study.estimates import difference, ends_of, mean_of, number, value_of, written
from headprint.study.findings import CLAIMS, findings
from support.made_results import made_results, small_results

STATES = (True, False, None)


def by_key(exhibits) -> dict[str, dict]:
    return {finding["key"]: finding for finding in findings(exhibits)}


def interval(value: float, half: float = 0.01) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def table1(changes: list[float]) -> dict:
    cells = [
        {
            "model": "lab",
            "task": f"task{i}",
            "seeds": 5,
            "before": {"gini": interval(0.5), "cv": interval(1.0), "kurtosis": interval(3.0)},
            "after": {"gini": interval(0.5 + x), "cv": interval(1.0 + x), "kurtosis": interval(3.0 + x)},
            "change": {"gini": interval(x), "cv": interval(x), "kurtosis": interval(x)},
        }
        for i, x in enumerate(changes)
    ]
    return {"table1": {"paper": [], "rows": cells, "summary": cells}}


def test_nothing_is_tested_without_exhibits() -> None:
    found = findings({})
    assert [finding["key"] for finding in found] == list(CLAIMS)
    for finding in found:
        assert finding["verdict"] == "not tested"
        assert finding["checks"] == []
        assert finding["here"] == "Not tested in this run."


@pytest.mark.parametrize("states", itertools.chain(*(itertools.product(STATES, repeat=n) for n in range(4))))
def test_a_verdict_is_what_its_checks_add_up_to(states) -> None:
    found = verdict([Check("", state) for state in states])
    holding, failing = states.count(True), states.count(False)
    if not states:
        assert found == "not tested"
    elif holding == len(states):
        assert found == "replicates"
    elif holding == 0 and failing > 0:
        assert found == "does not"
    else:
        assert found == "mixed"


def test_a_number_is_judged_by_its_whole_interval() -> None:
    assert judged(interval(0.5, 0.4)) is True
    assert judged(interval(-0.5, 0.4)) is False
    assert judged(interval(-0.5, 0.4), -1) is True
    assert judged(interval(0.5, 0.6)) is None
    assert judged({"value": 0.5, "low": None, "high": None}) is None
    assert judged(None) is None
    assert [judged_share(count, 8) for count in (8, 6, 5, 3, 2, 0)] == [True, True, None, None, False, False]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([-0.1, -0.12, -0.08, -0.11], "replicates"),
        ([0.1, 0.12, 0.08, 0.11], "does not"),
        ([-0.1, -0.12, 0.11, 0.1], "mixed"),
        ([-0.1, -0.12, -0.08, 0.3], "mixed"),  # falls in most tasks, and not on average
        ([-0.1], "replicates"),  # a single task is judged by its own interval
        ([0.005], "does not"),  # rises, and in none of the tasks it falls
    ],
)
def test_spreading(changes, expected) -> None:
    found = by_key(table1(changes))["spreading"]
    assert found["verdict"] == expected
    fell = sum(x < 0 for x in changes)
    assert f"fell in {fell} of {len(changes)} tasks" in found["here"]


def test_the_mean_change_is_that_of_the_tasks_with_students_interval() -> None:
    changes = [-0.2, -0.1, -0.05]
    text = by_key(table1(changes))["spreading"]["here"]
    half = stats.t.ppf(0.975, 2) * np.std(changes, ddof=1) / math.sqrt(3)
    assert written(interval(np.mean(changes), half), signed=True) in text


def test_exceptions_are_named() -> None:
    text = by_key(table1([-0.1, -0.1, -0.1, 0.2]))["spreading"]["here"]
    assert "not in task3" in text


def fig4(*, best: list[str], rank: float, above: dict, p: float) -> dict:
    subsets = [
        {"tasks": ["math", "code"], "weights": {}, "r2": 0.8, "null": {"mean": 0, "high": 0.2, "p_value": p}},
        {"tasks": ["math", "facts"], "weights": {}, "r2": 0.7, "null": {"mean": 0, "high": 0.2, "p_value": 1.0}},
    ]
    about = {"model": "lab", "target": "math_code", "method": "nnls"}
    fit = {
        **about,
        "seed": 0,
        "named": ["code", "math"],
        "decomposition": {"subsets": subsets, "gaps": [], "weights": {}},
    }
    numbers = {"named_rank": interval(rank), "r2_named": interval(0.8), "r2_best_pair": interval(0.81)}
    cell = {**about, "seeds": 5, "best": best, "r2_median_pair": interval(0.5), "above_median": above, **numbers}
    return {"fig4": {"fits": [fit], "summary": [cell]}}


@pytest.mark.parametrize(
    ("best", "above", "p", "expected"),
    [
        (["math", "code"], interval(0.3), 0.001, "replicates"),
        (["math", "facts"], interval(0.3), 0.001, "mixed"),
        (["math", "code"], interval(0.3), 0.4, "mixed"),
        (["math", "facts"], interval(0.3, 0.5), 0.4, "does not"),
    ],
)
def test_composition(best, above, p, expected) -> None:
    found = by_key(fig4(best=best, rank=1.0, above=above, p=p))["composition"]
    assert found["verdict"] == expected
    assert ("the pair it is made of" in found["here"]) == (set(best) == {"math", "code"})


def test_a_single_fit_is_judged_by_its_own_gap_over_examples() -> None:
    exhibits = fig4(best=["math", "code"], rank=1.0, above={"value": 0.3, "low": None, "high": None}, p=0.001)
    assert by_key(exhibits)["composition"]["verdict"] == "mixed"
    gaps = [{"size": 3, "value": interval(-1)}, {"size": 2, "value": interval(0.3)}]
    exhibits["fig4"]["fits"][0]["decomposition"]["gaps"] = gaps
    assert by_key(exhibits)["composition"]["verdict"] == "replicates"


def fig5(way: list[float]) -> dict:
    steps = [0, 1, 2, 4, 8, 16, 32, 64][: len(way)]
    run = {"model": "lab", "task": "math", "seed": 0, "steps": steps, "mse": [interval(x) for x in way]}
    return {"fig5": {"runs": [{**run, "correlation": [interval(1 - x) for x in way]}]}}


@pytest.mark.parametrize(
    ("way", "expected", "share"),
    [
        ([0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0], "replicates", "6.2 %"),
        ([0, 0.0, 0.0, 0.1, 0.1, 0.2, 0.4, 1.0], "does not", "100.0 %"),
        ([0, 0.0, 0.0, 0.1, 0.1, 0.5, 0.8, 1.0], "replicates", "25.0 %"),
    ],
)
def test_few_samples(way, expected, share) -> None:
    found = by_key(fig5(way))["few_samples"]
    assert found["verdict"] == expected
    assert share in found["number"]


def test_patterns_that_never_move_test_nothing() -> None:
    assert by_key(fig5([0.0] * 8))["few_samples"]["verdict"] == "not tested"


def arms(table: str, accuracies: dict[str, list[float]], *, accuracy: bool = True) -> dict:
    rows = [
        {
            "model": "lab",
            "target": "math_code",
            "arm": arm,
            "seed": seed,
            "accuracy": interval(x, 0.05) if accuracy else None,
            "loss": interval(2 - x),
        }
        for arm, values in accuracies.items()
        for seed, x in enumerate(values)
    ]
    return {table: {"rows": rows, "summary": []}}


def test_arms_are_compared_seed_by_seed() -> None:
    """The arms differ less than the seeds do, so only paired differences can tell."""
    rng = np.random.default_rng(0)
    of_seed = rng.uniform(0.1, 0.9, 5)
    better = of_seed + rng.uniform(0.01, 0.02, 5)
    rows = arms("table2", {"target": of_seed, "mixture": better})["table2"]["rows"]
    found = gap(rows, "mixture", "target", "accuracy")
    expected = stats.ttest_rel(better, of_seed).confidence_interval()
    np.testing.assert_allclose([found["low"], found["high"]], expected)
    assert found["low"] > 0
    assert stats.ttest_ind(better, of_seed).confidence_interval().low < 0


def test_seeds_that_only_one_arm_has_are_left_out() -> None:
    rows = arms("table2", {"target": [0.1, 0.2], "mixture": [0.3, 0.5, 0.9]})["table2"]["rows"]
    assert gap(rows, "mixture", "target", "accuracy")["value"] == pytest.approx(0.25)


def test_one_seed_has_an_interval_over_examples() -> None:
    rows = arms("table2", {"target": [0.2], "mixture": [0.5]})["table2"]["rows"]
    found = gap(rows, "mixture", "target", "accuracy")
    assert vars(found) == pytest.approx(
        {"value": 0.3, "low": 0.3 - math.hypot(0.05, 0.05), "high": 0.3 + math.hypot(0.05, 0.05)}
    )


@pytest.mark.parametrize(
    ("target", "random", "mixture", "expected"),
    [
        ([0.1, 0.12, 0.11], [0.2, 0.21, 0.22], [0.5, 0.51, 0.52], "replicates"),
        ([0.5, 0.51, 0.52], [0.2, 0.21, 0.22], [0.3, 0.31, 0.32], "mixed"),
        ([0.5, 0.51, 0.52], [0.4, 0.41, 0.42], [0.1, 0.12, 0.11], "does not"),
    ],
)
@pytest.mark.parametrize("accuracy", [True, False])
def test_mixture(target, random, mixture, expected, accuracy) -> None:
    given = {"base": [0.0] * 3, "target": target, "random": random, "mixture": mixture}
    found = by_key(arms("table2", given, accuracy=accuracy))["mixture"]
    assert found["verdict"] == expected
    assert len(found["checks"]) == 2
    assert ("accuracy" in found["here"]) == accuracy


def test_a_control_is_told_and_not_judged() -> None:
    given = {"target": [0.1, 0.12], "random": [0.2, 0.21], "mixture": [0.5, 0.51], "permuted": [0.8, 0.81]}
    found = by_key(arms("table2", given))["mixture"]
    assert len(found["checks"]) == 2
    assert "against its shares permuted over the tasks" in found["here"]


def test_selection_counts_every_pattern_method() -> None:
    given = {
        "target": [0.9, 0.91],
        "random": [0.3, 0.31],
        "raw-correlation": [0.5, 0.51],
        "change-cosine": [0.1, 0.11],
        "bm25": [0.7, 0.7],
    }
    found = by_key(arms("table3", given))["selection"]
    assert found["verdict"] == "mixed"
    assert [check["holds"] for check in found["checks"]] == [True, False]
    assert "1 of 2 pattern methods beat random rows (raw-correlation), change-cosine did worse" in found["here"]


def ablation(active: list[float], changed: list[float], draws: int = 20) -> dict:
    rows = [
        {
            "model": "lab",
            "task": "math",
            "seed": 0,
            "mode": "zero",
            "k": k,
            "choice": choice,
            "loss": interval(0.1),
            "p": p,
        }
        for choice, chances in (("active", active), ("changed", changed), ("random", [None] * len(active)))
        for k, p in enumerate(chances)
    ]
    for row in rows:
        row["draws"] = draws if row["choice"] == "random" else 1
    return {"ablation": {"rows": rows, "summary": []}}


@pytest.mark.parametrize(
    ("active", "changed", "expected"),
    [([0.01] * 4, [0.02] * 4, "replicates"), ([0.5] * 4, [0.9] * 4, "does not"), ([0.01] * 4, [0.9] * 4, "mixed")],
)
def test_causal(active, changed, expected) -> None:
    found = by_key(ablation(active, changed))["causal"]
    assert found["verdict"] == expected
    assert f"in {sum(p <= 0.05 for p in active)} of 4 comparisons" in found["here"]


@pytest.mark.parametrize(("draws", "verdict_of"), [(18, "not tested"), (19, "does not")])
def test_too_few_random_heads_cannot_tell(draws, verdict_of) -> None:
    found = by_key(ablation([0.06] * 4, [0.06] * 4, draws))["causal"]
    assert found["verdict"] == verdict_of
    assert ("Too few random sets of heads" in found["here"]) == (draws == 18)


def test_accuracies_that_nobody_has_leave_it_to_the_loss() -> None:
    exhibits = arms("table2", {"target": [0.1, 0.12], "random": [0.2, 0.21], "mixture": [0.5, 0.51]})
    for row in exhibits["table2"]["rows"]:
        row["accuracy"] = interval(0.0, 0.1)
    found = by_key(exhibits)["mixture"]
    assert found["verdict"] == "replicates"
    assert "loss by −0.39" in found["here"]
    assert found["number"] == "math_code: loss target 1.89, random 1.79, mixture 1.50"
    exhibits["table2"]["rows"][0]["accuracy"] = interval(0.01, 0.1)
    assert by_key(exhibits)["mixture"]["verdict"] == "mixed"


def test_a_single_pair_is_not_called_the_best() -> None:
    exhibits = fig4(best=["math", "code"], rank=1.0, above=interval(0.3), p=0.5)
    fit = exhibits["fig4"]["fits"][0]
    fit["decomposition"]["subsets"] = [x for x in fit["decomposition"]["subsets"] if "code" in x["tasks"]]
    found = by_key(exhibits)["composition"]
    assert [check["holds"] for check in found["checks"]] == [False]
    assert found["verdict"] == "does not"


def test_training_may_be_too_short_to_tell() -> None:
    found = by_key(fig5([0, 0.9, 1.0, 1.0]))["few_samples"]
    assert found["verdict"] == "not tested"
    assert found["here"] == "Training of 4 steps is too short to tell early from late."


@pytest.mark.parametrize("options", [{}, {"seeds": 1}, {"models": ("one", "two")}])
def test_made_up_results_of_every_kind(options) -> None:
    found = findings(small_results(**options)["exhibits"])
    assert all(finding["checks"] and finding["here"].endswith(".") for finding in found)
    assert not any("None" in str(finding["here"]) + str(finding["number"]) for finding in found)
    if "models" in options:
        assert "math_code (one)" in next(f for f in found if f["key"] == "mixture")["here"]


def test_numbers_that_do_not_exist_are_left_out() -> None:
    exhibits = made_results(seeds=1)["exhibits"]
    for row in exhibits["table2"]["rows"]:
        row["accuracy"] = None
    for cell in exhibits["table1"]["summary"]:
        cell["change"]["cv"] = {"value": None, "low": None, "high": None}
    found = by_key(exhibits)
    assert "loss" in found["mixture"]["here"]
    assert "accuracy" not in found["mixture"]["here"]
    assert len(found["spreading"]["checks"]) == 1


def test_estimates() -> None:
    assert value_of({"value": float("nan")}) is None
    assert value_of(2) == 2.0
    assert value_of(None) is value_of("2") is None
    assert ends_of({"value": 1.0, "low": 0.5, "high": None}) is None
    assert vars(mean_of([])) == {"value": None, "low": None, "high": None}
    assert vars(mean_of([3.0])) == {"value": 3.0, "low": None, "high": None}
    low, high = stats.t.interval(0.9, 3, loc=2.5, scale=stats.sem([1, 2, 3, 4]))
    assert vars(mean_of([1, 2, 3, 4], 0.9)) == pytest.approx({"value": 2.5, "low": low, "high": high})
    assert difference(interval(1), None)["value"] is None
    assert vars(difference(interval(1), 0.5)) == {"value": 0.5, "low": None, "high": None}


def test_numbers_for_people() -> None:
    assert number(None) == "–"
    assert number(-0.1234) == "−0.12"
    assert number(0.1234, percent=True, signed=True) == "+12.3 %"
    assert number(0.000123456, None) == "0.000123"
    assert number(12345.0, 0) == "12,345"
    assert written({"value": 0.5, "low": 0.25, "high": 0.75}, percent=True) == "50.0 % [25.0, 75.0]"
    assert written({"value": 0.5, "low": None, "high": 0.75}) == "0.50"
