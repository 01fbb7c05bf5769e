"""Entries by name: the package's own, and those that installed packages add."""

import re
from pathlib import Path

import pytest

from headprint.base.errors import InputError, missing_extra
from headprint.base.registry import Registry
from support.entry_points import install

_GROUP = "headprint.test_shapes"


@pytest.fixture
def shapes() -> Registry[object]:
    return Registry(_GROUP, "shape", {"path": "pathlib:Path"})


def test_a_built_in_entry_needs_no_installation(shapes: Registry[object]) -> None:
    assert shapes.load("path") is Path
    assert "path" in shapes
    assert shapes.names() == ["path"]


def test_an_installed_package_adds_entries(
    shapes: Registry[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "circles.py").write_text("def circle(): return 'round'\n")
    install(tmp_path, "circles", {_GROUP: {"circle": "circles:circle", "arc": "circles:arc"}})
    monkeypatch.syspath_prepend(tmp_path)
    assert shapes.names() == ["path", "arc", "circle"]
    assert "circle" in shapes
    circle = shapes.load("circle")
    assert callable(circle)
    assert circle() == "round"


def test_a_built_in_entry_cannot_be_replaced(
    shapes: Registry[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "impostor", {_GROUP: {"path": "os:sep"}})
    monkeypatch.syspath_prepend(tmp_path)
    assert shapes.load("path") is Path
    assert shapes.names() == ["path"]


def test_an_unknown_name_is_refused_with_the_nearest(shapes: Registry[object]) -> None:
    assert "pth" not in shapes
    with pytest.raises(InputError, match=r"^unknown shape 'pth': did you mean 'path'\?$"):
        shapes.load("pth")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise RuntimeError('no\\nlicense')", "RuntimeError: no license"),
        ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("", "AttributeError: module 'broken_plugin' has no attribute 'thing'"),
    ],
)
def test_a_broken_package_is_named_in_one_line(
    shapes: Registry[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    (tmp_path / "broken_plugin.py").write_text(code)
    install(tmp_path, "broken-shapes", {_GROUP: {"thing": "broken_plugin:thing"}})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "broken_plugin", raising=False)
    with pytest.raises(InputError, match=re.escape(reason)) as caught:
        shapes.load("thing")
    assert "the shape 'thing' of the package broken-shapes cannot be loaded" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert shapes.load("path") is Path


def test_two_packages_with_one_name_are_refused(
    shapes: Registry[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "one", "first", {_GROUP: {"disc": "math:pi"}})
    install(tmp_path / "two", "second", {_GROUP: {"disc": "math:tau"}})
    monkeypatch.syspath_prepend(tmp_path / "one")
    monkeypatch.syspath_prepend(tmp_path / "two")
    with pytest.raises(InputError, match="'disc' is registered by first and second"):
        shapes.load("disc")


def test_a_missing_extra_names_a_command_that_works_from_a_clone() -> None:
    assert str(missing_extra("train", "fine-tuning")) == (
        "fine-tuning needs TRL, PEFT and accelerate: run pip install '.[train]' in your clone of headprint"
    )
    assert str(missing_extra("train", "this", otherwise="set loss_on='all'")).endswith(", or set loss_on='all'")
