"""The page: self-contained, small, safe, whole, and without an error in a real browser."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from headprint.cli.app import run
from headprint.study import report
from headprint.study.estimates import written
from headprint.study.findings import findings
from headprint.study.report.drawings import drawings
from headprint.study.report.page import embedded
from support.made_results import made_results, small_results

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
VOID = {"meta", "link", "br", "img", "input", "hr"}
NASTY = '</script><script>alert(1)</script><img src=x onerror="alert(2)">'


class Page(HTMLParser):
    """What tests look at; fails on tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.scripts, self.words, self.ids = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes) -> None:
        self.tags.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def data(self) -> dict:
        return json.loads(self.scripts[0])


def with_findings(results: dict) -> dict:
    return {**results, "findings": findings(results["exhibits"])}


def written_page(results: dict, folder: Path) -> tuple[str, Page]:
    report.write(results, folder / "report.html")
    text = (folder / "report.html").read_text("utf-8")
    return text, Page(text)


@pytest.fixture(scope="module")
def results() -> dict:
    """Of the laboratory's size: 9 tasks, 8 × 8 heads, 10 tracking steps, 5 seeds."""
    return with_findings(made_results())


@pytest.fixture(scope="module")
def laboratory(results, tmp_path_factory) -> tuple[str, Page]:
    return written_page(results, tmp_path_factory.mktemp("page"))


def test_the_laboratorys_page_is_small(laboratory) -> None:
    assert len(laboratory[0].encode()) < 1_000_000


def assert_loads_nothing(text: str, page: Page) -> None:
    for tag, attributes in page.tags:
        assert tag not in ("iframe", "object", "embed", "img", "base")
        for name in ("src", "srcset", "action", "data"):
            assert name not in attributes
        if "href" in attributes:
            assert attributes["href"].startswith("#") or (tag, attributes["href"]) == ("link", "data:,")
    assert not re.search(r"@import|url\(|\bfetch\(|XMLHttpRequest|import\(|WebSocket|sendBeacon|eval\(", text)
    # The one address is a name: of the elements that the script makes.
    assert set(re.findall(r"https?://[^\s\"'<)]+", text)) <= {"http://www.w3.org/2000/svg"}
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    assert "default-src 'none'" in policy


def test_the_page_loads_nothing(laboratory) -> None:
    assert_loads_nothing(*laboratory)


def test_ids_are_unique_and_links_lead_somewhere(laboratory) -> None:
    _, page = laboratory
    assert len(page.ids) == len(set(page.ids))
    links = {attributes["href"][1:] for tag, attributes in page.tags if tag == "a"}
    assert links <= set(page.ids)
    assert {"summary", "spreading", "composition", "few_samples", "mixture", "selection", "causal"} <= links


def test_every_finding_is_told_with_all_its_checks(laboratory, results) -> None:
    _, page = laboratory
    for finding in results["findings"]:
        for text in (finding["claim"], finding["here"], *(check["text"] for check in finding["checks"])):
            assert " ".join(text.split()) in page.text


def test_tables_hold_the_summaries_numbers_and_the_papers(laboratory, results) -> None:
    _, page = laboratory
    for cell in results["exhibits"]["table1"]["summary"]:
        assert written(cell["change"]["gini"], signed=True) in page.text
    for cell in results["exhibits"]["table2"]["summary"]:
        assert written(cell["accuracy"], percent=True) in page.text
    for row in results["exhibits"]["table2"]["paper"]:
        assert f"{row['mixture']:.2f}" in page.text


def test_captions_say_how_many_examples_and_seeds(laboratory) -> None:
    assert "n = 100 examples per task" in laboratory[1].text
    assert "Means over 5 seeds; intervals: Student's t over seeds, 95 %" in laboratory[1].text
    assert "One seed." not in laboratory[1].text


def test_tasks_that_show_nothing_are_named(tmp_path) -> None:
    made = small_results(seeds=1)
    rows = [row for row in made["exhibits"]["base_rates"]["summary"] if row["stage"] == "after"]
    rows[0]["accuracy"] = {"value": 0.25, "low": 0.2, "high": 0.3}
    _, page = written_page(with_findings(made), tmp_path)
    assert "Here that holds for 3 of 4 tasks" in page.text
    assert f"not in {rows[0]['task']} (" in page.text
    assert "→ 25.0 %)" in page.text


