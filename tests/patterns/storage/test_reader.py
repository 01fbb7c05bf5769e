"""Reading a pattern set: what was written comes back, and whatever else is refused in one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save_file

from headprint.base.errors import InputError
from headprint.patterns import Pattern, PatternSet, Shard, load
from headprint.patterns.storage.reader import StoredSet
from support.pattern_sets import SETTINGS, fill, is_shard, shard, writer


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
    with pytest.raises(InputError, match=r"part-00001\.parquet cannot be used: .*another run"):
        load(tmp_path / "a").pattern()
    with writer(tmp_path / "a") as out:
        assert out.finished == {0}


@pytest.mark.parametrize("complete", [True, False])
def test_a_shard_under_anothers_name_is_never_accepted(tmp_path, complete):
    fill(tmp_path, range(3), close=complete)
    shutil.copy(tmp_path / "part-00000.parquet", tmp_path / "part-00001.parquet")
    if complete:
        with pytest.raises(InputError, match=r"part-00001\.parquet cannot be used: it is shard 0 under another name"):
            load(tmp_path).pattern()
    else:
        assert load(tmp_path, partial=True).ids == [*shard(0).ids, *shard(2).ids]
    with writer(tmp_path) as out:
        assert out.finished == {0, 2}


def test_a_shard_of_an_equal_run_with_other_numbers_is_never_accepted(tmp_path):
    fill(tmp_path / "a", [0, 1])
    with writer(tmp_path / "b") as out:
        out.write(0, *shard(0))
        out.write(1, *shard(7))
    shutil.copy(tmp_path / "b" / "part-00001.parquet", tmp_path / "a" / "part-00001.parquet")
    with pytest.raises(InputError, match="not the shard that the manifest lists"):
        load(tmp_path / "a").pattern()
    with writer(tmp_path / "a") as out:
        assert out.finished == {0, 1}  # it is as good as the one that was there
        out.close({})
    assert load(tmp_path / "a").ids == [*shard(0).ids, *shard(7).ids]


def test_a_shard_that_changes_after_the_set_was_opened_is_noticed(tmp_path):
    fill(tmp_path, [0, 1])
    levels = load(tmp_path)
    shutil.copy(tmp_path / "part-00000.parquet", tmp_path / "part-00001.parquet")
    with pytest.raises(InputError, match="cannot be used"):
        levels.pattern()


def test_a_lost_shard_is_noticed_when_the_set_is_opened(tmp_path):
    fill(tmp_path, range(3))
    (tmp_path / "part-00001.parquet").unlink()
    with pytest.raises(InputError, match=r"part-00001\.parquet cannot be used: it is missing"):
        load(tmp_path)


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
    (newer / "manifest.json").write_text(json.dumps({**manifest, "format_version": 3}))
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


def test_reading_needs_no_torch_and_no_model():
    code = (
        "import sys, headprint.patterns.pattern_set; "
        "print(sorted({'torch', 'jaxtyping', 'transformers'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
