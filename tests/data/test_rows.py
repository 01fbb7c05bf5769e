"""Rows from every kind of source, and what is said when there are none."""

import csv
import hashlib
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headprint.base.errors import InputError
from headprint.data import Row, count_rows, describe, fingerprint, read_rows, row_id, scheme_of, without_scheme
from support.entry_points import install

ROWS = [
    {"id": "a", "prompt": "1 + 1 =", "completion": " 2"},
    {"id": "b", "prompt": "ö 🙂\u2028\x85", "completion": "日本"},
    {"id": "c", "prompt": "", "completion": "x\ny"},
]


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path, **options)
    return path


def data_of(source: Any, **options: Any) -> list[dict[str, Any]]:
    return [row.data for row in read_rows(source, **options)]


class TestSources:
    def test_list(self) -> None:
        assert list(read_rows(ROWS))[1] == Row("row 1", ROWS[1])

    def test_one_shot_iterator(self) -> None:
        assert data_of(iter(ROWS)) == ROWS

    @pytest.mark.parametrize("suffix", ["jsonl", "ndjson", "json"])
    def test_lines(self, tmp_path: Path, suffix: str) -> None:
        path = write_lines(tmp_path / f"rows.{suffix}", ROWS)
        assert data_of(path) == data_of(str(path)) == ROWS
        assert [row.place for row in read_rows(path)] == [f"{path}:{n}" for n in (1, 2, 3)]

    def test_blank_lines_and_a_byte_order_mark_are_skipped_and_counted(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        path.write_bytes(b'\xef\xbb\xbf{"n": 1}\r\n\n  \n{"n": 2}')
        assert list(read_rows(path)) == [Row(f"{path}:1", {"n": 1}), Row(f"{path}:4", {"n": 2})]

    def test_parquet_over_row_groups_and_batches(self, tmp_path: Path) -> None:
        rows = [{"n": n, "ids": [n, n + 1]} for n in range(2500)]
        path = write_parquet(tmp_path / "rows.parquet", rows, row_group_size=700)
        read = list(read_rows(path))
        assert [row.data for row in read] == rows
        assert read[2400].place == f"{path} row 2400"

    @pytest.mark.parametrize(("suffix", "delimiter"), [("csv", ","), ("tsv", "\t")])
    def test_columns(self, tmp_path: Path, suffix: str, delimiter: str) -> None:
        rows = [*ROWS, {"id": "d", "prompt": 'a "quote", a\ttab', "completion": "one\r\ntwo " + "x" * 200_000}]
        path = tmp_path / f"rows.{suffix}"
        with path.open("w", encoding="utf-8-sig", newline="") as file:  # with a byte order mark, as Excel writes it
            writer = csv.DictWriter(file, ["id", "prompt", "completion"], delimiter=delimiter)
            writer.writeheader()
            writer.writerow(rows[0])
            file.write("\r\n")
            writer.writerows(rows[1:])
        assert data_of(path) == rows
        assert [row.place for row in read_rows(path)] == [f"{path}:{n}" for n in (2, 4, 5, 7)]
        assert count_rows(path) == 4

    @pytest.mark.parametrize(("suffix", "compression"), [("gz", "gzip"), ("zst", "zstd")])
    def test_compressed(self, tmp_path: Path, suffix: str, compression: str) -> None:
        plain = write_lines(tmp_path / "rows.jsonl", ROWS * 100)
        packed = tmp_path / "folder" / f"train.jsonl.{suffix}"
        packed.parent.mkdir()
        with pa.output_stream(packed, compression=compression) as stream:
            stream.write(plain.read_bytes())
        assert data_of(packed) == data_of(packed.parent) == data_of(plain)
        assert next(read_rows(packed)).place == f"{packed}:1"
        assert count_rows(packed) == 300
        assert fingerprint(packed) == hashlib.sha256(packed.read_bytes()).hexdigest()
        packed.write_bytes(packed.read_bytes()[:-9])
        with pytest.raises(InputError, match=rf"cannot read .*{suffix}: "):
            data_of(packed)
        packed.write_bytes(b"not compressed")
        with pytest.raises(InputError, match=rf"cannot read .*{suffix}: "):
            data_of(packed)

    def test_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        write_lines(tmp_path / "rows.jsonl", ROWS)
        assert data_of("~/rows.jsonl") == ROWS

    def test_folder_gives_the_split_only(self, tmp_path: Path) -> None:
        write_lines(tmp_path / "train.jsonl", ROWS[:1])
        write_lines(tmp_path / "test.jsonl", ROWS[1:])
        assert data_of(tmp_path) == ROWS[:1]
        assert data_of(tmp_path, split="test") == ROWS[1:]

    def test_folder_of_shards_in_order(self, tmp_path: Path) -> None:
        for shard in (2, 0, 1):
            write_parquet(tmp_path / f"train-0000{shard}-of-00003.parquet", [ROWS[shard]])
        (tmp_path / "train-notes.txt").write_text("no rows")
        assert data_of(tmp_path) == ROWS

    def test_datasets(self) -> None:
        data = datasets.Dataset.from_list(ROWS)
        assert data_of(data) == data_of(data.to_iterable_dataset()) == ROWS
        parts = datasets.DatasetDict(train=data, test=data.select([1]))
        assert data_of(parts) == ROWS
        assert data_of(parts, split="test") == ROWS[1:2]

    def test_reading_does_not_run_ahead(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        path.write_text('{"n": 1}\nbroken\n')
        assert next(read_rows(path)).data == {"n": 1}

        def endless() -> Iterator[dict[str, int]]:
            n = 0
            while True:
                yield {"n": n}
                n += 1

        assert next(read_rows(endless())).data == {"n": 0}


class TestHub:
    """The hub cannot be reached in tests: `datasets` is asked for what it would be asked for."""

    @pytest.fixture
    def asked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        folder = tmp_path / "data"
        folder.mkdir()
        write_parquet(folder / "train.parquet", ROWS)
        write_parquet(folder / "test.parquet", ROWS[:1])
        load, asked = datasets.load_dataset_builder, []

        def local(name: str, config: str | None) -> datasets.DatasetBuilder:
            asked.append((name, config))
            return load(str(folder), cache_dir=str(tmp_path / "cache"))

        monkeypatch.setattr(datasets, "load_dataset_builder", local)
        return asked

    @pytest.mark.parametrize("offline", [False, True])
    def test_reads_a_split(
        self, asked: list[Any], offline: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", offline)
        if offline:
            datasets.load_dataset_builder("any/name", None).download_and_prepare()
        assert data_of("any/name:part") == ROWS
        assert asked[-1] == ("any/name", "part")
        assert data_of("name", split="test") == ROWS[:1]
        assert asked[-1] == ("name", None)
        with pytest.raises(InputError, match=r"any/name: split 'dev' cannot be read"):
            data_of("any/name", split="dev")

    def test_fingerprint_follows_name_and_split(self, asked: list[Any]) -> None:
        prints = {
            fingerprint(name, split=split) for name in ("any/name", "any/name:part") for split in ("train", "test")
        }
        assert len(prints) == 4
        assert fingerprint("any/name", split="train") in prints

    def test_offline_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        with pytest.raises(InputError, match=r"nobody/nothing-here: neither a file here nor"):
            data_of("nobody/nothing-here")


class TestMistakes:
    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (b'{"prompt": ', r":7: broken JSON \(.* at column 11\); each line must be"),
            (b"[1, 2]", r":7: a JSON array.*; .* jq -c"),
            (b"[", r":7: a JSON array.*; .* jq -c"),
            (b'"text"', r":7: str instead of an object"),
            (b'{"prompt": "\xff"}', r":7: not UTF-8"),
            (b'{"prompt": ' + b"[" * 200_000, r":7: JSON that is nested too deeply"),
            (b'{"prompt": ' + b"9" * 5_000 + b"}", r":7: a number is too long to read"),
        ],
    )
    def test_line(self, tmp_path: Path, line: bytes, message: str) -> None:
        path = tmp_path / "train.jsonl"
        path.write_bytes(b'{"n": 1}\n\n' + b'{"n": 2}\n' * 4 + line + b'\n{"n": 3}\n')
        with pytest.raises(InputError, match=r"train\.jsonl" + message):
            list(read_rows(path))

    @pytest.mark.parametrize("name", ["gone.jsonl", "/gone/for/good", "./gone", "~/gone", "a/b/c"])
    def test_missing_file(self, name: str) -> None:
        with pytest.raises(InputError, match="no such file"):
            list(read_rows(name))

    def test_suffix(self, tmp_path: Path) -> None:
        for name in ("rows.xml", "rows.xml.gz", "rows.gz"):
            (tmp_path / name).write_text("a,b\n")
            with pytest.raises(InputError, match=r"rows.*: unknown suffix '\.(xml|gz)'; .*\.parquet"):
                list(read_rows(tmp_path / name))

    @pytest.mark.parametrize("text", ["", "\n \n"])
    def test_empty_file(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "rows.jsonl").write_text(text)
        with pytest.raises(InputError, match=r"rows\.jsonl: no rows"):
            list(read_rows(tmp_path / "rows.jsonl"))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("prompt,completion\na,b\nc,d,e\n", r"rows\.csv:3: 3 values, and the first line names 2 columns"),
            ('prompt,completion\n"a\n\n",b\nc\n', r"rows\.csv:5: 1 values"),
            ('prompt,completion\na,b\nc,"d\ne,f\n', r"rows\.csv:3: broken quotes"),
            ('prompt,completion\na,"b"c\n', r"rows\.csv:2: broken quotes"),
            ("prompt,prompt\na,b\n", r"rows\.csv:1: the column 'prompt' is there 2 times"),
            ("prompt,\na,b\n", r"rows\.csv:1: a column has no name"),
            ("prompt,completion\na,\udcff\n", r"rows\.csv: not UTF-8"),
            ("prompt,completion\n", r"rows\.csv: no rows"),
            ("", r"rows\.csv: no rows"),
        ],
    )
    def test_columns_that_cannot_be_read(self, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "rows.csv").write_text(text, "utf-8", "surrogateescape")
        with pytest.raises(InputError, match=message):
            list(read_rows(tmp_path / "rows.csv"))

    def test_empty_list(self) -> None:
        with pytest.raises(InputError, match="the list of rows: no rows"):
            list(read_rows([]))

    def test_not_parquet(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.parquet"
        path.write_bytes(b"PAR1 nothing")
        with pytest.raises(InputError, match=r"rows\.parquet: not a whole Parquet file"):
            list(read_rows(path))

    def test_truncated_parquet(self, tmp_path: Path) -> None:
        path = write_parquet(tmp_path / "rows.parquet", ROWS)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(InputError, match=r"rows\.parquet: not a whole Parquet file"):
            list(read_rows(path))

    def test_broken_parquet_is_named_before_it_is_read(self, tmp_path: Path) -> None:
        path = write_parquet(tmp_path / "rows.parquet", ROWS)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(InputError, match=r"rows\.parquet: not a whole Parquet file"):
            count_rows(path)

    def test_broken_parquet_behind_datasets(self, tmp_path: Path) -> None:
        path = write_parquet(tmp_path / "rows.parquet", [{"n": n} for n in range(5000)], row_group_size=1000)
        content = bytearray(path.read_bytes())
        for at in range(len(content) // 2, len(content) * 3 // 4):
            content[at] ^= 0x55
        path.write_bytes(content)
        rows = datasets.load_dataset("parquet", data_files=str(path), split="train", streaming=True)
        with pytest.raises(InputError, match=r"^row \d+: datasets cannot read it \(\w+: .*\)$"):
            list(read_rows(rows))

    def test_errors_of_ones_own_iterable_are_not_renamed(self) -> None:
        def rows() -> Iterator[dict[str, Any]]:
            yield ROWS[0]
            raise OSError("mine")

        with pytest.raises(OSError, match="mine"):
            list(read_rows(rows()))

    def test_pipe(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "rows.jsonl")
        for use in (lambda pipe: list(read_rows(pipe)), fingerprint, count_rows):
            with pytest.raises(InputError, match=r"rows\.jsonl: not a regular file.* save them to a file"):
                use(tmp_path / "rows.jsonl")

    @pytest.mark.parametrize("name", [f"{'long' * 100}.jsonl", "~no_such_user_at_all/rows.jsonl"])
    def test_impossible_path(self, name: str) -> None:
        with pytest.raises(InputError, match="no such file"):
            list(read_rows(name))

    def test_rows_nested_too_deeply_have_no_fingerprint(self) -> None:
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        with pytest.raises(InputError, match=r"^row 1: a value has no JSON form"):
            fingerprint([{"n": 1}, {"n": deep}])

    def test_folder_without_the_split(self, tmp_path: Path) -> None:
        write_lines(tmp_path / "train.jsonl", ROWS)
        with pytest.raises(InputError, match=r"no dev\.jsonl .*it holds train\.jsonl"):
            list(read_rows(tmp_path, split="dev"))

    def test_one_row_instead_of_a_list(self) -> None:
        with pytest.raises(InputError, match=r"no split 'train' .*a list of rows"):
            list(read_rows(ROWS[0]))  # type: ignore[arg-type]

    def test_row_of_another_type(self) -> None:
        with pytest.raises(InputError, match="row 1: each row must be a dict, not str"):
            list(read_rows([ROWS[0], "text"]))  # type: ignore[list-item]


class TestFingerprint:
    def test_file_is_its_bytes(self, tmp_path: Path) -> None:
        path = write_lines(tmp_path / "rows.jsonl", ROWS)
        before = fingerprint(path)
        assert before == hashlib.sha256(path.read_bytes()).hexdigest()
        write_lines(path, ROWS[:2])
        assert fingerprint(path) != before

    def test_folder_follows_its_files(self, tmp_path: Path) -> None:
        for shard in range(2):
            write_lines(tmp_path / f"train-{shard}.jsonl", [ROWS[shard]])
        write_lines(tmp_path / "test.jsonl", ROWS)
        before = fingerprint(tmp_path)
        write_lines(tmp_path / "test.jsonl", ROWS[:1])
        assert fingerprint(tmp_path) == before
        write_lines(tmp_path / "train-1.jsonl", [ROWS[2]])
        assert fingerprint(tmp_path) != before

    def test_list_is_its_content(self) -> None:
        rng = random.Random(7)
        rows = [{"a": rng.random(), "b": [rng.randrange(9)], "c": "ö"} for _ in range(20)]
        shuffled_keys = [dict(sorted(row.items(), reverse=True)) for row in rows]
        assert fingerprint(rows) == fingerprint(shuffled_keys)
        assert fingerprint(rows) != fingerprint(rows[::-1])
        assert fingerprint(rows) != fingerprint(rows[:-1])

    def test_arrays_have_a_form_and_objects_have_none(self) -> None:
        import numpy as np

        assert fingerprint([{"ids": np.arange(3)}]) == fingerprint([{"ids": [0, 1, 2]}])
        with pytest.raises(InputError, match="row 0: a value has no JSON form"):
            fingerprint([{"ids": object()}])

    def test_datasets(self) -> None:
        data = datasets.Dataset.from_list(ROWS)
        assert fingerprint(data) == fingerprint(data)
        assert fingerprint(data) != fingerprint(data.select([0, 1]))
        parts = datasets.DatasetDict(train=data, test=data.select([0]))
        assert fingerprint(parts) == fingerprint(data)
        assert fingerprint(parts, split="test") != fingerprint(data)
        assert fingerprint(data.to_iterable_dataset()) == fingerprint(ROWS)

    def test_iterator_is_refused(self) -> None:
        with pytest.raises(InputError, match="only once"):
            fingerprint(iter(ROWS))


class TestIds:
    def test_the_rows_own_or_its_number(self) -> None:
        assert row_id(Row("row 3", {"id": "a"}), 3) == "a"
        assert row_id(Row("row 3", {"id": 7}), 3) == "7"
        assert row_id(Row("row 3", {"id": 2**80}), 3) == str(2**80)
        assert row_id(Row("row 3", {"id": None}), 3) == row_id(Row("row 3", {}), 3) == "3"

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (1.5, r"the id is 1\.5; it must be"),
            (True, "the id is True; it must be"),
            ("", "the id is ''; it must be"),
            ("a\ud800", r"the id 'a\\ud800' is not Unicode text"),
            pytest.param(10**5000, "the id is too long", id="huge"),  # pytest cannot write it either
        ],
    )
    def test_others_are_refused_with_the_place(self, value: object, message: str) -> None:
        with pytest.raises(InputError, match=f"^train.jsonl:7: {message}"):
            row_id(Row("train.jsonl:7", {"id": value}), 3)


