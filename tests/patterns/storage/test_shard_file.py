"""A shard in a file: plain Parquet, with checksums."""

from __future__ import annotations

import numpy as np
import pytest

from headprint.base.errors import InputError
from headprint.patterns.storage.manifest import read_manifest, settings_hash
from headprint.patterns.storage.shard_file import DamagedShard, read_shard, shard_index, shard_name, write_shard
from support.pattern_sets import fill, is_shard, shard


def test_a_shard_file_is_plain_parquet(tmp_path):
    import pyarrow.parquet as pq

    fill(tmp_path, [0])
    path = tmp_path / "part-00000.parquet"
    schema = pq.read_schema(path)
    assert schema.names == ["id", "levels", "loss", "tokens"]
    assert str(schema.field("levels").type) == "fixed_size_list<element: float>[6]"
    _, found = read_shard(path, (2, 3), index=0, settings=settings_hash(read_manifest(tmp_path)))
    assert is_shard(found, shard(0))
    row = pq.read_table(path).to_pylist()[1]
    assert row["levels"] == shard(0).values[1].ravel().tolist()


def test_the_names_of_shards():
    assert shard_name(3) == "part-00003.parquet"
    assert [shard_index(shard_name(index)) for index in (0, 99_999, 100_000)] == [0, 99_999, 100_000]
    for name in ("part-1.parquet", "part-000001.parquet", ".part-00001.parquet.7.tmp", "part-00001.parquet.bak"):
        assert shard_index(name) is None


def test_every_flipped_bit_is_noticed_or_changes_nothing(tmp_path):
    path, expected = tmp_path / "whole.parquet", shard(0, n=8)
    options = {"index": 0, "settings": "ab12"}
    written = write_shard(path, expected, **options)
    data = path.read_bytes()
    for bit in np.random.default_rng(0).permutation(8 * len(data))[:1500]:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(flipped)
        try:
            footer, found = read_shard(path, (2, 3), **options)
        except DamagedShard:
            continue
        assert footer == written
        assert is_shard(found, expected)


def test_an_id_that_is_not_unicode_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"not valid Unicode .*correct it in the data"):
        write_shard(tmp_path / "p.parquet", shard(0)._replace(ids=["a", "\ud800", "c"]), index=0, settings="")
    assert not list(tmp_path.iterdir())
