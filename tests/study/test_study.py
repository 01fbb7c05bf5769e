"""The study: configs, rows, jobs, the plan, and one tiny run of all of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats

from headprint.base.errors import InputError
from headprint.patterns.pattern_set import PatternSet
from headprint.study import exhibits, jobs, rows, stages
from headprint.study import plan as planning
from headprint.study.config import StudyConfig, TaskConfig, load, parse
from headprint.study.estimates import mean_of
from headprint.study.jobs import Job, in_order
from headprint.study.plan import Plan, plan
from headprint.study.results import Results
from headprint.study.run import study

HERE = Path(__file__).parents[1]

TINY: dict[str, Any] = {
    "name": "tiny",
    "models": {"lab": {"model": "lab", "dtype": "float32"}},
    "tasks": {
        "math": {"data": "lab:math", "scorer": "lab"},
        "code": {"data": "lab:code", "scorer": "lab"},
        "arith": {"data": "lab:arith", "scorer": "lab"},
        "math_code": {
            "kind": "complex", "data": "lab:math_code", "train": 32, "scorer": "lab", "parts": ["math", "code"],
        },
    },
    "sizes": {"train": 64, "reserve": 80, "probe": 8, "test": 8},
    "sft": {"learning_rate": 3e-3, "per_device_train_batch_size": 8, "max_steps": 4, "logging_steps": 1},
    "fits": {"draws": 20, "permutations": 20},
    "mixtures": {"targets": ["math_code"], "rows": 40, "arms": ["mixture"]},
    "selections": {
        "targets": ["math_code"], "pool": {"data": "lab:pool"}, "pool_rows": 20, "rows": 8, "methods": ["raw-cosine"],
    },
    "ablations": {"tasks": ["math"], "ks": [1], "modes": ["zero"], "random": 2, "rows": 4},
    "max_new_tokens": 8,
}  # fmt: skip


def tiny(**changes: Any) -> StudyConfig:
    return replace(parse(TINY), **changes)


# --- configs


def changed(path: str, value: Any) -> dict[str, Any]:
    """The tiny config with one field set, or left out if the value is ``...``."""
    content = json.loads(json.dumps(TINY))
    *places, last = path.split(".")
    part = content
    for place in places:
        part = part.setdefault(place, {})
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("sead", [0], "sead: there is no such field; did you mean 'seeds'"),
        ("models.lab.modell", "x", r"models\.lab\.modell: there is no such field; did you mean 'model'"),
        ("tasks.math.promt", "x", r"tasks\.math\.promt: there is no such field; did you mean 'prompt'"),
        ("sizes.trian", 3, r"sizes\.trian: .* did you mean 'train'"),
        ("fits.draw", 3, r"fits\.draw: .* did you mean 'draws'"),
        ("mixtures.row", 3, r"mixtures\.row: .* did you mean 'rows'"),
        ("selections.pool.splitt", "x", r"selections\.pool\.splitt: there is no such field"),
        ("selections.metods", [], r"selections\.metods: .* did you mean 'methods'"),
        ("ablations.radnom", 3, r"ablations\.radnom: .* did you mean 'random'"),
        ("models", ..., "models is missing"),
        ("tasks.math.data", ..., r"tasks\.math\.data is missing"),
        ("mixtures.targets", ..., r"mixtures\.targets is missing"),
        ("sizes.train", "many", r"sizes\.train is 'many': "),
        ("seeds", "all", "seeds is 'all': "),
        ("track", "often", "track"),
        ("tasks.math.kind", "easy", r"tasks\.math\.kind is 'easy': input should be 'basic' or 'complex'"),
        ("mixtures.arms", ["mixtur"], r"mixtures\.arms\.0 is 'mixtur': "),
        ("fits.targets", ["mathcode"], r"fits\.targets: there is no task 'mathcode'; did you mean 'math_code'"),
        ("mixtures.targets", ["poetry"], r"mixtures\.targets: there is no task 'poetry'; there are math, code"),
        ("selections.targets", ["maths"], r"selections\.targets: there is no task 'maths'; did you mean 'math'"),
        ("ablations.tasks", ["cod"], r"ablations\.tasks: there is no task 'cod'; did you mean 'code'"),
        ("tasks.math_code.parts", ["maths"], r"tasks\.math_code\.parts: there is no task 'maths'"),
        ("fits.basis", ["math", "math_code"], "cannot be composed of itself"),
        ("mixtures.targets", ["math"], "cannot be composed of itself"),
        ("seeds", [], "at least one of each"),
    ],
)
def test_a_wrong_field_is_told(path: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as told:
        parse(changed(path, value), where="my.yaml")
    assert str(told.value).startswith("my.yaml: ")
    assert "\n" not in str(told.value)


def test_a_mixture_wants_basic_tasks() -> None:
    content = changed("ablations", None) | {"selections": None}
    content["tasks"] = {"math_code": {"kind": "complex", "data": "lab:math_code"}}
    with pytest.raises(InputError, match="mixtures: there is no basic task to mix"):
        parse(content)


def test_named_parts_are_of_the_basis() -> None:
    content = changed("mixtures.arms", ["named"])
    assert parse(content)
    content["fits"]["basis"] = ["math", "arith"]
    with pytest.raises(InputError, match=r"tasks\.math_code\.parts: code is not of the basis"):
        parse(content)


def test_broken_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("name: x\nmodels:\n  lab: {model: lab\ntasks: {}\n")
    with pytest.raises(InputError, match=rf"{re.escape(str(path))}:4: not YAML: "):
        load(path)


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words\n", ""])
def test_what_is_no_mapping_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match="want a mapping of fields"):
        load(tmp_path / "x.yaml")


def test_no_such_config() -> None:
    with pytest.raises(InputError, match=r"lama-7b: no such file, and no config of that name; did you mean 'llama-7b'"):
        load("lama-7b")


def test_a_config_comes_back_from_plain_types() -> None:
    for config in (parse(TINY), load("lab"), load("paper")):
        assert parse(yaml.safe_load(yaml.safe_dump(config.to_dict()))) == config


# --- rows


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A folder of rows in columns of their own."""
    for split, start in (("train", 0), ("test", 100)):
        found = [
            {"q": f"what is {i}?", "a": {"text": [f"no {i}", f"yes {i}"], "right": 1}, "level": i % 3, "n": str(i)}
            for i in range(start, start + 30)
        ]
        rows.write(found, tmp_path / f"{split}.jsonl")
    return tmp_path


