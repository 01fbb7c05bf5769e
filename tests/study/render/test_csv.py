"""CSV files of a study: every number, in its place, with all its digits."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from headprint.study.estimates import Estimate
from headprint.study.render.csv import as_csv, drawn, slug, tabulated, write_tables
from headprint.study.results import Results
from headprint.study.views import (
    Chooser,
    Column,
    Dots,
    Drawing,
    Figure,
    Frames,
    HeatMap,
    Lines,
    Panel,
    Scale,
    Series,
    Table,
)
from support import recorded

LEVELS = Scale(label="level (nats)")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def one(plot: Any) -> list[dict[str, Any]]:
    return list(drawn(Drawing(panels=[Panel(plots=[plot], at=("a",))], choosers=[Chooser(label="Task")])))


@pytest.fixture(scope="module")
def results() -> Results:
    return recorded.results("lab")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, results: Results) -> Path:
    folder = tmp_path_factory.mktemp("run") / "tables"
    files = write_tables(results.figures(), folder)
    assert {path.name for path in files} == {path.name for path in folder.iterdir()}
    assert len(files) == len(set(files))
    return folder


def test_names_of_columns_and_files() -> None:
    assert slug("R² of the best pair") == "r2_of_the_best_pair"
    assert slug("In the paper: accuracy, %") == "in_the_paper_accuracy"
    assert slug("same_layers") == "same_layers"


def test_intervals_fill_three_columns_and_lists_are_joined() -> None:
    table = Table(
        title="t",
        columns=[Column("Task"), Column("R²"), Column("Parts"), Column("n")],
        rows=[["a", Estimate(1.0, 0.25, None), ["b", "c"], 3], ["d", None, None, None]],
    )
    assert list(tabulated(table)) == [
        {"task": "a", "r2": 1.0, "r2_low": None, "r2_high": None, "parts": "b+c", "n": 3},
        {"task": "d", "r2": None, "r2_low": None, "r2_high": None, "parts": None, "n": None},
    ]


def test_lines_may_differ_in_their_columns() -> None:
    assert as_csv([{"a": 1}, {"a": 2, "b": 'x,"y"'}, {"b": None}]) == 'a,b\n1,\n2,"x,""y"""\n,\n'
    assert as_csv([]) == ""


def test_every_kind_of_plot_has_a_line_per_number() -> None:
    heads = one(HeatMap(title="Before", values=[[1.0, None]], scale=LEVELS))
    assert heads[1] == {"task": "a", "plot": "Before", "layer": 0, "head": 1, "value": None}
    square = HeatMap(title="r", values=[[1.0]], scale=LEVELS, labels=["math"], low=[[0.5]], high=[[1.0]])
    assert one(square) == [
        {"task": "a", "plot": "r", "row": "math", "column": "math", "value": 1.0, "low": 0.5, "high": 1.0}
    ]
    dots = one(Dots(title="loss", rows=["x"], series=[Series(name="after", points=[Estimate(1.0, 0.5, 2.0)])]))
    assert dots == [{"task": "a", "plot": "loss", "row": "x", "series": "after", "value": 1.0, "low": 0.5, "high": 2.0}]
    lines = one(Lines(title="MSE", xlabel="step", series=[Series(name="math", points=[0.5], x=[4])]))
    assert lines == [{"task": "a", "plot": "MSE", "series": "math", "step": 4, "value": 0.5, "low": None, "high": None}]
    frames = one(Frames(title="Pattern", steps=[0, 8], values=[[[1.0]], [[2.0]]], scale=LEVELS, readings={}))
    assert frames[1] == {"task": "a", "plot": "Pattern", "step": 8, "layer": 0, "head": 0, "value": 2.0}


def test_every_figure_has_a_file(folder: Path, results: Results) -> None:
    for figure in results.figures():
        assert read(folder / f"{figure.name}.csv"), figure.name


def test_every_run_of_an_exhibit_is_there(folder: Path, results: Results) -> None:
    rows = results.to_json()["exhibits"]["table2"]["rows"]
    found = read(folder / "table2_every_run.csv")
    assert len(found) == len(rows)
    for line, row in zip(found, rows, strict=True):
        assert float(line["loss_high"]) == row["loss"]["high"]
        assert (line["weights_math"] == "") == (row["weights"] is None or "math" not in row["weights"])
        if row["over"].get("random"):
            assert float(line["over_random_loss"]) == row["over"]["random"]["loss"]["value"]


def test_heat_maps_have_a_line_per_head(folder: Path, results: Results) -> None:
    maps = results.to_json()["exhibits"]["fig1"]["maps"]
    found = read(folder / "fig1.csv")
    assert len(found) == 3 * sum(len(row) for each in maps for row in each["before"])
    of = {(each["task"], str(each["seed"])): each for each in maps}
    for line in found:
        if line["plot"] == "Change":
            value = of[line["task"], line["seed"]]["change"][int(line["layer"])][int(line["head"])]
            assert line["value"] == ("" if value is None else str(value))


def test_subsets_are_ranked(folder: Path, results: Results) -> None:
    fits = results.to_json()["exhibits"]["fig4"]["fits"]
    found = read(folder / "fig4_every_subset.csv")
    subsets = fits[0]["decomposition"]["subsets"]
    assert len(found) == sum(len(fit["decomposition"]["subsets"]) for fit in fits)
    assert [int(line["rank"]) for line in found[: len(subsets)]] == list(range(1, len(subsets) + 1))
    assert [float(line["r2"]) for line in found[: len(subsets)]] == [subset["r2"] for subset in subsets]


def test_trajectories_have_a_line_per_step(folder: Path, results: Results) -> None:
    runs = results.to_json()["exhibits"]["fig5"]["runs"]
    found = read(folder / "fig5_every_step.csv")
    assert len(found) == sum(len(run["steps"]) for run in runs)
    first = found[: len(runs[0]["steps"])]
    assert [int(line["step"]) for line in first] == runs[0]["steps"]
    assert [float(line["mse"]) for line in first] == [each["value"] for each in runs[0]["mse"]]


def test_figures_without_numbers_have_no_file(tmp_path: Path) -> None:
    empty = Table(title="Here", columns=[Column("Task")], rows=[])
    assert write_tables([Figure(name="table1", title="t", tables=[empty])], tmp_path / "a") == []
    assert write_tables([], tmp_path / "b") == []
