"""One tiny study: what it leaves, resuming, replaying, refusing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from headprint.base.errors import InputError
from headprint.base.files import write_json_lines
from headprint.base.run_directory import LOCK
from headprint.study import run as running
from headprint.study.config import load, parse
from headprint.study.pipeline import Cache, in_order
from headprint.study.pipeline import run as run_jobs
from headprint.study.plan import plan
from headprint.study.results import Results, read_results
from headprint.study.run import explain_study, study
from support.tiny_study import changed, tiny


@pytest.mark.slow
class TestATinyRun:
    def test_leaves_everything(self, results: Results, home: Path) -> None:
        assert results.complete
        content = json.loads((home / "results.json").read_text())
        assert {"table1", "fig1", "fig2", "fig3", "fig4", "fig5", "table2", "table3", "ablation", "base_rates"} == set(
            content["exhibits"]
        )
        assert content == json.loads(json.dumps(results.to_json()))
        assert read_results(home) == results
        assert parse(yaml.safe_load((home / "config.yaml").read_text())) == tiny()
        assert (home / "report.html").stat().st_size > 10_000
        assert {job.stage for job in results.jobs} == {
            "model", "rows", "train", "evaluation", "spread", "early_change", "correlations", "fit", "ablation",
            "mixture", "levels", "selection",
        }  # fmt: skip
        assert len({job.id for job in results.jobs}) == len(results.jobs)

    def test_rows_and_models_come_first(self, results: Results) -> None:
        order = [job.stage for job in results.jobs]
        assert order[: order.count("rows")] == ["rows"] * order.count("rows")
        assert order[order.count("rows")] == "model"

    def test_again_from_the_cache(self, results: Results, cache: Cache, home: Path) -> None:
        """All but the report and the pictures, which take long, by the config that the run left."""
        planned = plan(load(home / "config.yaml"))
        assert all(done.cached for done in run_jobs(planned.jobs(), cache))
        assert planned.collect(cache) == results.exhibits

    def test_nothing_is_left_to_explain(self, results: Results, home: Path) -> None:
        found = explain_study(tiny(), home)
        assert {each.job.id for each in found} == {job.id for job in results.jobs}
        assert all(each.cached and each.readers and not each.reason for each in found)
        more = {each.job.label: each for each in explain_study(parse(changed("fits.draws", 30)), home)}
        assert more["lab · math_code · nnls · change · seed 0"].reason == "draws is 20 there and 30 here"
        assert more["lab · math_code · nnls · change · seed 0"].readers == ("fig3 fig4", "table2")

    def test_one_at_a_time(self, results: Results, home: Path) -> None:
        from filelock import FileLock

        with FileLock(home / LOCK), pytest.raises(InputError, match="another process is writing"):
            study(tiny(), home)


@pytest.mark.parametrize("name", ["foreign", "file"])
def test_a_foreign_directory_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match=r"is a file|holds other files"):
        study(tiny(), tmp_path / name)
    assert [path.name for path in (tmp_path / "foreign").iterdir()] == ["thesis.txt"]


def test_missing_rows_are_told_before_anything_is_made(tmp_path: Path) -> None:
    content = changed("tasks.math.data", str(tmp_path / "gone.jsonl"))
    with pytest.raises(InputError, match=r"gone\.jsonl: no such file"):
        study(parse(content), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"prompt": "{{ question }}", "completion": "{{ n }}"}, r"tasks\.math's templates fail: 'question'"),
        ({"prompt": "{{ q", "completion": "{{ n }}"}, r"tasks\.math: a template is broken"),
        ({"prompt": "{{ q }}"}, r"tasks\.math needs prompt and completion"),
        ({"prompt": "{{ q }}", "completion": "{{ n }}", "train": 1000}, "1000 train rows were asked for"),
        ({"prompt": "{{ q }}", "completion": "{{ n }}", "scorer": "exakt"}, "did you mean 'exact'"),
    ],
)
def test_a_wrong_task_is_told_before_a_model_is_loaded(
    task: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_model(*args: Any, **kwargs: Any) -> None:
        pytest.fail("a model is loaded")

    monkeypatch.setattr("headprint.models.load_model", load_model)
    for split in ("train", "test"):
        rows = [{"q": f"what is {i}?", "n": str(i + 100 * (split == "test"))} for i in range(90)]
        write_json_lines(tmp_path / f"{split}.jsonl", rows)
    content = changed("tasks.math", {"data": str(tmp_path), **task})
    with pytest.raises(InputError, match=message) as error:
        study(parse(content), tmp_path / "out", workers=1)
    assert "\n" not in str(error.value)


def test_more_heads_than_the_model_has_are_refused_before_the_first_training(tmp_path: Path) -> None:
    content = changed("ablations.ks", [1000, 2000])
    with pytest.raises(InputError, match=r"ablations\.ks: lab has \d+ heads: switch off fewer than 1000"):
        study(parse(content), tmp_path, workers=1)
    assert not list((tmp_path / "cache").glob("train-*"))


def test_a_study_replays_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are absolute in the config that a run leaves."""
    (tmp_path / "rows").mkdir()
    for split in ("train", "test"):
        write_json_lines(tmp_path / "rows" / f"{split}.jsonl", [{"q": f"{split} {i}"} for i in range(90)])
    columns = {"prompt": "{{ q }}", "completion": "{{ q }}"}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(changed("tasks.math", {"data": "rows", **columns})))
    seen: list[Any] = []

    def stop(config: Any, *args: Any) -> Results:
        seen.append(config)
        raise InputError("far enough")

    monkeypatch.setattr(running, "_run", stop)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="far enough"):
        study("own.yaml", tmp_path / "out")
    with pytest.raises(InputError, match="far enough"):
        study(parse(yaml.safe_load((tmp_path / "own.yaml").read_text())), "out")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "config.yaml").write_text(yaml.safe_dump(seen[0].to_dict()))
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="far enough"):
        study("config.yaml", tmp_path / "out")
    assert seen[0] == seen[1] == seen[2]
    assert seen[0].tasks["math"].data == os.path.join(tmp_path, "rows")