def task(data: Path | str, **given: Any) -> TaskConfig:
    given = {"prompt": "Q: {{ q }}\nA:", "completion": " {{ a.text[a.right] }}"} | given
    return TaskConfig(data=str(data), **given)


def deal(given: TaskConfig, seed: int = 0, **sizes: Any) -> dict[str, list[dict[str, Any]]]:
    return rows.deal(given, "t", seed=seed, **({"train": 5, "reserve": None, "probe": 4, "test": 3} | sizes))


def test_templates_and_columns_are_filled(table: Path) -> None:
    dealt = deal(task(table, columns={"answer": "n|int + 1", "right": "a.text[a.right]"}, keep="level != 1"))
    assert {name: len(part) for name, part in dealt.items()} == {"train": 5, "reserve": 20, "probe": 4, "test": 3}
    for row in [row for part in dealt.values() for row in part]:
        i = int(row["n"])
        assert row["prompt"] == f"Q: what is {i}?\nA:"
        assert row["completion"] == f" yes {i}" == f" {row['right']}"
        assert row["answer"] == i + 1
        assert row["level"] != 1
        assert row["task"] == "t"


def test_a_trailing_line_break_of_a_template_stays(table: Path) -> None:
    assert deal(task(table, completion="\n{{ n }}\n"))["train"][0]["completion"][-1] == "\n"


def test_rows_that_are_ready_need_no_templates(tmp_path: Path) -> None:
    ready = [{"id": f"r{i}", "prompt": f"p{i}", "completion": " c"} for i in range(9)]
    talk = [{"messages": [{"role": "user", "content": f"u{i}"}]} for i in range(9)]
    for found in (ready, talk):
        rows.write(found, tmp_path / "train.jsonl")
        rows.write([{**row, "x": 1} for row in found], tmp_path / "test.jsonl")
        dealt = rows.deal(TaskConfig(data=str(tmp_path)), "t", train=9, reserve=0, probe=0, test=0, seed=0)
        assert len({row["id"] for row in dealt["train"]}) == 9


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"prompt": "{{ question }}"}, r"jsonl:1: tasks\.t's templates fail: 'question' is undefined; columns: q, a"),
        ({"columns": {"x": "gone"}}, r"'gone' is undefined|'gone' finds nothing"),
        ({"columns": {"x": "a.gone"}}, r"finds nothing|no attribute 'gone'"),
        ({"keep": "gone == 1"}, r"templates fail: 'gone' is undefined"),
        ({"completion": "{{ a.text[7] }}"}, "templates fail: .*columns: q, a, level, n"),
        ({"prompt": "{{ q"}, r"tasks\.t: a template is broken"),
        ({"columns": {"x": "1 +"}}, r"tasks\.t: a template is broken"),
        ({"prompt": "{{ q.__class__.__mro__ }}"}, "templates fail: .*unsafe"),
        ({"completion": None}, r"needs prompt and completion \(or messages\); columns: q, a, level, n"),
    ],
)  # fmt: skip
def test_a_wrong_template_is_told(given: dict[str, Any], message: str, table: Path) -> None:
    with pytest.raises(InputError, match=message):
        deal(task(table, **given))