def test_findings_may_be_as_bare_as_the_schema(tmp_path) -> None:
    made = with_findings(small_results(seeds=1))
    bare = [{key: each[key] for key in ("key", "claim", "here", "verdict")} for each in made["findings"]]
    _, page = written_page({**made, "findings": bare}, tmp_path)
    assert bare[0]["here"] in page.text
    report.write_comparison({**made, "findings": bare}, made, tmp_path / "two.html")


def test_a_page_of_one_seed_warns(tmp_path) -> None:
    _, page = written_page(with_findings(small_results(seeds=1)), tmp_path)
    assert "One seed. Intervals here are over examples only" in page.text


def test_the_script_has_what_it_draws(laboratory, results) -> None:
    drawn = laboratory[1].data["drawings"]
    places = {a["data-drawing"] for tag, a in laboratory[1].tags if "data-drawing" in a}
    assert places == set(drawn)
    maps = results["exhibits"]["fig1"]["maps"]
    for variant, each in zip(drawn["fig1"]["variants"], maps, strict=True):
        assert variant["at"] == [each["model"], each["task"], each["seed"]]
        for short, long in zip(variant["change"][-1], each["change"][-1], strict=True):
            assert short == pytest.approx(long, rel=1e-3)
    assert drawn["patterns"]["variants"][0]["steps"] == results["exhibits"]["fig5"]["runs"][0]["steps"]


@pytest.mark.parametrize("name", ["seeds", "models"])
def test_hostile_names_stay_text(tmp_path, name) -> None:
    made = small_results(seeds=1, **({"models": (NASTY, "lab")} if name == "models" else {}))
    made = json.loads(json.dumps(made).replace("math_code", json.dumps(NASTY)[1:-1]))
    for exhibit in made["exhibits"].values():
        exhibit["title"] = exhibit["caption"] = NASTY
    made |= {"name": NASTY, "config": {NASTY: NASTY}, "versions": {NASTY: NASTY}}
    text, page = written_page(with_findings(made), tmp_path)
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert not any(tag == "img" or any(key.startswith("on") for key in a) for tag, a in page.tags)
    assert NASTY not in text
    assert NASTY in json.dumps(page.data, ensure_ascii=False).replace('\\"', '"')
    assert_loads_nothing(text, page)


def test_embedded_json_is_the_same_json() -> None:
    data = {"a": [NASTY, "&amp; ]]> <!--", "\u2028\u2029", None, 1.5], "ä": True}
    text = embedded(data)
    assert json.loads(text) == data
    assert not set("<>&\u2028\u2029") & set(text)


def test_numbers_that_are_none_are_refused_not_written() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        embedded({"a": float("nan")})


def test_any_exhibit_may_be_absent(tmp_path) -> None:
    made = small_results(seeds=1)
    for name in [*made["exhibits"], None]:
        exhibits = {key: each for key, each in made["exhibits"].items() if key != name and name is not None}
        text, page = written_page(with_findings({**made, "exhibits": exhibits}), tmp_path)
        assert_loads_nothing(text, page)
    assert page.text.count("This run has no such exhibit") == 7
    assert page.data == {"drawings": {}}


def test_exhibits_may_be_empty_and_numbers_null(tmp_path) -> None:
    made = small_results(seeds=1)
    empty = {name: {"title": "t", "caption": "c", "rows": [], "summary": []} for name in made["exhibits"]}
    written_page(with_findings({**made, "exhibits": empty}), tmp_path)

    def nulled(value):
        if isinstance(value, dict) and set(value) == {"value", "low", "high"}:
            return dict.fromkeys(value)
        if isinstance(value, dict):
            return {key: nulled(inner) for key, inner in value.items()}
        return [nulled(inner) for inner in value] if isinstance(value, list) else value

    _, page = written_page(with_findings({**made, "exhibits": nulled(made["exhibits"])}), tmp_path)
    assert "None" not in page.text.replace("None of", "")
    minimal = {key: made[key] for key in ("format", "name", "complete", "config", "exhibits")}
    written_page({**minimal, "models": {}, "exhibits": {}}, tmp_path)


