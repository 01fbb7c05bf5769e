"""The rules of the verdicts."""

from __future__ import annotations

import itertools

import pytest

from headprint.study.estimates import Estimate
from headprint.study.verdicts import Check, Evidence, concluded, judged, judged_share, listed, sentence, verdict

STATES = (True, False, None)
CHECKS = list(itertools.chain(*(itertools.product(STATES, repeat=n) for n in range(4))))


def checks(states: tuple[bool | None, ...]) -> list[Check]:
    return [Check("", state) for state in states]


@pytest.mark.parametrize("states", CHECKS)
def test_a_verdict_is_what_its_checks_add_up_to(states: tuple[bool | None, ...]) -> None:
    found = verdict(checks(states), seeds=5)
    holding, failing = states.count(True), states.count(False)
    if not states:
        assert found == "not tested"
    elif holding == len(states):
        assert found == "replicates"
    elif holding == failing == 0:
        assert found == "unclear"
    elif holding == 0:
        assert found == "does not"
    else:
        assert found == "mixed"


@pytest.mark.parametrize("states", CHECKS)
@pytest.mark.parametrize("control", STATES)
def test_one_seed_never_says_that_a_claim_replicates_or_not(
    states: tuple[bool | None, ...], control: bool | None
) -> None:
    assert verdict(checks(states), seeds=1, control=control) == ("one seed" if states else "not tested")


@pytest.mark.parametrize("states", CHECKS[1:])
def test_without_a_working_positive_control_nothing_is_decided(states: tuple[bool | None, ...]) -> None:
    assert verdict(checks(states), seeds=5, control=False) == "cannot be decided"
    assert verdict(checks(states), seeds=5, control=True) == verdict(checks(states), seeds=5)


def test_a_number_is_judged_by_its_whole_interval() -> None:
    assert judged(Estimate(0.5, 0.1, 0.9)) is True
    assert judged(Estimate(-0.5, -0.9, -0.1)) is False
    assert judged(Estimate(-0.5, -0.9, -0.1), -1) is True
    assert judged(Estimate(0.5, -0.1, 1.1)) is None
    assert judged(Estimate(0.5)) is None
    assert judged(0.5) is judged(None) is None
    assert [judged_share(count, 8) for count in (8, 6, 5, 3, 2, 0)] == [True, True, None, None, False, False]


def test_what_a_verdict_means_is_said_by_the_evidence_then_the_claim_then_in_general() -> None:
    def meaning(evidence: Evidence, seeds: int = 5) -> str:
        meanings = {"mixed": "of the claim", "replicates": "yes"}
        return concluded("key", "The claim.", evidence, seeds=seeds, meanings=meanings).meaning  # type: ignore[arg-type]

    mixed = checks((True, None))
    assert meaning(Evidence(checks=mixed, meanings={"mixed": "of the evidence"})) == "of the evidence"
    assert meaning(Evidence(checks=mixed)) == "of the claim"
    assert "no check is clear" in meaning(Evidence(checks=checks((None, None))))
    assert "One training run" in meaning(Evidence(checks=mixed), seeds=1)
    assert meaning(Evidence()) == ""


def test_a_claim_without_evidence_is_not_tested() -> None:
    found = concluded("key", "The claim.", Evidence(paper="0.97"), seeds=5, meanings={})
    assert (found.verdict, found.here, found.paper, found.checks) == (
        "not tested",
        "Not tested in this run.",
        "0.97",
        [],
    )


def test_words() -> None:
    assert listed(["a"]) == "a"
    assert listed("abc") == "a, b and c"
    assert sentence("the MSE fell") == "The MSE fell."