def test_too_few_rows_are_told(table: Path) -> None:
    with pytest.raises(InputError, match="31 train rows were asked for, 30 are left"):
        deal(task(table), train=31)
    with pytest.raises(InputError, match="31 probe rows were asked for, 30 are left"):
        deal(task(table), probe=31)
    with pytest.raises(InputError, match="27 test rows were asked for, 26 are left"):
        deal(task(table), test=27)


def test_held_out_rows_are_of_no_training_text(table: Path) -> None:
    same = rows.read(table / "train.jsonl")
    rows.write(same[:20] + rows.read(table / "test.jsonl")[:10], table / "test.jsonl")
    dealt = deal(task(table), probe=6, test=4)
    texts = [{row["prompt"] for row in dealt[part]} for part in ("reserve", "probe", "test")]
    assert [len(part) for part in texts] == [30, 6, 4]
    assert not texts[0] & (texts[1] | texts[2])
    assert not texts[1] & texts[2]
    with pytest.raises(InputError, match="11 probe rows were asked for, 10 are left"):
        deal(task(table), probe=11, test=0)


@pytest.mark.parametrize("split", [False, True])
def test_one_place_for_all_rows_is_divided(split: bool, table: Path) -> None:
    given = task(table, test_split="train") if split else task(table / "train.jsonl")
    doubled = rows.read(table / "train.jsonl")
    rows.write(doubled + doubled[:5], table / "train.jsonl")  # texts that are there twice stay on one side
    for seed in range(5):
        dealt = deal(given, seed, probe=6, test=6)
        own, held = ({row["prompt"] for row in dealt[part]} for part in ("reserve", "probe"))
        held |= {row["prompt"] for row in dealt["test"]}
        assert not own & held
        assert own | held == {f"Q: what is {i}?\nA:" for i in range(30)}
    with pytest.raises(InputError, match="train rows were asked for"):
        deal(given, train=30)


def test_a_seed_decides_the_draw(table: Path) -> None:
    assert deal(task(table), 3) == deal(task(table), 3)
    drawn = [[row["n"] for row in deal(task(table), seed)["train"]] for seed in range(4)]
    assert len({tuple(each) for each in drawn}) == 4
    more = [row["n"] for row in deal(task(table), 0, train=9)["train"]]
    assert more[:5] == drawn[0]  # more rows are the same rows, and others


def test_reserve_holds_what_is_trained_on(table: Path) -> None:
    for reserve, held in ((None, 30), (12, 12), (0, 5)):
        dealt = deal(task(table), reserve=reserve)
        assert len(dealt["reserve"]) == held
        assert dealt["reserve"][:5] == dealt["train"]


# --- jobs


def tree(**changed: Any) -> Job:
    """``top`` of two branches of one root: 1 + 2, 1 + 4, and 8 on top."""
    settings = {name: {"value": value} for name, value in (("root", 1), ("left", 2), ("right", 4), ("top", 8))}
    for name, more in changed.items():
        settings[name] |= more
    root = Job("number", "root", settings["root"])
    left = Job("number", "left", settings["left"], {"root": root})
    right = Job("number", "right", settings["right"], {"root": root})
    return Job("number", "top", settings["top"], {"left": left, "right": right})


def ids(top: Job) -> dict[str, str]:
    return {job.about: job.id for job in in_order([top])}


def run(wanted: list[Job], folder: Path, **options: Any) -> list[jobs.Stage]:
    return jobs.run(wanted, folder / "cache", module="support.study_work", **options)


def value(job: Job, folder: Path) -> int:
    return json.loads((folder / "cache" / job.id / "value.json").read_text())


def begun(folder: Path) -> list[int]:
    """Values of the jobs that were begun, in order."""
    return [int(line.split()[0]) for line in (folder / "log").read_text().splitlines()]


def test_an_id_is_of_settings_and_needs() -> None:
    plain = ids(tree())
    assert len(set(plain.values())) == 4
    assert ids(tree()) == plain
    assert {name for name, id_ in ids(tree(left={"value": 3})).items() if id_ != plain[name]} == {"left", "top"}
    assert {name for name, id_ in ids(tree(root={"value": 0})).items() if id_ != plain[name]} == set(plain)
    assert {name for name, id_ in ids(tree(top={"x": None})).items() if id_ != plain[name]} == {"top"}
    top = tree()
    assert replace(top, about="called otherwise").id == top.id
    assert replace(top, kind="fragile").id != top.id
    left, right = top.needs["left"], top.needs["right"]
    assert replace(top, needs={"left": right, "right": left}).id != top.id  # a need's name counts


def test_the_edition_is_part_of_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ids(tree())
    monkeypatch.setattr(jobs, "EDITION", jobs.EDITION + 1)
    assert set(ids(tree()).values()).isdisjoint(before.values())


def test_each_job_comes_after_those_it_needs() -> None:
    top = tree()
    ordered = [job.about for job in in_order([top, top.needs["right"], tree()])]
    assert ordered == ["root", "left", "right", "top"]


