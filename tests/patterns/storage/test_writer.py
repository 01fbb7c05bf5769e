"""Writing a pattern set: resume, refusal, and what a killed writer leaves."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from headprint.base.errors import InputError
from headprint.patterns import PatternSetWriter, load
from headprint.patterns.storage.reader import StoredSet
from support.pattern_sets import SETTINGS, fill, shard, writer


def test_an_unfinished_set_is_refused_or_opened_in_part_and_then_resumed(tmp_path):
    fill(tmp_path, [0, 2], close=False)
    with pytest.raises(InputError, match=r"unfinished \(2 shards.*partial=True"):
        load(tmp_path)
    assert load(tmp_path, partial=True).ids == [*shard(0).ids, *shard(2).ids]

    before = (tmp_path / "part-00000.parquet").stat().st_mtime_ns
    with writer(tmp_path, provenance={"task": "changed"}) as out:
        assert out.finished == {0, 2}
        out.write(1, *shard(1))
        out.close({})
    assert (tmp_path / "part-00000.parquet").stat().st_mtime_ns == before
    opened = load(tmp_path)
    assert opened.ids == [name for i in range(3) for name in shard(i).ids]
    assert opened.provenance["task"] == "gsm8k"


def test_a_complete_set_is_resumed_without_work(tmp_path):
    fill(tmp_path, [0, 1])
    with writer(tmp_path) as out:
        assert out.manifest["complete"]
        assert out.finished == {0, 1}
    assert len(load(tmp_path)) == 6


def test_other_settings_are_refused_field_by_field(tmp_path):
    fill(tmp_path, [0], close=False)
    other = {**SETTINGS, "model": {"weights": "cd34"}, "limit": 5}
    with pytest.raises(InputError) as refusal:
        writer(tmp_path, settings=other, heads=4)
    message = str(refusal.value)
    assert 'model.weights is "ab12" there and "cd34" here' in message
    assert "limit is not set there and 5 here" in message
    assert "heads is 3 there and 4 here" in message
    assert "dtype" not in message
    assert "--out" in message
    assert "--overwrite" in message
    assert "\n" not in message
    fill(tmp_path, [1])  # the refusal left the set and its lock as they were


def test_overwrite_starts_anew_and_spares_other_files(tmp_path):
    fill(tmp_path, [0, 1, 2])
    (tmp_path / "notes.txt").write_text("mine")
    with writer(tmp_path, settings={"other": 1}, overwrite=True) as out:
        assert out.finished == frozenset()
        out.write(0, *shard(7))
        out.close({})
    assert load(tmp_path).ids == list(shard(7).ids)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "part-00001.parquet").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_foreign_directory_is_left_alone(tmp_path, overwrite):
    (tmp_path / "part-00000.parquet").write_text("somebody's")
    with pytest.raises(InputError, match="holds other files"):
        writer(tmp_path, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["part-00000.parquet"]
    (tmp_path / "manifest.json").write_text('{"format": "theirs"}')
    with pytest.raises(InputError, match="not a pattern set's manifest"):
        writer(tmp_path, overwrite=overwrite)


def test_a_file_in_place_of_the_directory(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match=r"cannot write to .*out"):
        writer(tmp_path / "out")


def test_closing_with_a_gap_is_an_error(tmp_path):
    with writer(tmp_path) as out:
        out.write(1, *shard(1))
        with pytest.raises(ValueError, match=r"\[0\]"):
            out.close({})


def test_columns_of_unequal_length_are_an_error(tmp_path):
    with writer(tmp_path) as out:
        good = shard(0)
        for bad in (
            good._replace(ids=["a"]),
            good._replace(losses=good.losses[:1]),
            good._replace(values=good.values[:, :1]),
        ):
            with pytest.raises(ValueError, match="levels"):
                out.write(0, *bad)
        assert out.finished == frozenset()


def test_a_crash_between_writing_and_renaming_leaves_no_shard(tmp_path, monkeypatch):
    with writer(tmp_path) as out:
        out.write(0, *shard(0))
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                out.write(1, *shard(1))
        assert out.finished == {0}
    assert sorted(p.name for p in tmp_path.glob("*")) == sorted(
        [".headprint.lock", "manifest.json", "part-00000.parquet"]
    )
    fill(tmp_path, [1])
    assert len(load(tmp_path)) == 6


def test_a_full_disk_is_the_users_to_mend_and_keeps_what_is_finished(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with writer(tmp_path) as out:
        out.write(0, *shard(0))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(InputError, match=f"{tmp_path}: No space left.*kept"):
                out.write(1, *shard(1))
        assert out.finished == {0}
        out.write(1, *shard(1))
        out.close({})
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_killed_writers_leftovers_are_cleaned_up(tmp_path):
    fill(tmp_path, [0], close=False)
    leftovers = [".part-00001.parquet.123.tmp", ".manifest.json.123.tmp"]
    for name in [*leftovers, ".mine.tmp"]:
        (tmp_path / name).write_text("half")
    with writer(tmp_path) as out:
        assert out.finished == {0}
    assert not any((tmp_path / name).exists() for name in leftovers)
    assert (tmp_path / ".mine.tmp").exists()


def test_two_writers_are_refused(tmp_path):
    with writer(tmp_path), pytest.raises(InputError, match="another process is writing"):
        writer(tmp_path)
    writer(tmp_path).close({})


ENDLESS = """
import itertools, sys, numpy as np
from headprint.patterns import PatternSetWriter
with PatternSetWriter(sys.argv[1], layers=40, heads=40, settings={"run": 1}, provenance={}) as out:
    print("ready", flush=True)
    for index in itertools.count():
        rng = np.random.default_rng(index)
        out.write(index, [f"{index}-{i}" for i in range(50)],
                  rng.standard_normal((50, 40, 40), np.float32), rng.random(50, np.float32),
                  np.full(50, index, np.int32))
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_writer_killed_in_the_middle_is_resumed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ENDLESS, tmp_path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline() == b"ready\n"
    options = {"layers": 40, "heads": 40, "settings": {"run": 1}, "provenance": {}}
    with pytest.raises(InputError, match="another process"):
        PatternSetWriter(tmp_path, **options)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("part-*.parquet"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()

    with PatternSetWriter(tmp_path, **options) as out:  # the lock died with the process
        whole = sorted(out.finished)
        assert whole == list(range(len(whole)))
        assert len(whole) >= 3
        out.write(len(whole), *shard(5, 50, 40, 40))
        out.close({})
    opened = StoredSet.open(tmp_path)
    for index in whole:
        expected = np.random.default_rng(index).standard_normal((50, 40, 40), np.float32)
        np.testing.assert_array_equal(opened.read(index).values, expected)
    assert not list(tmp_path.glob(".*.tmp"))


def test_settings_must_be_finite_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        writer(tmp_path / "out", settings={"x": float("nan")})
    assert not (tmp_path / "out").exists()


def test_an_unfinished_set_without_a_shard_is_no_obstacle_to_other_settings(tmp_path) -> None:
    begin = {"layers": 2, "heads": 3, "provenance": {}}
    with PatternSetWriter(tmp_path / "set", settings={"data": "broken"}, **begin):
        pass  # such as a broken line before the first shard
    with PatternSetWriter(tmp_path / "set", settings={"data": "mended"}, **begin) as writer:
        assert writer.manifest["settings"] == {"data": "mended"}


def test_a_file_name_that_is_not_utf8_is_kept_in_the_provenance(tmp_path):
    odd = os.fsdecode(b"rows-\xff.jsonl")
    with writer(tmp_path, settings={"data": odd}, provenance={"source": odd}) as out:
        out.write(0, *shard(0))
        out.close({})
    assert load(tmp_path).provenance["source"] == odd
