"""Files: round trips, resume, refusal, damage, and what a killed writer leaves."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save_file

from headprint.base.errors import InputError
from headprint.patterns import PatternSetWriter
from headprint.patterns.pattern_set import Pattern, PatternSet, load
from headprint.patterns.storage.reader import StoredSet
from headprint.patterns.storage.shards import Shard, read_shard

SETTINGS = {"model": {"weights": "ab12"}, "dtype": "float32", "shard_size": 3, "lengths": (1, 2)}
PROVENANCE = {"task": "gsm8k", "placement": "example"}


def writer(directory, **options) -> PatternSetWriter:
    given = {"layers": 2, "heads": 3, "settings": SETTINGS, "provenance": PROVENANCE}
    return PatternSetWriter(directory, **{**given, **options})


def shard(index: int, n: int = 3, layers: int = 2, heads: int = 3) -> Shard:
    rng = np.random.default_rng(index)
    return Shard(
        [f"{index}-{i}" for i in range(n)],
        rng.standard_normal((n, layers, heads), np.float32),
        rng.random(n, np.float32),
        rng.integers(1, 99, n, np.int32),
    )


def fill(directory, indices, close: bool = True) -> None:
    with writer(directory) as out:
        for index in indices:
            out.write(index, *shard(index))
        if close:
            out.close({"dropped": 1})


def is_shard(found: Shard, expected: Shard) -> bool:
    return list(found.ids) == list(expected.ids) and all(
        a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)
        for a, b in zip(found[1:], expected[1:], strict=True)
    )


@st.composite
def shards(draw):
    n, layers, heads = draw(st.integers(0, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    floats = st.floats(width=32)  # with NaN, infinities, -0 and subnormals
    return Shard(
        draw(st.lists(st.text(), min_size=n, max_size=n)),
        draw(hnp.arrays(np.float32, (n, layers, heads), elements=floats)),
        draw(hnp.arrays(np.float32, n, elements=floats)),
        draw(hnp.arrays(np.int32, n)),
    )


@given(shards())
@settings(max_examples=25, deadline=None)
def test_any_shard_comes_back_as_it_was(tmp_path_factory, one):
    directory = tmp_path_factory.mktemp("set") / "new" / "out"
    _, layers, heads = one.values.shape
    with writer(directory, layers=layers, heads=heads) as out:
        out.write(0, *one)
        out.close({})
    stored = StoredSet.open(directory)
    assert stored.rows == [len(one.ids)]
    assert is_shard(stored.read(0), one)
    labels = stored.read_labels(0)
    assert is_shard(labels._replace(values=one.values), one)
    assert labels.values.size == 0
    opened = PatternSet.load(directory)
    assert opened.ids == one.ids
    assert opened.values.tobytes() == one.values.tobytes()


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.floats(width=32)),
    st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.none() | st.booleans())),
    st.sampled_from(["pattern", "change"]),
)
@settings(max_examples=25, deadline=None)
def test_any_pattern_comes_back_as_it_was(tmp_path_factory, values, provenance, kind):
    path = tmp_path_factory.mktemp("pattern") / "p.safetensors"
    Pattern(values, provenance, kind).save(path)
    opened = Pattern.load(path)
    assert opened.values.tobytes() == values.tobytes()
    assert (opened.provenance, opened.kind) == (provenance, kind)


def test_manifest_names_what_is_there(tmp_path):
    fill(tmp_path, [0, 1])
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["complete"] is True
    assert manifest["shards"] == [
        {"file": "part-00000.parquet", "rows": 3},
        {"file": "part-00001.parquet", "rows": 3},
    ]
    assert manifest["settings"] == {**SETTINGS, "lengths": [1, 2]}
    assert (manifest["layers"], manifest["heads"], manifest["format_version"]) == (2, 3, 1)
    assert PatternSet.load(tmp_path).provenance == {**PROVENANCE, "report": {"dropped": 1}}


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


@pytest.mark.parametrize(
    "other",
    [
        {"settings": {**SETTINGS, "dtype": "bfloat16"}},
        {"layers": 3, "heads": 2},  # as many numbers, in another order
    ],
)
def test_a_shard_of_another_run_is_never_accepted(tmp_path, other):
    fill(tmp_path / "a", [0, 1])
    layers, heads = other.get("layers", 2), other.get("heads", 3)
    with writer(tmp_path / "b", **other) as out:
        out.write(0, *shard(0, layers=layers, heads=heads))
        out.write(1, *shard(1, layers=layers, heads=heads))
        out.close({})
    os.replace(tmp_path / "b" / "part-00001.parquet", tmp_path / "a" / "part-00001.parquet")
    opened = load(tmp_path / "a")
    with pytest.raises(InputError, match=r"part-00001\.parquet cannot be used: .*another run"):
        opened.pattern()
    with writer(tmp_path / "a") as out:
        assert out.finished == {0}


def damage_cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def damage_empty(path):
    path.write_bytes(b"")


def damage_zeros(path):
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("damage", [damage_cut, damage_empty, damage_zeros, os.remove])
@pytest.mark.parametrize("complete", [True, False])
def test_a_damaged_shard_is_reported_and_redone(tmp_path, damage, complete):
    fill(tmp_path, range(3), close=complete)
    damage(tmp_path / "part-00001.parquet")
    if complete:
        with pytest.raises(InputError, match=r"part-00001\.parquet cannot be used"):
            load(tmp_path).pattern()
    else:
        assert load(tmp_path, partial=True).ids == [*shard(0).ids, *shard(2).ids]
    with writer(tmp_path) as out:
        assert out.finished == {0, 2}
        assert not out.manifest["complete"]
        out.write(1, *shard(1))
        out.close({})
    assert load(tmp_path).ids == [name for i in range(3) for name in shard(i).ids]


def test_a_flipped_bit_is_noticed_when_read(tmp_path):
    with writer(tmp_path) as out:
        out.write(0, *shard(0, n=200))
        out.close({})
    path = tmp_path / "part-00000.parquet"
    data = bytearray(path.read_bytes())
    place = len(data) // 2  # in the levels, which are nearly all of the file
    data[place] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(InputError, match="cannot be used"):
        load(tmp_path).pattern()


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


def test_what_is_not_ours_is_refused_in_one_line(tmp_path):
    foreign = tmp_path / "model.safetensors"
    save_file({"weight": np.ones(3, np.float32)}, foreign)
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    cut = tmp_path / "cut.safetensors"
    Pattern(np.ones((4, 4))).save(cut)
    cut.write_bytes(cut.read_bytes()[:-8])
    empty = tmp_path / "empty"
    empty.mkdir()
    broken = tmp_path / "broken"
    fill(broken, [0])
    (broken / "manifest.json").write_text("{")
    newer = tmp_path / "newer"
    fill(newer, [0])
    manifest = json.loads((newer / "manifest.json").read_text())
    (newer / "manifest.json").write_text(json.dumps({**manifest, "format_version": 2}))
    for path, message in (
        (foreign, "not a pattern file"),
        (text, "not a pattern file"),
        (cut, "not a pattern file"),
        (empty, "no manifest.json"),
        (broken, "damaged"),
        (newer, "upgrade"),
        (tmp_path / "nowhere", "no file or directory"),
    ):
        with pytest.raises(InputError, match=message) as refusal:
            load(path)
        assert str(path) in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_settings_must_be_finite_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        writer(tmp_path / "out", settings={"x": float("nan")})
    assert not (tmp_path / "out").exists()


def test_reading_needs_no_torch_and_no_model():
    code = (
        "import sys, headprint.patterns.pattern_set; "
        "print(sorted({'torch', 'jaxtyping', 'transformers'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_shard_file_is_plain_parquet(tmp_path):
    import pyarrow.parquet as pq

    fill(tmp_path, [0])
    path = tmp_path / "part-00000.parquet"
    schema = pq.read_schema(path)
    assert schema.names == ["id", "levels", "loss", "tokens"]
    assert str(schema.field("levels").type) == "fixed_size_list<element: float>[6]"
    assert is_shard(read_shard(path, (2, 3)), shard(0))
    row = pq.read_table(path).to_pylist()[1]
    assert row["levels"] == shard(0).values[1].ravel().tolist()


def test_an_unfinished_set_without_a_shard_is_no_obstacle_to_other_settings(tmp_path) -> None:
    begin = {"layers": 2, "heads": 3, "provenance": {}}
    with PatternSetWriter(tmp_path / "set", settings={"data": "broken"}, **begin):
        pass  # such as a broken line before the first shard
    with PatternSetWriter(tmp_path / "set", settings={"data": "mended"}, **begin) as writer:
        assert writer.manifest["settings"] == {"data": "mended"}
