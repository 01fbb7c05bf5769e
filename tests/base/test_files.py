"""Files: whole or not at all, JSON that every reader takes, and errors that name the place."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headprint.base.errors import InputError
from headprint.base.files import (
    read_json,
    read_json_lines,
    remove_temporaries,
    to_json,
    write_atomically,
    write_json,
    write_json_lines,
)


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir())


def test_a_file_takes_its_name_when_it_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")

    def interrupt(*_: Any) -> None:
        assert path.read_bytes() == b"old"
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_is_one_line(tmp_path, monkeypatch, function):
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, function, full)
        with pytest.raises(InputError, match=r"cannot write a\.json to .*No space left.*run the same") as refusal:
            write_json(tmp_path / "a.json", {})
    assert "\n" not in str(refusal.value)
    assert names(tmp_path) == []


def test_a_missing_directory_is_one_line(tmp_path):
    with pytest.raises(InputError, match="No such file or directory"):
        write_json(tmp_path / "nowhere" / "a.json", {})


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_flush_directories_is_no_obstacle(tmp_path, monkeypatch, code):
    flush = os.fsync

    def only_files(handle: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(code, os.strerror(code))
        flush(handle)

    monkeypatch.setattr(os, "fsync", only_files)
    write_json(tmp_path / "a.json", [1])
    assert read_json(tmp_path / "a.json") == [1]


def test_leftovers_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in (".a.json.12.tmp", ".mine.tmp", "b.12.tmp", "sub/.c.parquet.3.tmp"):
        (tmp_path / name).write_text("half")
    remove_temporaries(tmp_path)
    assert names(tmp_path) == [".mine.tmp", "b.12.tmp", "sub"]
    assert names(tmp_path / "sub") == [".c.parquet.3.tmp"]
    remove_temporaries(tmp_path, recursive=True)
    assert names(tmp_path / "sub") == []


def test_json_has_null_for_what_it_lacks():
    value = {"a": float("nan"), "b": (np.float32(1.5), np.array([1, np.inf])), "c": "é"}
    assert to_json(value) == '{"a": null, "b": [1.5, [1.0, null]], "c": "é"}'


def test_json_and_json_lines_read_back(tmp_path):
    rows = [{"text": "a\u2028b\x85c\nd"}, {"name": "\udcff"}, [1, None], "é"]
    write_json_lines(tmp_path / "rows.jsonl", rows)
    assert list(read_json_lines(tmp_path / "rows.jsonl")) == rows
    write_json(tmp_path / "rows.json", rows)
    assert read_json(tmp_path / "rows.json") == rows
    assert json.loads((tmp_path / "rows.json").read_bytes()) == rows  # UTF-8 throughout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1,\n}', r"a\.json:2: broken JSON"),
        (b"\xff", "not JSON"),
        (b"9" * 5000, "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_json_that_cannot_be_read_is_one_line(tmp_path, content, message):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=message) as refusal:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(refusal.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*a\.json: No such file"):
        read_json(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"cannot read .*a\.jsonl: No such file"):
        list(read_json_lines(tmp_path / "a.jsonl"))


def test_a_broken_line_is_named(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n\n{"a": \n')
    with pytest.raises(InputError, match=r"a\.jsonl:3: broken JSON"):
        list(read_json_lines(tmp_path / "a.jsonl"))