def test_a_second_run_does_nothing(tmp_path: Path) -> None:
    first = run([tree()], tmp_path)
    assert value(tree(), tmp_path) == 8 + (2 + 1) + (4 + 1)
    assert [(stage.job.about, stage.cached) for stage in first] == [
        ("root", False), ("left", False), ("right", False), ("top", False),
    ]  # fmt: skip
    again = run([tree()], tmp_path)
    assert [(stage.job.about, stage.cached) for stage in again] == [
        ("root", True), ("left", True), ("right", True), ("top", True),
    ]  # fmt: skip
    assert [stage.seconds for stage in again] == [stage.seconds for stage in first]
    assert begun(tmp_path) == [1, 2, 4, 8]


def test_a_change_redoes_only_what_it_touches(tmp_path: Path) -> None:
    run([tree()], tmp_path)
    other = tree(left={"value": 3})
    stages_ = run([other], tmp_path)
    assert {stage.job.about for stage in stages_ if not stage.cached} == {"left", "top"}
    assert begun(tmp_path) == [1, 2, 4, 8, 3, 8]
    assert value(other, tmp_path) == 8 + (3 + 1) + (4 + 1)
    assert value(tree(), tmp_path) == 16  # and the old result is still there


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_what_was_finished_before_a_failure_is_kept(workers: int, tmp_path: Path) -> None:
    stone = tmp_path / "stone"
    stone.touch()
    root = Job("number", "root", {"value": 1})
    side = Job("number", "side", {"value": 16}, {"root": root})
    bad = Job("fragile", "middle", {"value": 2, "stone": str(stone)}, {"root": root})
    top = Job("number", "top", {"value": 4}, {"bad": bad})
    with pytest.raises(InputError, match=r"fragile \(middle\): stumbled over a stone; take it away"):
        run([side, top], tmp_path, workers=workers)
    assert set(begun(tmp_path)) <= {1, 16}
    assert (tmp_path / "cache" / root.id / jobs.DONE).is_file()
    assert not (tmp_path / "cache" / bad.id).exists()
    stone.unlink()
    stages_ = run([side, top], tmp_path)
    assert value(top, tmp_path) == 7
    assert {stage.job.about for stage in stages_ if stage.cached} >= {"root"}
    assert sorted(begun(tmp_path)) == [1, 2, 4, 16]  # each once


def test_what_a_killed_run_left_is_done_again(tmp_path: Path) -> None:
    top = tree()
    run([top.needs["left"]], tmp_path)
    part = tmp_path / "cache" / f"{top.id}.part"
    part.mkdir()
    (part / "half").write_text("of another run")
    unmarked = tmp_path / "cache" / top.needs["right"].id
    unmarked.mkdir()
    (unmarked / "value.json").write_text("1000")
    run([top], tmp_path)
    assert value(top, tmp_path) == 16
    assert not part.exists()


