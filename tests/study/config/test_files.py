"""Config files: YAML, what it extends, and where its paths lead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from headprint.base.errors import InputError
from headprint.study.config import files, load, parse
from support.tiny_study import TINY, changed


def test_broken_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("name: x\nmodels:\n  lab: {model: lab\ntasks: {}\n")
    with pytest.raises(InputError, match=rf"{re.escape(str(path))}:4: not YAML: "):
        load(path)


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words\n", ""])
def test_what_is_no_mapping_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match="is a mapping of fields"):
        load(tmp_path / "x.yaml")


def test_no_such_config() -> None:
    with pytest.raises(InputError, match=r"lama-7b: no such file, and no config of that name; did you mean 'llama-7b'"):
        load("lama-7b")


def test_merges_field_by_field() -> None:
    under = {"a": {"x": 1, "y": {"z": [1, 2]}}, "b": 1, "c": {"k": 1}}
    over = {"a": {"y": {"z": [3], "w": None}}, "b": {"n": 2}, "c": None}
    merged = files.merge(under, over)
    assert merged == {"a": {"x": 1, "y": {"z": [3], "w": None}}, "b": {"n": 2}, "c": None}
    assert under["a"] == {"x": 1, "y": {"z": [1, 2]}}


def test_later_goes_over_earlier(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("a: 1\nb: 1\nc: 1\n")
    (tmp_path / "two.yaml").write_text("extends: one.yaml\nb: 2\nc: 2\n")
    (tmp_path / "three.yaml").write_text("c: 3\nd: 3\n")
    (tmp_path / "all.yaml").write_text("extends: [two.yaml, three.yaml]\nd: 4\n")
    assert files.read(tmp_path / "all.yaml") == {"a": 1, "b": 2, "c": 3, "d": 4}


def test_twice_is_no_circle(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("a: 1\n")
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(f"extends: base.yaml\n{name}: 1\n")
    (tmp_path / "all.yaml").write_text("extends: [one.yaml, two.yaml]\n")
    assert files.read(tmp_path / "all.yaml") == {"a": 1, "one": 1, "two": 1}


def test_a_circle_is_told(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("extends: two.yaml\n")
    (tmp_path / "two.yaml").write_text("extends: one.yaml\n")
    with pytest.raises(InputError, match=r"one\.yaml extends two\.yaml extends one\.yaml"):
        load(tmp_path / "one.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: llama-3-8", "did you mean 'llama-3-8b'"),
        ("extends: {a: 1}", "give the name of a config"),
        ("extends: [1]", "give the name of a config"),
        ("extends: list.yaml", "is not a mapping"),
    ],
)
def test_a_wrong_one_is_told(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load(tmp_path / "own.yaml")


def test_many_bases_are_read_once_each(tmp_path: Path) -> None:
    """Doubled at each of 60 levels: 2^60 files, if each were read for everyone who names it."""
    (tmp_path / "0.yaml").write_text("a: 1\n")
    for i in range(1, 60):
        (tmp_path / f"{i}.yaml").write_text(f"extends: [{i - 1}.yaml, ./{i - 1}.yaml]\nb{i}: 1\n")
    assert files.read(tmp_path / "59.yaml") == {"a": 1} | {f"b{i}": 1 for i in range(1, 60)}


BOMB = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20))
MERGED = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i}\n  <<: [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "more than 20,000 values, aliases written out"),
        (MERGED, "more than 20,000 values, aliases written out"),
        ("a: &a [*a]\n", "an alias contains itself"),
        ("a: " + "[" * 5000 + "]" * 5000, "not YAML"),
        (f"a: {'9' * 5000}\n", "not YAML that can be read"),
        ("a: \x00\n", "not YAML"),
    ],
)
def test_a_file_that_would_not_end_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "bomb.yaml").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        load(tmp_path / "bomb.yaml")
    assert "bomb.yaml" in str(error.value)


def test_an_alias_is_no_bomb(tmp_path: Path) -> None:
    content = yaml.safe_dump(TINY).replace("fits:\n", "fits: &fits\n")
    (tmp_path / "own.yaml").write_text(content)
    assert load(tmp_path / "own.yaml") == parse(TINY)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a config's files, which is not the working directory."""
    folder = tmp_path / "configs"
    for name in ("rows/math", "model"):
        (folder / name).mkdir(parents=True)
    (tmp_path / "cwd" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "cwd")
    return folder


def test_paths_are_relative_to_the_file(elsewhere: Path) -> None:
    content = changed("tasks.math.data", "rows/math")
    content["tasks"]["code"] |= {"data": "../rows", "test": "gone.jsonl"}
    content["models"]["lab"]["model"] = "model"
    content["selections"]["pool"]["data"] = "org/name:config"
    (elsewhere / "own.yaml").write_text(yaml.safe_dump(content))
    config = load(elsewhere / "own.yaml")
    assert config.tasks["math"].data == str(elsewhere / "rows" / "math")
    assert config.tasks["code"].data == str(elsewhere.parent / "rows")
    assert config.tasks["code"].test == str(elsewhere / "gone.jsonl")
    assert config.models["lab"].model == str(elsewhere / "model")
    assert config.selections is not None
    assert config.selections.pool.data == "org/name:config"
    assert config.tasks["arith"].data == "lab:arith"
    assert config.resolved(Path("/")) == config


def test_each_files_paths_are_its_own(elsewhere: Path) -> None:
    (elsewhere / "deeper").mkdir()
    (elsewhere / "base.yaml").write_text(yaml.safe_dump(changed("tasks.math.data", "rows/math")))
    (elsewhere / "deeper" / "own.yaml").write_text("extends: ../base.yaml\ntasks: {code: {data: ./code.jsonl}}\n")
    config = load(elsewhere / "deeper" / "own.yaml")
    assert config.tasks["math"].data == str(elsewhere / "rows" / "math")
    assert config.tasks["code"].data == str(elsewhere / "deeper" / "code.jsonl")


def test_what_a_builtin_config_names_is_beside_the_file_that_extends_it(elsewhere: Path) -> None:
    (elsewhere / "own.yaml").write_text("extends: [llama-3-8b, parts/mathbench]\n")
    config = load(elsewhere / "own.yaml")
    assert config.tasks["mathbench"].data == str(elsewhere / "mathbench.jsonl")
    assert config.models["llama-3-8b"].model == "meta-llama/Meta-Llama-3-8B"
