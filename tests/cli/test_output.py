"""What the commands share: output is printed as it is, and an interruption says what is saved."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from rich.table import Table

from headprint.cli import output
from headprint.cli.app import run
from headprint.patterns.pattern import Pattern

NAMES = ("runs[/b]", "[b]bold[/b]", "[link=x]", ":smile:", "a [red] b")


@pytest.mark.parametrize("name", NAMES)
def test_names_are_printed_as_they_are_in_lines_and_tables(capsys, name) -> None:
    table = Table(name, box=None)
    table.add_row(f"cell {name}")
    output.show(f"line {name}", table)
    output.say(f"message {name}")
    printed = capsys.readouterr()
    assert printed.out.split("\n")[0] == f"line {name}"
    assert f"cell {name}" in printed.out
    assert sum(line.strip() == name for line in printed.out.splitlines()) == 1  # the table's header
    assert printed.err == f"headprint: message {name}\n"


@pytest.mark.parametrize("name", NAMES)
def test_commands_print_paths_with_markup_in_them(tmp_path, monkeypatch, capsys, name) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path(name)
    folder.mkdir(parents=True)
    first, second = (np.random.default_rng(seed).random((2, 3)) for seed in range(2))
    Pattern(first).save(folder / "before.safetensors")
    Pattern(second).save(folder / "after.safetensors")
    assert run(["show", f"{name}/before.safetensors"]) == 0
    assert run(["diff", f"{name}/before.safetensors", f"{name}/after.safetensors"]) == 0
    printed = capsys.readouterr().out
    assert printed.count(f"{name}/before.safetensors") == 2
    assert run(["show", f"{name}/before.safetensors", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_an_interrupted_command_says_what_it_declares(capsys) -> None:
    for sentence, expected in ((None, "interrupted"), (lambda: "all is saved", "interrupted; all is saved")):
        with pytest.raises(typer.Exit) as ended, output.working(when_interrupted=sentence):
            raise KeyboardInterrupt
        assert ended.value.exit_code == 130
        assert capsys.readouterr().err == f"headprint: {expected}\n"
