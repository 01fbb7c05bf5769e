"""A pattern in a file: it comes back as it was, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save_file

from headprint.base.errors import InputError
from headprint.patterns import Pattern, load


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


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pattern") / "p.safetensors"
    values = np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32)
    Pattern(values, {"task": "math", "model": {"weights": "ab12"}}, "change").save(path)
    return path


def test_every_flipped_bit_is_noticed_or_changes_nothing(whole, tmp_path):
    data, expected, path = whole.read_bytes(), Pattern.load(whole), tmp_path / "flipped.safetensors"
    rng = np.random.default_rng(1)
    loaded = 0
    for bit in rng.permutation(8 * len(data))[:2000]:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(flipped)
        try:
            found = Pattern.load(path)
        except InputError:
            continue
        loaded += 1
        assert found.values.tobytes() == expected.values.tobytes()
        assert (found.kind, found.provenance) == (expected.kind, expected.provenance)
    assert loaded < 20  # padding, if anything


metadata = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    header=metadata
    | st.fixed_dictionaries(
        {"format_version": st.just(2) | metadata, "kind": st.just("pattern") | metadata, "provenance": metadata},
        optional={"sha256": metadata},
    ),
    values=hnp.arrays(st.sampled_from([np.float32, np.float64, np.int32]), hnp.array_shapes(max_dims=3, max_side=3)),
    name=st.sampled_from(["values", "weight"]),
)
@settings(max_examples=100, deadline=None)
def test_metadata_of_any_values_raises_nothing_but_one_line(tmp_path_factory, header, values, name):
    path = tmp_path_factory.mktemp("pattern") / "p.safetensors"
    save_file({name: values}, path, {"headprint": json.dumps(header)})
    with pytest.raises(InputError) as refusal:
        load(path)
    assert "\n" not in str(refusal.value)


def test_a_pattern_of_another_version_is_refused_with_the_fix(tmp_path):
    path = tmp_path / "p.safetensors"
    for version, message in ((1, "older format.*save the pattern again"), (3, "newer headprint.*upgrade")):
        header = {"format_version": version, "kind": "pattern", "provenance": {}}
        save_file({"values": np.ones((2, 3), np.float32)}, path, {"headprint": json.dumps(header)})
        with pytest.raises(InputError, match=message):
            load(path)


def test_provenance_reads_back_as_json_has_it(tmp_path):
    path = tmp_path / "p.safetensors"
    Pattern([[1.0]], {"steps": {10: (1, 2), 9: "\ud800"}}).save(path)
    assert Pattern.load(path).provenance == {"steps": {"10": [1, 2], "9": "\ud800"}}