def test_a_study_that_failed_at_once_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="templates fail"):
        study(parse(changed("tasks.math.keep", "gone == 1")), tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


def test_a_study_that_failed_later_keeps_what_is_finished(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="templates fail"):
        study(parse(changed("tasks.math_code.keep", "gone == 1")), tmp_path, workers=1)
    assert len(list((tmp_path / "cache").glob("rows-*/done.json"))) == 6  # train and probe rows of three tasks
    assert not list((tmp_path / "cache").glob("model-*"))
    with pytest.raises(InputError, match=r"is not finished, 6 jobs are done and \d+ missing"):
        read_results(tmp_path)
    fixed = explain_study(tiny(), tmp_path)
    assert sum(each.cached for each in fixed) == 6


@pytest.mark.slow
def test_two_workers_train_the_same(cache: Cache, tmp_path: Path) -> None:
    """Jobs in processes of their own find what those in this one found."""
    planned = plan(tiny())
    trained = planned.chapters["spread"][0].jobs["math_code",]
    answered = planned.chapters["base_rates"][0].jobs["math", "before"]
    wanted, begun, theirs = [trained, answered], [], Cache(tmp_path)
    done = run_jobs(wanted, theirs, workers=2, started=lambda job: begun.append(job.id))
    order = [each.job.id for each in done]
    assert sorted(order) == sorted(begun) == sorted(job.id for job in in_order(wanted))
    for job in in_order(wanted):
        assert all(order.index(need.id) < order.index(job.id) for need in job.needs.values())
    np.testing.assert_allclose(theirs.json(trained)["maps"]["after"], cache.json(trained)["maps"]["after"], rtol=1e-2)
    assert theirs.json(answered)["loss"]["value"] == pytest.approx(cache.json(answered)["loss"]["value"], rel=1e-3)
    ours = [row["output"] for row in cache.lines(answered, "answers.jsonl")]
    assert [row["output"] for row in theirs.lines(answered, "answers.jsonl")] == ours
