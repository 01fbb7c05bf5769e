"""What a job's key is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headprint.study.pipeline import Job, in_order, stage
from support import study_work
from support.study_work import number, tree


def ids(top: Job) -> dict[str, str]:
    return {job.label: job.id for job in in_order([top])}


def test_a_key_is_made_of_settings_and_needs() -> None:
    plain = ids(tree())
    assert len(set(plain.values())) == 4
    assert ids(tree()) == plain
    assert {name for name, id_ in ids(tree(left={"value": 3})).items() if id_ != plain[name]} == {"left", "top"}
    assert {name for name, id_ in ids(tree(root={"value": 0})).items() if id_ != plain[name]} == set(plain)
    top = tree()
    assert replace(top, label="called otherwise").id == top.id
    left, right = top.needs["left"], top.needs["right"]
    assert replace(top, needs={"left": right, "right": left}).id != top.id  # a need's name counts


def test_what_a_stage_ignores_is_not_part_of_a_key() -> None:
    assert ids(tree(root={"seconds": 3}, top={"seconds": 1})) == ids(tree())
    assert "seconds" in tree(top={"seconds": 1}).settings


def test_a_stages_version_is_part_of_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ids(tree())
    assert all(id_.startswith("number-v1-") for id_ in before.values())
    monkeypatch.setattr(study_work, "number", replace(number, version=2))
    old, new = number.job("a", value=1), study_work.number.job("a", value=1)
    assert new.id.startswith("number-v2-")
    above = [study_work.fragile.job("b", {"below": job}, value=1, stone="") for job in (old, new)]
    assert above[0].id != above[1].id  # and of the keys of what reads it


def test_each_job_comes_after_those_it_needs() -> None:
    top = tree()
    ordered = [job.label for job in in_order([top, top.needs["right"], tree()])]
    assert ordered == ["root", "left", "right", "top"]


@pytest.mark.parametrize("settings", [{}, {"valeu": 1}, {"value": 1, "more": 2}])
def test_settings_are_those_of_the_function(settings: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        number.job("a", **settings)


def test_only_a_setting_can_be_ignored() -> None:
    with pytest.raises(TypeError, match="ignores sead"):

        @stage(version=1, ignores={"sead"})
        def work(out: Any, needs: Any, *, seed: int) -> None: ...
