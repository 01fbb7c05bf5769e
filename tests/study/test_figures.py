"""Pictures of a study: all exhibits, the same bytes each time, and none where there is nothing to draw."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from headprint.base.errors import InputError
from headprint.study import gather
from headprint.study.figures import DRAWERS, draw_figures
from support.made_results import small_results


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "figures"
    return folder, draw_figures(small_results(), folder)


@pytest.mark.slow
def test_every_exhibit_is_drawn_twice(drawn) -> None:
    folder, files = drawn
    assert {path.name for path in files} == {f"{name}{suffix}" for name in DRAWERS for suffix in (".svg", ".png")}
    assert {path.name for path in folder.iterdir()} == {path.name for path in files}
    for path in files:
        if path.suffix == ".svg":
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
        else:
            assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.slow
def test_the_same_results_give_the_same_svg(drawn, tmp_path) -> None:
    folder, _ = drawn
    results = small_results()
    only = {name: results["exhibits"][name] for name in ("table1", "fig4", "table2")}
    for path in draw_figures({**results, "exhibits": only}, tmp_path):
        assert path.read_bytes() == (folder / path.name).read_bytes()
    assert b"dc:date" not in (folder / "table1.svg").read_bytes()


@pytest.mark.slow
def test_the_text_of_a_figure_names_its_tasks(drawn) -> None:
    folder, _ = drawn
    text = (folder / "table2.svg").read_text()
    assert all(word in text for word in ("math_code", "mixture", "accuracy"))


def test_several_models_have_files_of_their_own(tmp_path) -> None:
    results = small_results(models=("org/one", "two"), seeds=1)
    results["exhibits"] = {"table2": results["exhibits"]["table2"]}
    files = draw_figures(results, tmp_path)
    assert {path.name for path in files if path.suffix == ".svg"} == {"table2-org_one.svg", "table2-two.svg"}


def test_nothing_is_drawn_of_nothing(tmp_path) -> None:
    assert draw_figures({"models": {"lab": {}}, "exhibits": {}}, tmp_path) == []
    empty = {name: {"title": "", "rows": [], "summary": [], "maps": [], "runs": [], "fits": []} for name in DRAWERS}
    assert draw_figures({"models": {"lab": {}}, "exhibits": empty}, tmp_path) == []


def test_numbers_that_do_not_exist_are_not_drawn(tmp_path) -> None:
    results = small_results(seeds=1)
    for exhibit in ("base_rates", "table2"):
        for row in (*results["exhibits"][exhibit]["rows"], *results["exhibits"][exhibit]["summary"]):
            row["accuracy"] = None
    only = {name: results["exhibits"][name] for name in ("base_rates", "table2")}
    files = draw_figures({**results, "exhibits": only}, tmp_path)
    assert len(files) == 4
    assert "accuracy" not in (tmp_path / "table2.svg").read_text()


def test_a_folder_that_cannot_be_written(tmp_path) -> None:
    results = small_results(seeds=1)
    (tmp_path / "table2.svg").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*table2\.svg"):
        draw_figures({**results, "exhibits": {"table2": results["exhibits"]["table2"]}}, tmp_path)


def test_the_equation_adds_up() -> None:
    exhibits = small_results()["exhibits"]
    found = gather.equation(exhibits, "lab")
    assert (found["target"], found["parts"]) == ("math_code", ["math", "code"])
    for layer in range(3):
        for head in range(2):
            parts = [found["maps"][task][layer][head] for task in found["parts"]]
            if None in parts:
                assert found["fitted"][layer][head] is None
            else:
                sum_of = sum(found["weights"][task] * x for task, x in zip(found["parts"], parts, strict=True))
                assert found["fitted"][layer][head] == pytest.approx(sum_of)


def test_subsets_are_averaged_over_seeds() -> None:
    figure = small_results(seeds=3)["exhibits"]["fig4"]
    found = gather.subsets(figure, "lab", "math_code", "nnls")
    assert len(found) == 7
    assert [each["named"] for each in found].count(True) == 1
    best = found[0]
    of = [
        subset["r2"]
        for fit in gather.those(figure["fits"], target="math_code", method="nnls")
        for subset in fit["decomposition"]["subsets"]
        if subset["tasks"] == best["tasks"]
    ]
    assert best["r2"]["value"] == pytest.approx(sum(of) / 3)
    assert best["r2"]["value"] == max(each["r2"]["value"] for each in found)