def test_a_comparison_tells_differences(tmp_path) -> None:
    a, b = with_findings(small_results()), with_findings(small_results(seed=1))
    b["config"] = copy.deepcopy(b["config"]) | {"extra": 7}
    b["name"] = "other"
    del b["exhibits"]["ablation"]
    report.write_comparison(a, b, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    page = Page(text)
    assert_loads_nothing(text, page)
    x, y = (of["exhibits"]["table1"]["summary"][0]["before"]["gini"]["value"] for of in (a, b))
    sign = f"{y - x:+.3f}".replace("-", "−")
    assert sign in page.text
    assert "extra not set 7" in page.text
    assert "exhibits in A: made up only: ablation" in page.text
    variant = page.data["drawings"]["runs"]["variants"][0]
    changes = [of["exhibits"]["fig1"]["maps"][0]["change"] for of in (a, b)]
    for run_of, change in zip(variant["maps"], changes, strict=True):
        assert run_of["change"][0] == pytest.approx(change[0], rel=1e-3)


def test_studies_of_unlike_models_are_compared(tmp_path) -> None:
    a, b = (with_findings(small_results(seeds=1, models=(name,))) for name in ("one", "two"))
    report.write_comparison(a, b, tmp_path / "page.html")
    assert Page((tmp_path / "page.html").read_text("utf-8")).data["drawings"]["runs"]["variants"]


def test_drawings_are_the_same_whatever_the_order_of_exhibits() -> None:
    made = small_results()
    turned = {**made, "exhibits": dict(reversed(made["exhibits"].items()))}
    assert drawings(made) == drawings(turned)


@pytest.fixture
def study(tmp_path) -> Path:
    folder = tmp_path / "runs" / "study"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(with_findings(small_results(seeds=1))), "utf-8")
    return folder


def failure(capsys, *arguments: object) -> str:
    assert run(["report", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_the_command_rebuilds_the_page(study, tmp_path, capsys) -> None:
    assert run(["report", str(study)]) == 0
    Page((study / "report.html").read_text("utf-8"))
    assert run(["report", str(study / "results.json"), "--out", str(tmp_path / "page.html"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"out": str(tmp_path / "page.html"), "bytes": (study / "report.html").stat().st_size}


def test_the_command_compares(study, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["report", "--compare", str(study), str(study)]) == 0
    assert "Two studies side by side" in Page((tmp_path / "comparison.html").read_text("utf-8")).text


def test_wrong_numbers_of_runs(study, capsys) -> None:
    assert "2 runs given, 1 wanted" in failure(capsys, study, study)
    assert "1 run given, 2 wanted" in failure(capsys, "--compare", study)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"format": 1, "complete": False, "stages": [{}] * 3, "missing": 4}, "3 stages are done and 4 missing"),
        (
            {"format": 1, "complete": False, "missing": ["train-1", "fit-2"]},
            "0 stages are done and 2 missing (train-1, fit-2)",
        ),
        ({"format": 9, "complete": True}, "has format 9, and this headprint reads 1"),
        ({"rows": []}, "is no study's results"),
        ([], "is no study's results"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_results_that_make_no_page(study, capsys, content, message) -> None:
    (study / "results.json").write_text(content if content == "{" else json.dumps(content), "utf-8")
    told = failure(capsys, study)
    assert message in told
    assert "headprint study" in told or "run the study again" in told
    assert not (study / "report.html").exists()


def test_a_directory_without_results(tmp_path, capsys) -> None:
    assert "has no results.json" in failure(capsys, tmp_path)
    assert "there is no directory" in failure(capsys, tmp_path / "absent")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
@pytest.mark.parametrize("kind", ["laboratory", "one seed", "two models", "empty", "comparison", "hostile"])
def test_a_browser_draws_the_page_without_an_error(results, tmp_path, kind) -> None:
    path = tmp_path / "page.html"
    small = {"one seed": {"seeds": 1}, "two models": {"models": ("one", "two")}, "hostile": {"models": (NASTY,)}}
    shown = results if kind == "laboratory" else with_findings(small_results(**small.get(kind, {})))
    if kind == "comparison":
        report.write_comparison(shown, shown, path)
    else:
        report.write({**shown, "exhibits": {}} if kind == "empty" else shown, path)
    expected = set(Page(path.read_text("utf-8")).data["drawings"])
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=5000"]
    command = [CHROMIUM, *flags, f"--user-data-dir={tmp_path}/user", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    assert not re.search(r"<img|alert\(\d\)</script>", done.stdout)
    drawn = dict(re.findall(r'data-drawing="(\w+)">(.*?)<(?:figcaption|/figure)', done.stdout, flags=re.DOTALL))
    assert {name for name, content in drawn.items() if "<svg" in content} == expected