CHAIN = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
from study.test_study import chain, run
run([chain()], Path({folder!r}), workers={workers})
"""


def chain(length: int = 8) -> Job:
    job = Job("number", "0", {"value": 1, "seconds": 0.15})
    for value_ in range(1, length):
        job = Job("number", str(value_), {"value": 10**value_, "seconds": 0.15}, {"before": job})
    return job


def done_in(folder: Path) -> list[Path]:
    """The marks of finished jobs; one in a folder not yet renamed is none."""
    return [path for path in folder.glob("cache/*/done.json") if path.parent.suffix != ".part"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_half_way_and_resumed(workers: int, tmp_path: Path) -> None:
    code = CHAIN.format(here=str(HERE), folder=str(tmp_path), workers=workers)
    process = subprocess.Popen([sys.executable, "-c", code])
    finished: list[Path] = []
    until = time.monotonic() + 120
    while len(finished) < 3 and time.monotonic() < until:
        time.sleep(0.02)
        finished = done_in(tmp_path)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    for pid in {int(line.split()[1]) for line in (tmp_path / "log").read_text().splitlines()} - {process.pid}:
        _wait_until_gone(pid)
    kept = {path: path.stat().st_mtime_ns for path in done_in(tmp_path)}
    assert 3 <= len(kept) < 8
    stages_ = run([chain()], tmp_path)
    assert sum(stage.cached for stage in stages_) == len(kept)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert value(chain(), tmp_path) == 11_111_111
    again = [each for each in set(begun(tmp_path)) if begun(tmp_path).count(each) > 1]
    assert len(again) <= 1  # what was under way
    assert not list(tmp_path.glob("cache/*.part"))


def _wait_until_gone(pid: int) -> None:
    """A worker leaves with the study that started it."""
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return  # dead; nobody here to bury it
        time.sleep(0.02)
    pytest.fail(f"worker {pid} outlives its study")


# --- the plan


@pytest.fixture(scope="module", autouse=True)
def _lab_hashed_once() -> Iterator[None]:
    """The laboratory's rows do not change while these tests run; to make them takes most of a plan's time."""
    own = planning.fingerprint
    hashed = cache(own)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            planning, "fingerprint", lambda at, *, split: (hashed if at.startswith("lab:") else own)(at, split=split)
        )
        yield


@pytest.fixture(scope="module")
def laid() -> Plan:
    return plan(tiny(seeds=[0, 1]))


def all_ids(config: StudyConfig) -> set[str]:
    return {job.id for job in in_order(plan(config).jobs())}


def kinds(ids_: set[str]) -> set[str]:
    return {id_.rpartition("-")[0] for id_ in ids_}


def test_seeds_are_independent(laid: Plan) -> None:
    both = {job.id for job in in_order(laid.jobs())}
    zero, one = all_ids(tiny(seeds=[0])), all_ids(tiny(seeds=[1]))
    assert both == zero | one
    assert kinds(zero & one) == {"model"}
    order = [int(key[-1]) for key in laid.tuned]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("path", "new", "touched"),
    [
        ("fits.draws", 30, {"patterns", "correlations", "fit", "mixture", "train", "evaluation"}),
        ("fits.permutations", 30, {"fit", "mixture", "train", "evaluation"}),
        ("ablations.random", 3, {"ablation"}),
        ("mixtures.rows", 50, {"mixture", "train", "evaluation"}),
        ("selections.rows", 9, {"selection", "train", "evaluation"}),
        ("max_new_tokens", 9, {"evaluation", "ablation"}),
        ("name", "another", set()),
        ("tasks.math.description", "another", set()),
        ("sizes.test", 7, {"rows", "evaluation", "ablation"}),
        ("mixtures.first", {"learning_rate": 1e-3}, {"train", "evaluation"}),
    ],
)
def test_a_changed_setting_redoes_what_depends_on_it(path: str, new: Any, touched: set[str]) -> None:
    old, changed_ = all_ids(tiny()), all_ids(parse(changed(path, new)))
    assert kinds(changed_ - old) == touched
    if touched:
        assert len(changed_ & old) > 5


def test_other_weights_in_a_models_directory_are_another_model(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    config = tiny(models={"own": {"model": str(tmp_path)}})
    before = all_ids(config)
    assert all_ids(config) == before
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    assert kinds(before & all_ids(config)) == {"rows"}


def test_a_changed_file_is_other_rows(table: Path) -> None:
    content = changed("tasks.math", {"data": str(table), "prompt": "{{ q }}", "completion": "{{ n }}"})
    before = plan(parse(content))
    rows.write(rows.read(table / "train.jsonl")[:29], table / "train.jsonl")
    after = plan(parse(content))
    for task_, same in (("math", False), ("code", True)):
        key = ("lab", task_, "0")
        assert (before.tuned[key].id == after.tuned[key].id) is same


def test_missing_rows_are_told_before_anything_is_made(tmp_path: Path) -> None:
    content = changed("tasks.math.data", str(tmp_path / "gone.jsonl"))
    with pytest.raises(InputError, match=r"gone\.jsonl: no such file"):
        study(parse(content), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_second_stage_is_the_target_arms_own_training(laid: Plan) -> None:
    """Every arm trains on the target exactly as the arm without a first stage does."""
    target = laid.tuned["lab", "math_code", "0"]
    ends = [laid.arms["lab", "math_code", "mixture", "0"], laid.methods["lab", "math_code", "raw-cosine", "0"]]
    for chosen, judged in ends:
        second = judged.needs["start"]
        first = second.needs["start"]
        own = {name: x for name, x in target.settings.items() if name not in ("task", "track")}
        assert second.settings == own
        assert second.needs["rows"] is target.needs["rows"]
        assert first.needs["rows"] is chosen
        assert "start" not in first.needs
    assert "start" not in target.needs


# --- a tiny run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study") / "run"


@pytest.fixture(scope="module")
def done(home: Path) -> dict[str, Any]:
    return study(tiny(), home, workers=1)


@pytest.fixture
def read(home: Path) -> exhibits.Results:
    return exhibits.Results(home / "cache")


@pytest.mark.slow
class TestATinyRun:
    def test_leaves_everything(self, done: dict[str, Any], home: Path) -> None:
        assert done["complete"]
        assert {"table1", "fig1", "fig2", "fig3", "fig4", "fig5", "table2", "table3", "ablation", "base_rates"} <= set(
            done["exhibits"]
        )
        assert json.loads((home / "results.json").read_text()) == json.loads(json.dumps(done))
        assert parse(yaml.safe_load((home / "config.yaml").read_text())) == tiny()
        assert (home / "report.html").stat().st_size > 10_000
        assert {stage["job"] for stage in done["stages"]} == {
            "model", "rows", "train", "evaluation", "patterns", "correlations", "fit", "ablation", "mixture", "levels",
            "selection",
        }  # fmt: skip

    def test_again_from_the_cache(self, done: dict[str, Any], home: Path) -> None:
        """All but the report and the pictures, which take long, by the config that the run left."""
        config = load(home / "config.yaml")
        laid = plan(config)
        assert all(stage.cached for stage in jobs.run(laid.jobs(), home / "cache"))
        found = {**done, "exhibits": exhibits.exhibits(config, laid, home / "cache")}
        assert Results.from_json(found).to_json()["exhibits"] == done["exhibits"]

    def test_base_rates_are_shares_of_right_answers(self, done: dict[str, Any], read: exhibits.Results) -> None:
        laid = plan(tiny())
        rows_ = done["exhibits"]["base_rates"]["rows"]
        assert len(rows_) == 2 * 4
        for row in rows_:
            job = (laid.before if row["stage"] == "before" else laid.after)["lab", row["task"], "0"]
            answers = read.answers(job)
            assert row["n"] == len(answers) == 8
            assert row["accuracy"]["value"] == sum(answer["right"] for answer in answers) / 8
            assert row["loss"]["value"] == pytest.approx(sum(answer["loss"] for answer in answers) / 8)
            assert row["train_rows"] == (32 if row["task"] == "math_code" else 64)
        losses = {(row["task"], row["stage"]): row["loss"]["value"] for row in rows_}
        assert all(losses[name, "after"] < losses[name, "before"] for name in tiny().tasks)

    def test_patterns_are_of_the_probes(self, done: dict[str, Any], home: Path) -> None:
        """Table 1, figures 1, 2 and 5 against the tracked sets, by plain formulas."""
        laid, means = plan(tiny()), {}
        for name in tiny().tasks:
            folder = home / "cache" / laid.tuned["lab", name, "0"].id
            sets = {int(p.name[5:]): PatternSet.load(p) for p in sorted(folder.glob("tracking/*/step-*"))}
            assert list(sets) == [0, 1, 2, 4]
            probes = rows.read(home / "cache" / laid.tuned["lab", name, "0"].needs["probe"].id / "probe.jsonl")
            assert list(sets[0].ids) == [row["id"] for row in probes]
            means[name] = {step: np.abs(each.values).mean(0, dtype=np.float64) for step, each in sets.items()}
        found = done["exhibits"]
        for row in found["table1"]["rows"]:
            for stage, step in (("before", 0), ("after", 4)):
                x = np.sort(means[row["task"]][step].ravel())
                gini = sum(abs(a - b) for a in x for b in x) / (2 * len(x) ** 2 * x.mean())
                assert row[stage]["gini"]["value"] == pytest.approx(gini, rel=1e-4)
        for each in found["fig1"]["maps"]:
            change = means[each["task"]][4] - means[each["task"]][0]
            np.testing.assert_allclose(each["change"], change, rtol=1e-3, atol=1e-3 * np.abs(change).max())
        for each in found["fig5"]["runs"]:
            own = means[each["task"]]
            assert each["rows_seen"] == [0, 8, 16, 32]
            assert len(each["train_loss"]) == 4
            for step, r, mse in zip(each["steps"], each["correlation"], each["mse"], strict=True):
                assert r["value"] == pytest.approx(np.corrcoef(own[0].ravel(), own[step].ravel())[0, 1], abs=1e-5)
                assert mse["value"] == pytest.approx(((own[step] - own[0]) ** 2).mean(), rel=1e-3, abs=1e-15)
        (matrices,) = found["fig2"]["matrices"]
        flat = {
            "before": [means[name][0].ravel() for name in matrices["tasks"]],
            "change": [(means[name][4] - means[name][0]).ravel() for name in matrices["tasks"]],
        }
        for kind, vectors in flat.items():
            np.testing.assert_allclose(matrices[kind]["value"], np.corrcoef(vectors), atol=1e-4)

    def test_the_named_pair_stands_where_its_fit_does(self, done: dict[str, Any]) -> None:
        for fit in done["exhibits"]["fig4"]["fits"]:
            pairs = [each for each in fit["decomposition"]["subsets"] if len(each["tasks"]) == 2]
            assert len(pairs) == 3
            (named,) = (each for each in pairs if set(each["tasks"]) == {"math", "code"})
            assert fit["named"] == ["math", "code"]
            assert fit["named_rank"] == 1 + sum(each["r2"] > named["r2"] for each in pairs)

    def test_the_target_arm_is_the_tuned_model(self, done: dict[str, Any]) -> None:
        rates = {(row["task"], row["stage"]): row for row in done["exhibits"]["base_rates"]["rows"]}
        for table_, chosen in (("table2", "mixture"), ("table3", "raw-cosine")):
            arms = {row["arm"]: row for row in done["exhibits"][table_]["rows"]}
            assert set(arms) == {"base", "target", chosen}
            for arm, stage in (("base", "before"), ("target", "after")):
                assert arms[arm]["loss"] == rates["math_code", stage]["loss"]
                assert arms[arm]["tokens"] == 0
            assert arms[chosen]["tokens"] > 0
            assert arms[chosen]["loss"] != arms["target"]["loss"]

    def test_all_arms_take_equal_tokens(self, done: dict[str, Any], home: Path) -> None:
        """The rows of every arm's first stage; tokens counted by hand."""
        from headprint.models import load as load_model

        _, tokenizer = load_model("lab")
        arms = ["random", "mixture", "permuted", "named", "longer"]
        laid = plan(parse(changed("mixtures.arms", arms)))
        chosen = {arm: laid.arms["lab", "math_code", arm, "0"][0] for arm in arms}
        jobs.run(chosen.values(), home / "cache")
        tokens, tasks, longest = {}, {}, 0
        for arm, job in chosen.items():
            folder = home / "cache" / job.id
            told, mixed = json.loads((folder / "mixture.json").read_text()), rows.read(folder / "train.jsonl")
            counted = [len(tokenizer(row["completion"]).input_ids) + 1 for row in mixed]  # and the end of text
            assert told["tokens"] == pytest.approx(sum(counted), abs=len(mixed))
            assert told["rows"] == len(mixed)
            tokens[arm], tasks[arm] = told["tokens"], {row["task"] for row in mixed}
            longest = max(longest, *counted)
            assert told["counts"] == {name: sum(row["task"] == name for row in mixed) for name in tasks[arm]}
        for arm in arms:  # each task's share comes as near as its rows allow
            assert abs(tokens[arm] - tokens["mixture"]) <= longest / 2 * len(tasks[arm])
        assert tasks["named"] == {"math", "code"}
        assert tasks["longer"] == {"math_code"}
        weights = json.loads((home / "cache" / chosen["mixture"].id / "mixture.json").read_text())["weights"]
        permuted = json.loads((home / "cache" / chosen["permuted"].id / "mixture.json").read_text())["weights"]
        assert sorted(weights.values()) == sorted(permuted.values())
        assert json.loads((home / "cache" / chosen["mixture"].id / "mixture.json").read_text())["rows"] == 40

    def test_a_selection_takes_the_tokens_of_k_average_rows(self, done: dict[str, Any], home: Path) -> None:
        laid = plan(tiny())
        chosen, _ = laid.methods["lab", "math_code", "raw-cosine", "0"]
        pool = PatternSet.load(home / "cache" / chosen.needs["before"].id / "set")
        target = PatternSet.load(
            next((home / "cache" / laid.tuned["lab", "math_code", "0"].id).glob("tracking/*/step-*0"))
        )
        query = np.abs(target.values).mean(0).ravel()
        levels = np.abs(pool.values).reshape(len(pool), -1)
        cosine = levels @ query / np.linalg.norm(levels, axis=1) / np.linalg.norm(query)
        best = np.argsort(-cosine)
        told = json.loads((home / "cache" / chosen.id / "selection.json").read_text())
        picked = {row["id"] for row in rows.read(home / "cache" / chosen.id / "train.jsonl")}
        assert picked == {pool.ids[i] for i in best[: told["rows"]]}
        budget = 8 * pool.tokens.mean()
        assert abs(told["tokens"] - budget) <= max(pool.tokens)

    @pytest.mark.parametrize("name", ["foreign", "file"])
    def test_a_foreign_directory_is_refused(self, name: str, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        (tmp_path / "foreign").mkdir()
        (tmp_path / "foreign" / "thesis.txt").write_text("x")
        with pytest.raises(InputError, match=r"is a file|holds something else"):
            study(tiny(), tmp_path / name)

    def test_one_at_a_time(self, done: dict[str, Any], home: Path) -> None:
        from filelock import FileLock

        with FileLock(home / ".lock"), pytest.raises(InputError, match="another process works here"):
            study(tiny(), home)


@pytest.mark.slow
def test_two_workers_train_the_same(home: Path, done: dict[str, Any], tmp_path: Path) -> None:
    """Jobs in processes of their own find what those in this one found."""
    laid = plan(tiny())
    trained, judged = laid.patterns["lab", "math_code", "0"], laid.before["lab", "math", "0"]
    wanted = [trained, judged]
    begun_: list[str] = []
    order = [stage.job.id for stage in jobs.run(wanted, tmp_path, workers=2, started=lambda job: begun_.append(job.id))]
    assert sorted(order) == sorted(begun_) == sorted(job.id for job in in_order(wanted))
    for job in in_order(wanted):
        assert all(order.index(need.id) < order.index(job.id) for need in job.needs.values())
    ours, theirs = (exhibits.Results(at) for at in (tmp_path, home / "cache"))
    np.testing.assert_allclose(ours(trained)["maps"]["after"], theirs(trained)["maps"]["after"], rtol=1e-2)
    assert ours(trained)["loss"] == pytest.approx(theirs(trained)["loss"], rel=1e-3)
    assert ours(judged)["loss"]["value"] == pytest.approx(theirs(judged)["loss"]["value"], rel=1e-3)
    assert [row["output"] for row in ours.answers(judged)] == [row["output"] for row in theirs.answers(judged)]


# --- exhibits


def estimate(x: float) -> dict[str, float]:
    return {"value": x, "low": x - 1, "high": x + 1}


def made_rows(rng: np.random.Generator, seeds: int) -> Iterator[dict[str, Any]]:
    for model in ("a", "b"):
        for name in ("math", "code"):
            for seed in range(seeds):
                yield {
                    "model": model,
                    "task": name,
                    "seed": seed,
                    "loss": estimate(rng.normal()),
                    "shape": {"gini": estimate(rng.normal()), "cv": estimate(rng.normal())},
                    "accuracy": None if name == "code" else estimate(rng.normal()),
                }


def test_over_seeds_is_the_mean_with_students_interval() -> None:
    made = list(made_rows(np.random.default_rng(0), seeds=5))
    summary = exhibits.over_seeds(made, ("model", "task"), ("loss", "shape", "accuracy"))
    assert [(row["model"], row["task"]) for row in summary] == [(m, t) for m in "ab" for t in ("math", "code")]
    for row in summary:
        own = [each for each in made if (each["model"], each["task"]) == (row["model"], row["task"])]
        assert row["seeds"] == 5
        for found, values in (
            (row["loss"], [each["loss"]["value"] for each in own]),
            (row["shape"]["cv"], [each["shape"]["cv"]["value"] for each in own]),
        ):
            low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
            assert found == pytest.approx({"value": np.mean(values), "low": low, "high": high})
        assert (row["accuracy"] is None) == (row["task"] == "code")


def test_of_one_seed_the_summary_is_its_row() -> None:
    made = list(made_rows(np.random.default_rng(1), seeds=1))
    for row, each in zip(
        exhibits.over_seeds(made, ("model", "task"), ("loss", "shape", "accuracy")), made, strict=True
    ):
        assert {name: row[name] for name in ("loss", "shape", "accuracy")} == {
            name: each[name] for name in ("loss", "shape", "accuracy")
        }


@pytest.mark.parametrize("seeds", [1, 4])
def test_gains_are_paired(seeds: int) -> None:
    """Of one seed row by row, of several seed by seed; against plain loops."""
    rng = np.random.default_rng(seeds)
    arms, n = ("base", "target", "random", "mixture"), 12
    answers = {
        ("m", "t", arm, str(seed)): [{"right": bool(rng.random() < 0.5), "loss": float(x)} for x in rng.normal(size=n)]
        for arm in arms
        for seed in range(seeds)
    }
    made = []
    for (model, target, arm, seed), outcomes in answers.items():
        row = {"model": model, "target": target, "arm": arm, "seed": int(seed)}
        row["accuracy"] = estimate(np.mean([each["right"] for each in outcomes]))
        row["loss"] = estimate(np.mean([each["loss"] for each in outcomes]))
        made.append(row)
    summary = {cell["arm"]: cell for cell in stages._summary(made, answers)}
    assert list(summary) == list(arms)
    for arm, cell in summary.items():
        assert cell["seeds"] == seeds
        for name, column in (("accuracy", "right"), ("loss", "loss")):
            for prefix, other in (("gain", "target"), ("over_random", "random")):
                differences = [
                    [float(a[column]) - float(b[column]) for a, b in zip(
                        answers["m", "t", arm, str(seed)], answers["m", "t", other, str(seed)], strict=True
                    )]
                    for seed in range(seeds)
                ]  # fmt: skip
                values = differences[0] if seeds == 1 else [sum(each) / n for each in differences]
                assert cell[f"{prefix}_{name}"] == pytest.approx(vars(mean_of(values)))
                middle, half = np.mean(values), stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
                assert cell[f"{prefix}_{name}"]["low"] == pytest.approx(middle - half)


def test_named_rank_of_made_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The named pair's place among all pairs by R², a fit that failed being last."""
    laid = plan(tiny())
    rng = np.random.default_rng(3)
    for trial in range(6):
        r2 = [*rng.random(2), None if trial % 2 else rng.random()]
        order = rng.permutation(3)
        pairs = [["math", "code"], ["math", "arith"], ["code", "arith"]]
        subsets = [{"tasks": ["math"], "r2": 0.99}] + [{"tasks": pairs[i], "r2": r2[i]} for i in order]
        decomposition = {"subsets": subsets, "gaps": None, "null": None}
        monkeypatch.setattr(exhibits.Results, "__call__", lambda self, job, d=decomposition: {"decomposition": d})
        found = exhibits._fig4(tiny(), laid, exhibits.Results(Path()))
        plain = sorted(range(3), key=lambda i, r2=r2: -(r2[i] if r2[i] is not None else -1))
        assert {fit["named_rank"] for fit in found["fits"]} == {1 + plain.index(0)}
        best = max((x, i) for i, x in enumerate(r2) if x is not None)[1]
        assert {tuple(cell["best"]) for cell in found["summary"]} == {tuple(sorted(pairs[best]))}
