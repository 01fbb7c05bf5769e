"""Which jobs a study has, and which of them a changed config redoes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headprint.base.errors import InputError
from headprint.base.files import read_json_lines, write_json_lines
from headprint.study.config import StudyConfig, parse
from headprint.study.pipeline import in_order
from headprint.study.plan import Plan, plan
from support.tiny_study import changed, tiny


def all_ids(config: StudyConfig) -> set[str]:
    return {job.id for job in in_order(plan(config).jobs())}


def stages(ids: set[str]) -> set[str]:
    return {id_.rpartition("-v")[0] for id_ in ids}


def test_seeds_are_independent(planned: Plan) -> None:
    both = {job.id for job in in_order(planned.jobs())}
    zero, one = all_ids(tiny(seeds=[0])), all_ids(tiny(seeds=[1]))
    assert both == zero | one
    assert stages(zero & one) == {"model"}
    jobs = in_order(planned.jobs())
    seeds = [job.settings["seed"] for job in jobs if "seed" in job.settings]
    assert seeds == sorted(seeds)


@pytest.mark.parametrize(
    ("path", "new", "touched"),
    [
        ("fits.draws", 30, {"spread", "early_change", "correlations", "fit", "mixture", "train", "evaluation"}),
        ("fits.permutations", 30, {"fit", "mixture", "train", "evaluation"}),
        ("ablations.random", 3, {"ablation"}),
        ("mixtures.rows", 50, {"mixture", "train", "evaluation"}),
        ("selections.rows", 3, {"selection", "train", "evaluation"}),
        ("max_new_tokens", 9, {"evaluation", "ablation"}),
        ("name", "another", set()),
        ("tasks.math.description", "another", set()),
        ("sizes.test", 7, {"rows", "evaluation", "ablation"}),
        ("mixtures.first", {"learning_rate": 1e-3}, {"train", "evaluation"}),
        ("batch_tokens", 512, set()),  # less memory is no other result
    ],
)
def test_a_changed_setting_redoes_what_depends_on_it(path: str, new: Any, touched: set[str]) -> None:
    old, changed_ = all_ids(tiny()), all_ids(parse(changed(path, new)))
    assert stages(changed_ - old) == touched
    if touched:
        assert len(changed_ & old) > 5


def test_other_weights_in_a_models_directory_are_another_model(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    config = tiny(models={"own": {"model": str(tmp_path)}})
    before = all_ids(config)
    assert all_ids(config) == before
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    assert stages(before & all_ids(config)) == {"rows"}


def test_rows_are_known_by_their_content_and_not_by_their_place(tmp_path: Path) -> None:
    found = [{"q": f"what is {i}?", "n": str(i)} for i in range(130)]

    def planned_at(folder: str) -> Plan:
        (tmp_path / folder).mkdir(exist_ok=True)
        for split in ("train", "test"):
            write_json_lines(tmp_path / folder / f"{split}.jsonl", found)
        columns = {"prompt": "{{ q }}", "completion": "{{ n }}"}
        return plan(parse(changed("tasks.math", {"data": str(tmp_path / folder), **columns})))

    before, moved = planned_at("here"), planned_at("there")
    assert [job.id for job in before.jobs()] == [job.id for job in moved.jobs()]
    found.pop()
    after = planned_at("here")
    for task, same in (("math", False), ("code", True)):
        assert (before.runs[0].tuned[task].id == after.runs[0].tuned[task].id) is same
    assert len(list(read_json_lines(tmp_path / "here" / "train.jsonl"))) == 129


def test_step_2_is_the_target_arms_own_training(planned: Plan) -> None:
    """Every arm trains on the target exactly as the arm without a step 1 does."""
    target = planned.runs[0].tuned["math_code"]
    for chapter, arm in (("mixture", "mixture"), ("selection", "raw-cosine")):
        jobs = planned.chapters[chapter][0].jobs
        step_2 = jobs["math_code", arm, "0", "evaluation"].needs["start"]
        step_1 = step_2.needs["start"]
        assert step_2.settings == {name: x for name, x in target.settings.items() if name not in ("task", "track")}
        assert step_2.needs["rows"] is target.needs["rows"]
        assert step_1.needs["rows"] is jobs["math_code", arm, "0", "choice"]
        assert "start" not in step_1.needs
        assert jobs["math_code", "target", "0", "evaluation"].needs["start"] is target
    assert "start" not in target.needs


def test_every_exhibit_names_its_jobs(planned: Plan) -> None:
    readers = planned.readers()
    assert set(readers) == {
        "models", "base_rates", "table1 fig1", "fig2", "fig3 fig4", "fig5", "table2", "table3", "ablation",
    }  # fmt: skip
    read = {job.id for jobs in readers.values() for job in jobs}
    assert {job.id for job in in_order(planned.jobs())} == {
        job.id for job in in_order(job for jobs in readers.values() for job in jobs)
    }
    assert len(read) > 20


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("sft", {"learning_rat": 1e-3}, r"train \(lab · math · seed 0\): SFTConfig has no field 'learning_rat'"),
        ("models.lab.sft", {"max_steps": "few"}, "SFTConfig: max_steps is 'few'"),
        ("scarce_sft", {"epochs": 3}, r"train \(lab · math_code · seed 0\): SFTConfig has no field 'epochs'"),
        ("mixtures.first", {"lr": 3}, r"mixture · step 1 · seed 0\): SFTConfig has no field 'lr'"),
        ("selections.first", {"lr": 3}, r"random · step 1 · seed 0\): SFTConfig has no field 'lr'"),
        ("models.lab.lora", {"rank": 3}, "LoraConfig has no field 'rank'"),
        ("tasks.code.scorer", "exakt", r"evaluation \(lab · code before · seed 0\): .*did you mean 'exact'"),
    ],
)
def test_settings_of_every_job_are_checked_before_any_begins(path: str, value: Any, message: str) -> None:
    wrong = plan(parse(changed(path, value)))
    with pytest.raises(InputError, match=message) as error:
        wrong.check()
    assert "\n" not in str(error.value)
