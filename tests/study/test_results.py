"""The types of ``results.json``, on the recorded studies of the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headprint.base.errors import InputError
from headprint.study.chapters import CHAPTERS, base_rates, composition
from headprint.study.results import Results, read_results

STUDIES = Path(__file__).parents[2] / "studies"
RECORDED = sorted(path.parent.name for path in STUDIES.glob("*/results.json"))


def content(name: str = "real") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((STUDIES / name / "results.json").read_text("utf-8"))
    return found


def lost(there: Any, here: Any, place: str = "") -> list[str]:
    """Where something of the first is missing or different in the second; more is no loss."""
    if isinstance(there, dict) and isinstance(here, dict):
        return [
            each
            for key in there
            for each in (lost(there[key], here[key], f"{place}.{key}") if key in here else [f"{place}.{key}"])
        ]
    if isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        return [each for i, pair in enumerate(zip(there, here, strict=True)) for each in lost(*pair, f"{place}[{i}]")]
    return [] if there == here else [place]


@pytest.mark.parametrize("name", RECORDED)
def test_every_number_of_a_recorded_study_survives(name: str) -> None:
    results = read_results(STUDIES / name)
    assert not lost(content(name), results.to_json())
    assert Results.from_json(results.to_json()) == results


def test_keys_belong_to_one_chapter_each() -> None:
    keys = [key for chapter in CHAPTERS for key in chapter.exhibits]
    assert len(keys) == len(set(keys))
    assert {"table1", "fig1", "fig2", "fig4", "fig5", "table2", "table3"} <= set(keys)
    assert set(content()["exhibits"]) <= set(keys)


def test_a_chapter_finds_its_exhibit() -> None:
    results = read_results(STUDIES / "real")
    rates, found = results.of(base_rates.CHAPTER), results.of(composition.CHAPTER)
    assert rates is not None
    assert found is not None
    assert {row.phase for row in rates.base_rates.rows} == {"before", "after"}
    assert found.fig4 is not None
    assert found.fig4.fits[0].decomposition.of_size(2)[0].r2 is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x["exhibits"]["table1"]["rows"][0].pop("n"), r"exhibits: table1\.rows\.0\.n: field required"),
        (lambda x: x["exhibits"]["fig5"]["runs"][0].update(paces=[]), r"fig5\.runs\.0\.paces: "),
        (lambda x: x["exhibits"]["table1"]["rows"][0]["change"].update(gini="less"), r"table1\.rows\.0\.change\.gini"),
        (lambda x: x["exhibits"].update(fig9={}), "no chapter knows 'fig9'"),
        (lambda x: x.update(format=0), "has format 0"),
        (lambda x: x.pop("format"), "is not a study's results"),
        (lambda x: x.pop("seeds"), "seeds: field required"),
        (lambda x: x.update(complete=False, missing=3), "is not finished, .* 3 missing"),
    ],
)
def test_a_wrong_file_is_refused_by_its_field(change: Any, message: str, tmp_path: Path) -> None:
    wrong = content()
    change(wrong)
    (tmp_path / "results.json").write_text(json.dumps(wrong))
    with pytest.raises(InputError, match=message) as error:
        read_results(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)
