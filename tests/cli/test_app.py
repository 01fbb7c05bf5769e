"""The command line as a whole: help without heavy imports, exit codes, one line of what is wrong.

Each subprocess costs some seconds of importing torch, so most commands run inside this process, as `main` runs them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import headprint
from headprint.cli import commands
from headprint.cli.app import run
from headprint.patterns.pattern import Pattern
from support.command_line import refusal

COMMANDS = tuple(path.stem.replace("_", "-") for path in sorted(Path(commands.__file__).parent.glob("[!_]*.py")))
HEAVY = {"torch", "transformers", "numpy", "matplotlib", "datasets", "scipy", "pyarrow", "pydantic"}


def test_help_imports_nothing_heavy_and_knows_every_command() -> None:
    script = f"""
import sys
from headprint.cli.app import run
for command in {COMMANDS}:
    assert run([command, "--help"]) == 0
assert run(["--help"]) == run(["--version"]) == run([]) == 0
print("IMPORTED", *sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    *shown, imported = done.stdout.splitlines()
    assert not HEAVY & set(imported.split())
    assert any(f"headprint {headprint.__version__}" in line for line in shown)
    for command in COMMANDS:
        assert any(f"headprint {command} [OPTIONS]" in line for line in shown)


@pytest.mark.slow
def test_importing_the_package_imports_nothing_heavy_and_the_api_is_there() -> None:
    script = """
import sys
import headprint
assert not {"torch", "transformers", "numpy", "pyarrow"} & set(sys.modules), sorted(sys.modules)
from headprint.patterns import PatternSet  # a submodule imports others
import headprint.measure.extraction, headprint.measure.verification
assert callable(headprint.extract) and callable(headprint.verify)
assert set(headprint.__all__) <= set(dir(headprint)) and all(getattr(headprint, name) for name in headprint.__all__)
try:
    headprint.nonsense
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "module 'headprint' has no attribute 'nonsense'"


def test_usage_errors_are_one_line(capsys) -> None:
    assert "'example', 'token', 'none'" in refusal(capsys, "extract", "m", "d", "--out", "o", "--placement", "head")
    assert "--shard-size" in refusal(capsys, "extract", "m", "d", "--out", "o", "--shard-size", "0")
    assert "--out" in refusal(capsys, "extract", "m", "d")
    assert "--top" in refusal(capsys, "show", "x", "--topp", "3")
    assert "'show'" in refusal(capsys, "shwo")


def test_missing_things_are_named(tmp_path, model, data, capsys) -> None:
    out = tmp_path / "out"
    assert "/no/model does not exist" in refusal(capsys, "extract", "/no/model", data, "--out", out)
    assert f"{tmp_path} holds no model" in refusal(capsys, "extract", tmp_path, data, "--out", out)
    assert "no.jsonl: no such file" in refusal(capsys, "extract", model, "no.jsonl", "--out", out)
    assert "did you mean 'facts'" in refusal(capsys, "extract", model, "lab:fact", "--out", out)
    assert "there is no file or directory nowhere" in refusal(capsys, "show", "nowhere")
    assert "not a pattern set" in refusal(capsys, "show", tmp_path)
    assert "not a pattern file" in refusal(capsys, "show", data)


def test_what_is_nobodys_fault_has_exit_code_1_and_a_traceback_for_debug(patterns, capsys, monkeypatch) -> None:
    monkeypatch.setenv("HEADPRINT_DEBUG", "")

    def fail(*_, **__):
        raise ZeroDivisionError("of heads")

    monkeypatch.setattr(Pattern, "gini", fail)
    assert run(["show", str(patterns[0])]) == 1
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert len(stderr.splitlines()) == 1
    assert "ZeroDivisionError: of heads" in stderr
    assert "--debug" in stderr
    assert run(["--debug", "show", str(patterns[0])]) == 1
    assert "Traceback" in capsys.readouterr().err
