"""RunDirectory: whose a directory is, what is refused, resumed or begun anew, and what a failure leaves."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from headprint.base.errors import InputError
from headprint.base.files import read_json
from headprint.base.run_directory import LOCK, RunDirectory, RunKind


def read_record(path: Path) -> dict[str, Any]:
    record = read_json(path)
    if record.get("format") != "test":
        raise InputError(f"{path} is not the record of a test")
    return record["settings"]


KIND = RunKind(
    name="test run",
    record="record.json",
    read=read_record,
    progress=("steps/step-*", "model"),
    leftovers=("steps", "notes-*.txt"),
    result="result.json",
)
SETTINGS = {"model": "lab", "sft": {"seed": 0, "rate": 0.5}}


def record(settings: dict[str, Any] = SETTINGS) -> bytes:
    return json.dumps({"format": "test", "settings": settings}).encode()


def begin(path: Path, settings: dict[str, Any] = SETTINGS, **options: Any) -> RunDirectory:
    return RunDirectory(path, KIND).begin(record(settings), settings, **options)


def make_step(path: Path, number: int) -> None:
    (path / "steps").mkdir(exist_ok=True)
    (path / f"steps/step-{number}").write_text("weights")


def names(path: Path) -> list[str]:
    return sorted(str(each.relative_to(path)) for each in path.rglob("*"))


def stopped(path: Path, settings: dict[str, Any] = SETTINGS) -> Path:
    with begin(path, settings):
        make_step(path, 1)
    return path


def test_a_run_is_begun_stopped_resumed_and_finished(tmp_path):
    out = tmp_path / "new" / "run"
    run = RunDirectory(out, KIND)
    run.check(SETTINGS)
    assert not out.exists()
    with run.begin(record(), SETTINGS):
        assert (run.resumed, run.has_progress, run.finished) == (False, False, False)
        assert run.record.read_bytes() == record()
        make_step(out, 1)
    with begin(out) as again:
        assert (again.resumed, again.has_progress, again.finished) == (True, True, False)
        again.finish(b"{}")
    assert RunDirectory(out, KIND).finished
    assert (out / "steps/step-1").is_file()


def test_a_stopped_run_wants_to_be_resumed_by_name(tmp_path):
    stopped(tmp_path)
    for state in ("stopped", "finished"):
        with pytest.raises(InputError, match=f"holds a {state} run: resume it .--resume., or choose another"):
            RunDirectory(tmp_path, KIND).check(SETTINGS, resume=False)
        with pytest.raises(InputError, match=f"holds a {state} run"):
            begin(tmp_path, resume=False)
        with begin(tmp_path) as run:
            run.finish(b"{}")


def test_every_setting_that_differs_is_named(tmp_path):
    stopped(tmp_path)
    other = {"model": "lab", "sft": {"seed": 1, "rate": 0.5}, "limit": 3}
    for refuse in (RunDirectory(tmp_path, KIND).check, lambda settings: begin(tmp_path, settings)):
        with pytest.raises(InputError) as refusal:
            refuse(other)
        message = str(refusal.value)
        assert "sft.seed is 0 there and 1 here" in message
        assert "limit is not set there and 3 here" in message
        assert "rate" not in message
        assert "--overwrite" not in message  # this kind has no such option
        assert "\n" not in message


def test_settings_known_so_far_are_compared_and_the_rest_is_not(tmp_path):
    stopped(tmp_path)
    run = RunDirectory(tmp_path, KIND)
    run.check({"model": "lab"}, so_far=True)
    with pytest.raises(InputError, match="sft is"):
        run.check({"sft": 3}, so_far=True)


def test_settings_are_made_only_to_be_compared(tmp_path):
    def costly() -> dict[str, Any]:
        raise AssertionError("asked")

    run = RunDirectory(tmp_path, KIND)
    run.check(costly)
    run.check(costly, overwrite=True)
    stopped(tmp_path)
    run.check(costly, overwrite=True)
    with pytest.raises(AssertionError, match="asked"):
        run.check(costly)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_start_that_fails_leaves_nothing(tmp_path, error):
    def fail() -> None:
        with begin(tmp_path / "a" / "b") as run:
            (run.path / "notes-1.txt").write_text("mine")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == []


def test_a_start_that_fails_spares_the_directory_that_was_there_and_other_files(tmp_path):
    with begin(tmp_path):
        (tmp_path / "thesis.tex").write_text("mine")
    assert names(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize("resume", [True, False])
def test_a_run_without_progress_is_in_nobodys_way(tmp_path, resume):
    (tmp_path / "record.json").write_bytes(record({"model": "other"}))  # as after kill -9
    (tmp_path / "notes-1.txt").write_text("old")
    (tmp_path / "steps").mkdir()
    RunDirectory(tmp_path, KIND).check(SETTINGS, resume=resume)
    with begin(tmp_path, resume=resume) as run:
        assert not run.resumed
        assert names(tmp_path) == [LOCK, "record.json"]
        assert run.record.read_bytes() == record()


def test_overwriting_removes_the_run_and_nothing_else(tmp_path):
    stopped(tmp_path, {"model": "other"})
    (tmp_path / "thesis.tex").write_text("mine")
    with begin(tmp_path, overwrite=True) as run:
        assert not run.resumed
        assert names(tmp_path) == [LOCK, "record.json", "thesis.tex"]


def test_a_link_is_removed_and_what_it_points_to_is_not(tmp_path):
    elsewhere = stopped(tmp_path / "elsewhere")
    out = stopped(tmp_path / "out")
    (out / "model").symlink_to(elsewhere, target_is_directory=True)
    with begin(out, overwrite=True):
        assert not (out / "model").exists()
        assert (elsewhere / "steps/step-1").is_file()


def test_somebody_elses_directory_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    for refuse in (RunDirectory(tmp_path, KIND).check, lambda overwrite: begin(tmp_path, overwrite=overwrite)):
        with pytest.raises(InputError, match=r"holds other files \(thesis\.tex\) and no test run: choose an empty"):
            refuse(overwrite=True)
    assert names(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize("content", ['{"format": "another"}', "{"])
def test_the_record_of_something_else_is_refused_and_left_as_it_is(tmp_path, content):
    (tmp_path / "record.json").write_text(content)
    (tmp_path / "notes-1.txt").write_text("theirs")
    for refuse in (RunDirectory(tmp_path, KIND).check, lambda overwrite: begin(tmp_path, overwrite=overwrite)):
        with pytest.raises(InputError, match=r"not the record of a test|broken JSON"):
            refuse(overwrite=True)
    assert names(tmp_path) == ["notes-1.txt", "record.json"]


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        for refuse in (RunDirectory(path, KIND).check, lambda path=path: begin(path)):
            with pytest.raises(InputError, match="file is a file; choose a directory"):
                refuse()


def test_a_place_that_cannot_be_written_to_is_refused_early(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # chmod does not stop root
    with pytest.raises(InputError, match="no permission to write"):
        RunDirectory(tmp_path / "run", KIND).check()


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for function in ("fsync", "mkdir"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, full)
            with pytest.raises(InputError, match="No space left") as refusal:
                begin(tmp_path / "run")
        assert "\n" not in str(refusal.value)
        assert names(tmp_path) == []


def test_temporary_files_of_a_killed_run_are_removed_and_others_are_not(tmp_path):
    stopped(tmp_path)
    for name in (".record.json.12.tmp", "steps/.step-2.345.tmp", ".mine.tmp", "note.12.tmp"):
        (tmp_path / name).write_text("half")
    with begin(tmp_path):
        assert names(tmp_path) == [LOCK, ".mine.tmp", "note.12.tmp", "record.json", "steps", "steps/step-1"]


def test_a_run_killed_while_its_record_was_written_is_in_nobodys_way(tmp_path):
    for name in (".record.json.12.tmp", LOCK):
        (tmp_path / name).write_text("")
    with begin(tmp_path) as run:
        assert not run.resumed


def test_a_second_process_is_refused_early_and_under_the_lock(tmp_path):
    with begin(tmp_path) as first:
        for refuse in (RunDirectory(tmp_path, KIND).check, lambda: begin(tmp_path)):
            with pytest.raises(InputError, match=r"another process is writing to .*: wait for it, or choose another"):
                refuse()
        assert first.record.is_file()
        make_step(tmp_path, 1)
    begin(tmp_path).finish(b"{}")
    begin(tmp_path).release()


def test_what_another_process_began_between_check_and_lock_is_seen(tmp_path, monkeypatch):
    def check_and_be_overtaken(self: RunDirectory, *arguments: Any, **options: Any) -> None:
        monkeypatch.undo()
        self.check(*arguments, **options)
        stopped(tmp_path, {"model": "other"})

    monkeypatch.setattr(RunDirectory, "check", check_and_be_overtaken)
    with pytest.raises(InputError, match='model is "other" there and "lab" here'):
        begin(tmp_path)
    assert read_record(tmp_path / "record.json") == {"model": "other"}
    assert (tmp_path / "steps/step-1").is_file()
    stopped(tmp_path, {"model": "other"})  # and the lock was let go


HOLDER = """
import sys
from pathlib import Path
from headprint.base.run_directory import RunDirectory, RunKind
kind = RunKind(name="test run", record="record.json", read=lambda path: {}, progress=("steps/step-*",))
with RunDirectory(sys.argv[1], kind).begin(b'{"format": "test", "settings": {}}'):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_the_lock_ends_with_the_process(tmp_path):
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        with pytest.raises(InputError, match="another process is writing"):
            begin(tmp_path)
        holder.send_signal(signal.SIGKILL)
    begin(tmp_path).finish(b"{}")


def test_it_needs_neither_torch_nor_numpy():
    code = "import sys, headprint.base.run_directory; print(sorted({'torch', 'numpy', 'pyarrow'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
