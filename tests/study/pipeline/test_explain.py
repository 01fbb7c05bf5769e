"""What a run would do, and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from headprint.study.pipeline import Cache, Explanation, explain, run
from support import study_work
from support.study_work import tree


def told(found: list[Explanation]) -> dict[str, tuple[bool, str]]:
    return {each.job.label: (each.cached, each.reason) for each in found}


def test_readers_are_those_of_all_jobs_above() -> None:
    top = tree()
    found = explain({"first": [top], "second": [top.needs["left"]]}, Cache("nowhere"))
    readers = {each.job.label: each.readers for each in found}
    assert readers == {
        "root": ("first", "second"), "left": ("first", "second"), "right": ("first",), "top": ("first",),
    }  # fmt: skip
    assert set(told(found).values()) == {(False, "never done")}


def test_a_changed_field_is_named(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    run([tree()], cache)
    assert set(told(explain({"x": [tree()]}, cache)).values()) == {(True, "")}
    found = told(explain({"x": [tree(left={"value": 3}, root={"seconds": 1})]}, cache))
    assert found["root"] == found["right"] == (True, "")
    assert found["left"] == (False, "value is 2 there and 3 here")
    assert found["top"] == (False, "it reads another left (number (left))")


def test_a_changed_version_is_named(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    job = study_work.number.job("a", value=1)
    run([job], cache)
    newer = replace(job, stage=replace(job.stage, version=2))
    assert told(explain({"x": [newer]}, cache))["a"] == (False, "its code is version 1 there and 2 here")


def test_an_explanation_is_plain_json() -> None:
    found = explain({"x": [tree(top={"seconds": 2})]}, Cache("nowhere"))[-1].to_dict()
    assert found["key"] == {"value": 8}
    assert found["ignores"] == ["seconds"]
    assert set(found["needs"]) == {"left", "right"}
    assert found["id"] == tree().id
