"""The manifest: what it says, and that no manifest makes the reader fail with anything but one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headprint.base.errors import InputError
from headprint.base.run_directory import RunDirectory
from headprint.patterns import PATTERN_SET_RUN, PatternSet, load
from headprint.patterns.storage.manifest import MANIFEST, read_manifest, settings_hash
from headprint.patterns.storage.shard_file import read_footer, shard_name
from support.pattern_sets import PROVENANCE, SETTINGS, fill


def digest(directory: Path, index: int) -> str:
    manifest = read_manifest(directory)
    return read_footer(directory / shard_name(index), index=index, settings=settings_hash(manifest)).digest


def test_manifest_names_what_is_there(tmp_path):
    fill(tmp_path, [0, 1])
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["complete"] is True
    assert manifest["shards"] == [
        {"file": f"part-0000{index}.parquet", "rows": 3, "sha256": digest(tmp_path, index)} for index in (0, 1)
    ]
    assert manifest["settings"] == {**SETTINGS, "lengths": [1, 2]}
    assert (manifest["layers"], manifest["heads"], manifest["format_version"]) == (2, 3, 2)
    assert PatternSet.load(tmp_path).provenance == {**PROVENANCE, "report": {"dropped": 1}}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["part-00000.parquet", "1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("written")
    fill(directory, [0, 1])
    return directory


def use(directory: Path) -> None:
    """Whatever a manifest has a say in."""
    RunDirectory(directory, PATTERN_SET_RUN).check({"layers": 2, "heads": 3})
    for partial in (False, True):
        levels = load(directory, partial=partial)
        repr(levels)
        assert len(levels.ids) == len(levels)
        assert levels.values.shape == levels.shape
        levels.pattern()
        levels.merge(levels[:0])


def only_input_error(directory: Path) -> None:
    message = "fine"
    try:
        use(directory)
    except InputError as error:
        message = str(error)
    assert message.strip()
    assert "\n" not in message


def paths(value, here=()):
    """The place of every value within a JSON value."""
    yield here
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from paths(inner, (*here, key))


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_manifest_of_any_values_raises_nothing_but_one_line(written, data):
    path, whole = written / MANIFEST, (written / MANIFEST).read_bytes()
    manifest = {"": json.loads(whole)}
    for _ in range(data.draw(st.integers(1, 2))):
        places = [place for place in paths(manifest) if place]
        *above, last = data.draw(st.sampled_from(places))
        holder = manifest
        for key in above:
            holder = holder[key]
        if data.draw(st.booleans()):
            holder[last] = data.draw(json_values)
        else:
            del holder[last]
        if "" not in manifest:
            manifest[""] = None
    try:
        path.write_text(json.dumps(manifest[""]), "utf-8")
        only_input_error(written)
    finally:
        path.write_bytes(whole)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_manifest_of_any_bytes_raises_nothing_but_one_line(written, data):
    path, whole = written / MANIFEST, (written / MANIFEST).read_bytes()
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.none() | st.integers(0, len(whole)))
    try:
        path.write_bytes(bytes(changed[:cut]))
        only_input_error(written)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", "[" * 100_000, '{"format": NaN}', '"\\ud800"', "9" * 5000, "\x00", "\ufeff{}"]
)
def test_foreign_json_is_refused_in_one_line_with_the_fix(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text)
    for call in (read_manifest, load, lambda path: RunDirectory(path, PATTERN_SET_RUN).check({})):
        with pytest.raises(InputError, match=r"manifest\.json.*(remove the directory|another directory)") as refusal:
            call(tmp_path)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["../part-00000.parquet", "/part-00000.parquet", "sub/part-00000.parquet", "", "."])
def test_a_manifest_leads_to_no_file_but_its_shards(tmp_path, name):
    fill(tmp_path, [0])  # where .. would lead
    fill(tmp_path / "set", [0])
    manifest = read_manifest(tmp_path / "set")
    manifest["shards"][0]["file"] = f"{tmp_path}{name}" if name.startswith("/") else name
    (tmp_path / "set" / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="the name of shard 0 is not part-00000"):
        load(tmp_path / "set")


@pytest.mark.parametrize(("version", "message"), [(1, "older format"), (None, "older format"), (99, "newer headprint")])
def test_other_versions_are_refused_with_the_fix(tmp_path, version, message):
    fill(tmp_path, [0])
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps({**manifest, "format_version": version}))
    with pytest.raises(InputError, match=f"{message}.*(extract again|upgrade)"):
        load(tmp_path)
