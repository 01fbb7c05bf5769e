"""CSV files of a study: every number, in its place."""

from __future__ import annotations

import csv

import pytest

from headprint.study.tables import as_csv, flat, write_tables
from support.made_results import small_results


def read(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def results():
    return small_results()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, results):
    folder = tmp_path_factory.mktemp("run") / "tables"
    files = write_tables(results, folder)
    assert {path.name for path in files} == {path.name for path in folder.iterdir()}
    return folder


def test_intervals_fill_three_columns() -> None:
    line = {"task": "a", "r2": {"value": 1, "low": 0, "high": None}, "deep": {"x": {"y": 2}}, "tasks": ["a", "b"]}
    assert flat(line) == {"task": "a", "r2": 1, "r2_low": 0, "r2_high": None, "deep.x.y": 2, "tasks": "a+b"}


def test_lines_may_differ_in_their_columns() -> None:
    assert as_csv([{"a": 1}, {"a": 2, "b": 'x,"y"'}, {"b": None}]) == 'a,b\n1,\n2,"x,""y"""\n,\n'


def test_every_exhibit_with_numbers_has_a_file(folder, results) -> None:
    for exhibit in set(results["exhibits"]) - {"fig3"}:
        assert read(folder / f"{exhibit}.csv"), exhibit


def test_rows_keep_their_numbers(folder, results) -> None:
    rows = results["exhibits"]["table2"]["rows"]
    found = read(folder / "table2.csv")
    assert len(found) == len(rows)
    for line, row in zip(found, rows, strict=True):
        assert float(line["loss_high"]) == row["loss"]["high"]
        assert float(line["weights.math"]) == row["weights"]["math"]


def test_heat_maps_have_a_line_per_head(folder, results) -> None:
    maps = results["exhibits"]["fig1"]["maps"]
    found = read(folder / "fig1.csv")
    assert len(found) == len(maps) * 3 * 2
    for line in found:
        each = next(m for m in maps if m["task"] == line["task"] and str(m["seed"]) == line["seed"])
        value = each["change"][int(line["layer"])][int(line["head"])]
        assert line["change"] == ("" if value is None else str(value))


def test_matrices_have_a_line_per_pair_of_tasks(folder, results) -> None:
    tasks, seeds = len(results["exhibits"]["fig2"]["matrices"][0]["tasks"]), len(results["seeds"])
    found = read(folder / "fig2.csv")
    assert len(found) == seeds * tasks * (tasks - 1) / 2
    matrix = results["exhibits"]["fig2"]["matrices"][1]
    line = next(x for x in found if x["seed"] == "1" and (x["task"], x["other"]) == ("arith", "code"))
    assert float(line["change_low"]) == matrix["change"]["low"][2][1]
    assert len(read(folder / "fig2_means.csv")) == tasks * (tasks - 1) / 2


def test_subsets_are_ranked(folder, results) -> None:
    fits = results["exhibits"]["fig4"]["fits"]
    found = read(folder / "fig4_subsets.csv")
    assert len(found) == len(fits) * 7
    assert [line["rank"] for line in found[:7]] == list("1234567")
    assert [float(line["r2"]) for line in found[:7]] == [s["r2"] for s in fits[0]["decomposition"]["subsets"]]


def test_trajectories_have_a_line_per_step(folder, results) -> None:
    runs = results["exhibits"]["fig5"]["runs"]
    found = read(folder / "fig5.csv")
    assert len(found) == sum(len(run["steps"]) for run in runs)
    assert "patterns" not in found[0]
    assert [int(line["step"]) for line in found[:8]] == runs[0]["steps"]
    assert [float(line["mse"]) for line in found[:8]] == [each["value"] for each in runs[0]["mse"]]
    tracked = [run for run in runs if run["patterns"]]
    assert len(read(folder / "fig5_patterns.csv")) == sum(len(run["steps"]) for run in tracked) * 3 * 2


def test_absent_exhibits_and_parts_have_no_file(tmp_path) -> None:
    assert write_tables({"exhibits": {}}, tmp_path / "a") == []
    files = write_tables({"exhibits": {"table3": {"title": "", "rows": [], "summary": []}, "fig1": {}}}, tmp_path / "b")
    assert files == []
