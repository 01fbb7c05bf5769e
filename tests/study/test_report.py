"""The page: self-contained, small, safe, whole, and without an error in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import pytest

from headprint.study import report
from headprint.study.chapters import CHAPTERS, EXPERIMENTS, mixture, spread
from headprint.study.estimates import Estimate, written
from headprint.study.report.compare import compare
from headprint.study.report.encode import encoded
from headprint.study.report.page import VERDICTS, embedded
from headprint.study.report.tables import Shown, shown, shown_tables
from headprint.study.results import Results
from headprint.study.verdicts import Verdict
from headprint.study.views import Column, Table
from support import recorded

PAPERS = [chapter for chapter in CHAPTERS if chapter.name not in EXPERIMENTS]

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


def written_page(results: Results, folder: Path) -> tuple[str, Page]:
    report.write(results, folder / "report.html")
    text = (folder / "report.html").read_text("utf-8")
    return text, Page(text)


@pytest.fixture(scope="module")
def results() -> Results:
    """Of the laboratory: nine tasks, five seeds."""
    return recorded.results("lab")


@pytest.fixture(scope="module")
def laboratory(results: Results, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Page]:
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
    assert {"summary", *(chapter.name for chapter in PAPERS)} <= links


def test_every_finding_is_told_with_all_its_checks(laboratory: tuple[str, Page], results: Results) -> None:
    _, page = laboratory
    for finding in results.findings:
        checks = (check.text for check in finding.checks)
        for text in (finding.claim, finding.here, finding.meaning, *checks):
            assert " ".join(text.split()) in page.text


def test_every_verdict_has_words() -> None:
    assert set(VERDICTS) == set(get_args(Verdict))


def test_tables_hold_the_summaries_numbers_and_the_papers(laboratory: tuple[str, Page], results: Results) -> None:
    _, page = laboratory
    shape, arms = results.of(spread.CHAPTER), results.of(mixture.CHAPTER)
    assert shape is not None
    assert arms is not None
    for cell in shape.table1.summary:
        assert written(cell.change.gini, signed=True) in page.text
    for arm in arms.table2.summary:
        assert written(arm.accuracy, percent=True) in page.text
    for row in arms.table2.paper:
        assert f"{row.mixture:.2f}" in page.text


def test_captions_say_how_many_examples_and_seeds(laboratory: tuple[str, Page]) -> None:
    assert "n = 100 examples per task" in laboratory[1].text
    assert "Means over 5 seeds; intervals: Student's t over seeds, 95 %" in laboratory[1].text
    assert "One seed." not in laboratory[1].text


def test_a_page_of_one_seed_says_so_and_calls_nothing_replicated(tmp_path: Path) -> None:
    _, page = written_page(recorded.results("real"), tmp_path)
    assert "One seed. Intervals here are over examples only" in page.text
    chips = re.findall(r'class="chip ([\w-]+)"', (tmp_path / "report.html").read_text("utf-8"))
    assert set(chips) == {"one-seed"}


def test_the_script_has_what_it_draws(laboratory: tuple[str, Page], results: Results) -> None:
    drawn = laboratory[1].data["drawings"]
    places = {a["data-drawing"] for tag, a in laboratory[1].tags if "data-drawing" in a}
    assert places == set(drawn)
    exhibit = results.of(spread.CHAPTER)
    assert exhibit is not None
    for panel, each in zip(drawn["fig1"]["panels"], exhibit.fig1.maps, strict=True):
        assert panel["at"] == [each.model, each.task, str(each.seed)]
        assert [plot["title"] for plot in panel["plots"]] == ["Before", "After", "Change"]
        for plot, matrix in zip(panel["plots"], (each.before, each.after, each.change), strict=True):
            for short, long in zip(plot["values"][-1], matrix[-1], strict=True):
                assert short == pytest.approx(long, rel=1e-3)


def test_cells_in_words() -> None:
    columns = [
        Column("Model", is_context=True),
        Column("Task"),
        Column("Gain", percent=True, signed=True),
        Column("Runs"),
        Column("Parts"),
        Column("Empty"),
    ]
    rows = [
        ["lab", "a", Estimate(0.1, 0.05, 0.15), 1200, ["x", "y"], None],
        ["lab", "b", Estimate(0.1, -0.05, 0.25), 3, None, None],
    ]
    table = shown(Table(title="t", columns=columns, rows=rows, keys=2))
    assert table.columns == ["Task", "Gain", "Runs", "Parts"]  # neither the only model nor what is empty
    assert table.numeric == [False, True, True, False]
    assert table.rows[0] == [
        Shown("a"),
        Shown("+10.0 % [+5.0, +15.0]", 0.1, strong=True),
        Shown("1,200", 1200),
        Shown("x + y"),
    ]
    assert not table.rows[1][1].strong
    assert table.rows[1][3] == Shown("–")


def test_details_are_left_to_the_csv_files() -> None:
    column = [Column("Task")]
    tables = [
        Table(title="every run", columns=column, rows=[["a"]], is_detail=True),
        Table(title="nothing", columns=column, rows=[]),
        Table(title="short", columns=column, rows=[["a"]]),
        Table(title="second", columns=column, rows=[["a"]]),
    ]
    assert [(table.title, table.is_open) for table in shown_tables(tables)] == [("short", True), ("second", False)]


@pytest.mark.parametrize("name", ["tasks", "models"])
def test_hostile_names_stay_text(tmp_path: Path, name: str) -> None:
    """Names and texts come from a config that someone else may have written."""

    def hostile(content: dict[str, Any]) -> None:
        for exhibit in content["exhibits"].values():
            exhibit["title"] = exhibit["caption"] = NASTY
        content.update(name=NASTY, config={NASTY: NASTY}, versions={NASTY: NASTY})

    names = recorded.models(NASTY, "[b]lab[/b]") if name == "models" else recorded.renamed("sgsm", NASTY + "[b]")
    results = recorded.results("real", hostile, names)
    text, page = written_page(results, tmp_path)
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert not any(tag in ("img", "b1") or any(key.startswith("on") for key in a) for tag, a in page.tags)
    assert NASTY not in text
    assert NASTY in page.text
    assert NASTY in json.dumps(page.data, ensure_ascii=False).replace('\\"', '"')
    assert ("[b]lab[/b]" if name == "models" else "[b]") in page.text
    assert_loads_nothing(text, page)
    report.write_comparison(results, results, tmp_path / "two.html")
    both = (tmp_path / "two.html").read_text("utf-8")
    assert NASTY not in both
    assert [tag for tag, _ in Page(both).tags].count("script") == 2


def test_embedded_json_is_the_same_json() -> None:
    data = {"a": [NASTY, "&amp; ]]> <!--", "\u2028\u2029", None, 1.5], "ä": True}
    text = embedded(data)
    assert json.loads(text) == data
    assert not set("<>&\u2028\u2029") & set(text)


def test_numbers_that_are_none_are_refused_not_written() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        embedded({"a": float("nan")})


def of_chapter(chapter: Any) -> Callable[[dict[str, Any]], None]:
    """Drops the exhibits of one chapter."""
    everything = {key for each in CHAPTERS for key in each.exhibits}
    return recorded.keep(*(everything - set(chapter.exhibits)))


@pytest.mark.parametrize("chapter", PAPERS, ids=lambda each: each.name)
def test_any_chapter_may_be_absent(tmp_path: Path, chapter: Any) -> None:
    text, page = written_page(recorded.results("real", of_chapter(chapter)), tmp_path)
    assert_loads_nothing(text, page)
    assert page.text.count("This run has no such exhibit") == 1


def test_all_chapters_may_be_absent(tmp_path: Path) -> None:
    _, page = written_page(recorded.results("real", recorded.keep()), tmp_path)
    assert page.text.count("This run has no such exhibit") == len(PAPERS)
    assert page.data == {"drawings": {}}


def test_exhibits_may_be_empty_and_numbers_null(tmp_path: Path) -> None:
    def empty(content: dict[str, Any]) -> None:
        for key, exhibit in content["exhibits"].items():
            for name, part in exhibit.items():
                if isinstance(part, list) and name != "paper":
                    content["exhibits"][key][name] = []

    written_page(recorded.results("real", empty), tmp_path)
    _, page = written_page(recorded.results("real", recorded.nulled), tmp_path)
    assert "None" not in page.text


def test_a_comparison_tells_differences(tmp_path: Path) -> None:
    def other(content: dict[str, Any]) -> None:
        content["name"] = "other"
        content["config"]["extra"] = 7
        del content["exhibits"]["ablation"]
        for map_of in content["exhibits"]["fig1"]["maps"]:
            map_of["change"] = map_of["before"]
        for row in content["exhibits"]["table1"]["summary"]:
            row["before"]["gini"] = {"value": 0.9, "low": 0.89, "high": 0.91}

    a, b = recorded.results("real"), recorded.results("real", other)
    report.write_comparison(a, b, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    page = Page(text)
    assert_loads_nothing(text, page)
    shapes = a.of(spread.CHAPTER)
    assert shapes is not None
    change = f"{0.9 - (shapes.table1.summary[0].before.gini.value or 0):+.2f}".replace("-", "−")
    assert change in page.text
    assert "extra not set 7" in page.text
    assert f"exhibits in A: {a.name} only: ablation" in page.text
    (before, _, _, _, _, of_b) = page.data["drawings"]["fig1"]["panels"][0]["plots"]
    assert before["values"] == of_b["values"]
    assert (before["title"], of_b["title"]) == ("A: Before", "B: Change")


def test_equal_studies_differ_in_nothing() -> None:
    found = compare(recorded.results("lab"), recorded.results("lab"))
    assert found.settings is None
    assert found.missing == []
    assert {row[-1].sort for table in found.tables for row in table.rows} == {0.0}
    assert {"fig1", "fig2"} == set(found.drawings)


def test_studies_of_unlike_models_are_compared() -> None:
    a, b = (recorded.results("real", recorded.models(name)) for name in ("one", "two"))
    found = compare(a, b)
    assert found.drawings["fig1"][1].panels
    assert found.tables
    assert not any("Model" in table.columns for table in found.tables)
    several = recorded.results("real", recorded.models("one", "two"))
    assert all("Model" in table.columns for table in compare(several, several).tables)


def test_drawings_are_the_same_whatever_the_order_of_exhibits() -> None:
    def turned(content: dict[str, Any]) -> None:
        content["exhibits"] = dict(reversed(content["exhibits"].items()))

    a, b = recorded.results("real"), recorded.results("real", turned)
    assert [encoded(figure.drawing) for figure in a.figures() if figure.drawing] == [
        encoded(figure.drawing) for figure in b.figures() if figure.drawing
    ]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
@pytest.mark.parametrize("kind", ["laboratory", "one seed", "two models", "empty", "comparison", "hostile"])
def test_a_browser_draws_the_page_without_an_error(results: Results, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "page.html"
    shown = {
        "laboratory": lambda: results,
        "one seed": lambda: recorded.results("real"),
        "two models": lambda: recorded.results("real", recorded.models("one", "two")),
        "empty": lambda: recorded.results("real", recorded.keep()),
        "comparison": lambda: recorded.results("real"),
        "hostile": lambda: recorded.results("real", recorded.renamed("sgsm", NASTY), recorded.models(NASTY)),
    }[kind]()
    if kind == "comparison":
        report.write_comparison(shown, shown, path)
    else:
        report.write(shown, path)
    expected = set(Page(path.read_text("utf-8")).data["drawings"])
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=5000"]
    command = [str(CHROMIUM), *flags, f"--user-data-dir={tmp_path}/user", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    assert not re.search(r"<img|alert\(\d\)</script>", done.stdout)
    drawn = dict(re.findall(r'data-drawing="(\w+)">(.*?)<(?:figcaption|/figure)', done.stdout, flags=re.DOTALL))
    assert {name for name, content in drawn.items() if "<svg" in content} == expected
