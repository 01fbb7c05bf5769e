"""The documentation says what is so: its commands parse, and the README's Python runs."""

import importlib
import re
import shlex
from pathlib import Path

import pytest
import typer

from headprint.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code blocks of one language."""
    return [code for name, code in FENCE.findall(page.read_text("utf-8")) if name == language]


def commands(page: Path) -> list[list[str]]:
    """Every `headprint COMMAND …` in the shell blocks of a page, as words."""
    lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith("headprint ")]


def test_commands_and_their_options_exist() -> None:
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = [words for page in PAGES for words in commands(page)]
    assert len(found) > 5
    for _, name, *words in found:
        options = {option for parameter in known[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, (name, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_between_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.mark.slow
def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(ROOT / "README.md", "python")
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "math.safetensors").is_file()


def test_every_public_name_is_in_the_api_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    names = importlib.import_module("public_names")
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    assert set(re.findall(r"public-names:: (\S+)", page)) >= set(names.folders())
    places = names.documented_as()
    assert len(places) > 100
    text = "\n".join(names.described(folder) for folder in names.folders())
    missing = [name for name in places.values() if not re.search(rf":: {re.escape(name)}$", text, re.M)]
    assert not missing
    bare = re.findall(r"py:data:: (\S+)\n\n(?!   \S)", text)
    assert not bare, "constants without a docstring"