class TestRegisteredSources:
    def test_another_package_adds_a_source(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "shop_rows.py").write_text(
            "def generated(name, split):\n"
            "    return ({'id': f'{name}-{split}-{n}', 'text': 'x'} for n in range(3))\n"
            f"def stored(name, split):\n    return {str(tmp_path)!r} + '/' + name\n"
        )
        entries = {"shop": "shop_rows:generated", "store": "shop_rows:stored"}
        install(tmp_path, "shop", {"headprint.sources": entries})
        monkeypatch.syspath_prepend(tmp_path)
        assert [row["id"] for row in data_of("shop:orders", split="test")] == [f"orders-test-{n}" for n in range(3)]
        assert fingerprint("shop:orders") == fingerprint(data_of("shop:orders"))
        assert fingerprint("shop:orders") != fingerprint("shop:orders", split="test")
        (tmp_path / "folder").mkdir()
        write_lines(tmp_path / "folder" / "dev.jsonl", ROWS)
        assert data_of("store:folder", split="dev") == ROWS
        assert fingerprint("store:folder", split="dev") == fingerprint(tmp_path / "folder" / "dev.jsonl")
        assert describe("shop:orders") == "shop:orders"

    def test_schemes(self) -> None:
        assert scheme_of("lab:math") == "lab"
        assert [scheme_of(name) for name in ("math", "name:config", "a/b:c", "./lab:math", Path("lab:math"))] == [
            None
        ] * 5
        assert without_scheme("lab:math") == "math"
        assert without_scheme("a/b:c") == "a/b:c"

    def test_a_misspelled_scheme(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        with pytest.raises(InputError, match=r"labb:math: neither .*; did you mean 'lab'\?$"):
            data_of("labb:math")


def test_a_task_of_the_laboratory_is_a_source() -> None:
    train, test = ([row.data for row in read_rows("lab:math", split=split)] for split in ("train", "test"))
    assert len(train) == len(test) == count_rows("lab:math") == 1000
    assert not {row["prompt"] for row in train} & {row["prompt"] for row in test}
    assert fingerprint("lab:math") != fingerprint("lab:math", split="test")
    with pytest.raises(InputError, match="math"):
        next(read_rows("lab:maths"))
    with pytest.raises(InputError, match="split"):
        next(read_rows("lab:math", split="validation"))
