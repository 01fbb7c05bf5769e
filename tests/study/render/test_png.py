"""Pictures of a study: every figure, the same bytes each time, one file for each model."""

from __future__ import annotations

import errno
import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from headprint.base.errors import InputError
from headprint.study.estimates import Estimate
from headprint.study.render.png import write_pictures
from headprint.study.views import Chooser, Dots, Drawing, Figure, Frames, HeatMap, Lines, Panel, Plot, Scale, Series
from support import recorded

LEVELS = Scale(label="level (nats)")
CHANGES = Scale(label="change (nats)", diverging=True)
POINTS = [Estimate(0.5, 0.25, 0.75), None]


def heat_map(title: str = "Before", scale: Scale = LEVELS) -> HeatMap:
    return HeatMap(title=title, values=[[1.0, -2.0], [None, 0.5]], scale=scale)


PLOTS: dict[str, Plot] = {
    "heat": heat_map(),
    "squares": HeatMap(title="Changes", values=[[1.0, -0.5], [-0.5, 1.0]], scale=CHANGES, labels=["math", "code"]),
    "dots": Dots(
        title="Accuracy",
        rows=["math", "code"],
        series=[Series(name="before", points=POINTS), Series(name="after", points=[0.1, 0.9])],
        marked=["code"],
        reference=0.4,
        percent=True,
        joined=True,
        limits=(-0.5, 1.0),
    ),
    "lines": Lines(title="MSE", xlabel="step", series=[Series(name="math", points=POINTS, x=[0, 4])], ylabel="nats"),
    "frames": Frames(title="Pattern", steps=[0, 4], values=[[[1.0]], [[3.0]]], scale=LEVELS, readings={"MSE": POINTS}),
}


def figure(*panels: Panel, choosers: tuple[Chooser, ...] = (), name: str = "fig1") -> Figure:
    return Figure(name=name, title="t", drawing=Drawing(panels=panels, choosers=choosers))


def texts(path: Path) -> str:
    """What is written in an SVG: matplotlib leaves each text as a comment beside its glyphs."""
    return path.read_text("utf-8")


@pytest.mark.parametrize("kind", PLOTS)
def test_every_kind_of_plot_is_drawn_twice_and_the_same_each_time(tmp_path: Path, kind: str) -> None:
    shown = figure(Panel(plots=[PLOTS[kind]]))
    svg, png = write_pictures([shown], tmp_path / "a")
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert b"dc:date" not in svg.read_bytes()
    assert [path.read_bytes() for path in write_pictures([shown], tmp_path / "b")] == [
        svg.read_bytes(),
        png.read_bytes(),
    ]


@pytest.mark.slow
def test_every_figure_of_a_study_is_drawn(tmp_path: Path) -> None:
    figures = [each for each in recorded.results("real").figures() if each.name not in ("fig1", "patterns")]
    files = write_pictures(figures, tmp_path)
    assert {path.stem for path in files} == {figure.name for figure in figures if figure.drawing}
    assert all(word in texts(tmp_path / "table2.svg") for word in ("sgsm", "mixture", "Held-out loss"))


def test_titles_and_marks_are_in_the_picture(tmp_path: Path) -> None:
    svg, _ = write_pictures([figure(Panel(plots=[PLOTS["dots"]]))], tmp_path)
    assert all(text in texts(svg) for text in ("Accuracy", "● code", "before", "after"))
    svg, _ = write_pictures([figure(Panel(plots=[PLOTS["lines"]]))], tmp_path)
    assert all(text in texts(svg) for text in ("MSE", "step", "nats"))


def test_files_rows_and_firsts(tmp_path: Path) -> None:
    """A file for each model, a row for each task, and the first seed."""
    at = [(model, task, seed) for model in ("org/one", "two") for task in ("math", "code") for seed in ("0", "1")]
    panels = [Panel(plots=[heat_map(f"seed {each[2]}"), heat_map("Change", CHANGES)], at=each) for each in at]
    choosers = (
        Chooser(label="Model", on_paper="file"),
        Chooser(label="Task", on_paper="all"),
        Chooser(label="Seed"),
    )
    files = write_pictures([figure(*panels, choosers=choosers)], tmp_path)
    assert {path.name for path in files if path.suffix == ".svg"} == {"fig1-org_one.svg", "fig1-two.svg"}
    text = texts(tmp_path / "fig1-two.svg")
    assert all(title in text for title in ("math: seed 0", "code: seed 0", "math: Change", "level (nats)"))
    assert "seed 1" not in text
    assert "Seed: 0" in text


def test_frames_become_the_changes_of_the_steps(tmp_path: Path) -> None:
    svg, _ = write_pictures([figure(Panel(plots=[PLOTS["frames"]]))], tmp_path)
    assert "change since step 0" in texts(svg)


def test_a_matrix_without_a_number_is_drawn(tmp_path: Path) -> None:
    empty = HeatMap(title="Change", values=[[None, None]], scale=CHANGES)
    assert len(write_pictures([figure(Panel(plots=[empty]))], tmp_path)) == 2


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    assert write_pictures([], tmp_path) == []
    assert write_pictures([Figure(name="table1", title="t")], tmp_path) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "fig1.svg").mkdir()
    with pytest.raises(InputError, match=r"cannot write fig1\.svg"):
        write_pictures([figure(Panel(plots=[heat_map()]))], tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot make the directory"):
        write_pictures([figure(Panel(plots=[heat_map()]))], tmp_path / "file")


def test_a_full_disk_is_one_line_and_leaves_no_half_of_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"cannot write fig1\.svg to .*: No space left on device") as error:
        write_pictures([figure(Panel(plots=[heat_map()]))], tmp_path)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
