"""A task's rows: templates, and the split into rows to train on, probes and tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headprint.base.errors import InputError
from headprint.base.files import read_json_lines, write_json_lines
from headprint.study.config import TaskConfig
from headprint.study.groundwork.rows import rows, split_rows


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A folder of rows in columns of their own."""
    for split, start in (("train", 0), ("test", 100)):
        found = [
            {"q": f"what is {i}?", "a": {"text": [f"no {i}", f"yes {i}"], "right": 1}, "level": i % 3, "n": str(i)}
            for i in range(start, start + 30)
        ]
        write_json_lines(tmp_path / f"{split}.jsonl", found)
    return tmp_path


def task(data: Path | str, **given: Any) -> TaskConfig:
    given = {"prompt": "Q: {{ q }}\nA:", "completion": " {{ a.text[a.right] }}"} | given
    return TaskConfig(data=str(data), **given)


def parts_of(given: TaskConfig, seed: int = 0, **sizes: Any) -> dict[str, list[dict[str, Any]]]:
    return split_rows(given, "t", seed=seed, **({"train": 5, "reserve": None, "probe": 4, "test": 3} | sizes))


def test_templates_and_columns_are_filled(table: Path) -> None:
    dealt = parts_of(task(table, columns={"answer": "n|int + 1", "right": "a.text[a.right]"}, keep="level != 1"))
    assert {name: len(part) for name, part in dealt.items()} == {"train": 5, "reserve": 20, "probe": 4, "test": 3}
    for row in [row for part in dealt.values() for row in part]:
        i = int(row["n"])
        assert row["prompt"] == f"Q: what is {i}?\nA:"
        assert row["completion"] == f" yes {i}" == f" {row['right']}"
        assert row["answer"] == i + 1
        assert row["level"] != 1
        assert row["task"] == "t"


def test_a_trailing_line_break_of_a_template_stays(table: Path) -> None:
    assert parts_of(task(table, completion="\n{{ n }}\n"))["train"][0]["completion"][-1] == "\n"


def test_rows_that_are_ready_need_no_templates(tmp_path: Path) -> None:
    ready = [{"id": f"r{i}", "prompt": f"p{i}", "completion": " c"} for i in range(9)]
    talk = [{"messages": [{"role": "user", "content": f"u{i}"}]} for i in range(9)]
    for found in (ready, talk):
        write_json_lines(tmp_path / "train.jsonl", found)
        write_json_lines(tmp_path / "test.jsonl", [{**row, "x": 1} for row in found])
        dealt = split_rows(TaskConfig(data=str(tmp_path)), "t", train=9, reserve=0, probe=0, test=0, seed=0)
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
        parts_of(task(table, **given))


def test_too_few_rows_are_told(table: Path) -> None:
    with pytest.raises(InputError, match="31 train rows were asked for, 30 are left"):
        parts_of(task(table), train=31)
    with pytest.raises(InputError, match="31 probe rows were asked for, 30 are left"):
        parts_of(task(table), probe=31)
    with pytest.raises(InputError, match="27 test rows were asked for, 26 are left"):
        parts_of(task(table), test=27)


def test_held_out_rows_are_of_no_training_text(table: Path) -> None:
    same = list(read_json_lines(table / "train.jsonl"))
    write_json_lines(table / "test.jsonl", same[:20] + list(read_json_lines(table / "test.jsonl"))[:10])
    dealt = parts_of(task(table), probe=6, test=4)
    texts = [{row["prompt"] for row in dealt[part]} for part in ("reserve", "probe", "test")]
    assert [len(part) for part in texts] == [30, 6, 4]
    assert not texts[0] & (texts[1] | texts[2])
    assert not texts[1] & texts[2]
    with pytest.raises(InputError, match="11 probe rows were asked for, 10 are left"):
        parts_of(task(table), probe=11, test=0)


@pytest.mark.parametrize("split", [False, True])
def test_one_place_for_all_rows_is_divided(split: bool, table: Path) -> None:
    given = task(table, test_split="train") if split else task(table / "train.jsonl")
    doubled = list(read_json_lines(table / "train.jsonl"))
    write_json_lines(table / "train.jsonl", doubled + doubled[:5])  # texts that are there twice stay on one side
    for seed in range(5):
        dealt = parts_of(given, seed, probe=6, test=6)
        own, held = ({row["prompt"] for row in dealt[part]} for part in ("reserve", "probe"))
        held |= {row["prompt"] for row in dealt["test"]}
        assert not own & held
        assert own | held == {f"Q: what is {i}?\nA:" for i in range(30)}
    with pytest.raises(InputError, match="train rows were asked for"):
        parts_of(given, train=30)


def test_a_seed_decides_the_draw(table: Path) -> None:
    assert parts_of(task(table), 3) == parts_of(task(table), 3)
    drawn = [[row["n"] for row in parts_of(task(table), seed)["train"]] for seed in range(4)]
    assert len({tuple(each) for each in drawn}) == 4
    more = [row["n"] for row in parts_of(task(table), 0, train=9)["train"]]
    assert more[:5] == drawn[0]  # more rows are the same rows, and others


def test_reserve_holds_what_is_trained_on(table: Path) -> None:
    for reserve, held in ((None, 30), (12, 12), (0, 5)):
        dealt = parts_of(task(table), reserve=reserve)
        assert len(dealt["reserve"]) == held
        assert dealt["reserve"][:5] == dealt["train"]


def test_only_a_line_feed_ends_a_row(tmp_path: Path) -> None:
    """U+2028 and U+0085 are line breaks to ``str.splitlines``, and ordinary characters of a text."""
    found = [{"prompt": f"{i}\u2028first\u0085second\x1c", "completion": "\u2029 ok"} for i in range(12)]
    write_json_lines(tmp_path / "rows.jsonl", found)
    out = tmp_path / "out"
    out.mkdir()
    settings = {"train_split": "train", "test_split": "test", "prompt": None, "completion": None}
    rows.work(
        out,
        {},
        task={**settings, "columns": {}, "keep": None},
        data=str(tmp_path / "rows.jsonl"),
        test_data=None,
        content="",
        held_out=None,
        divided=True,
        name="t",
        seed=0,
        parts=["train", "test"],
        train=8,
        test=4,
    )
    written = [row for part in ("train", "test") for row in read_json_lines(out / f"{part}.jsonl")]
    assert sorted(row["prompt"] for row in written) == sorted(row["prompt"] for row in found)
    assert {row["completion"] for row in written} == {"\u2029 ok"}
