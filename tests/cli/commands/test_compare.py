"""``headprint compare``: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json

from headprint.analysis.bootstrap import Bootstrap
from headprint.analysis.comparison import shape_change, task_correlations
from headprint.cli.app import run
from support.command_line import refusal
from support.pattern_sets import around, random_pattern


def test_the_command_gives_what_the_functions_do(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    arguments = ["compare", "--bootstrap=40"]
    sets = {}
    for i, task in enumerate(("math", "code", "facts")):
        sets[task] = around(random_pattern(i)), around(random_pattern(i) * random_pattern(i + 9), seed=1)
        sets[task][0].save(f"{task}-0")
        sets[task][1].save(f"{task}-1")
        arguments.append(f"{task}={task}-0,{task}-1")
    assert run([*arguments, "--out=compare.json"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    for words in ("Gini", "pearson, before", "pearson, (after - before) / before", "after - before"):
        assert words in shown
    assert run([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "compare.json").read_text())
    options = Bootstrap(draws=40)
    assert found["shapes"]["code"] == {
        k: v for k, v in shape_change(*sets["code"], bootstrap=options).to_dict().items() if k != "examples"
    }
    before, after = ({task: pair[i] for task, pair in sets.items()} for i in (0, 1))
    assert found["correlations"] == task_correlations(before, after, bootstrap=options).to_dict()
    assert run(["compare", "math=math-0", "code=code-0", "--bootstrap=0"]) == 0
    assert "after" not in capsys.readouterr().out


def test_what_is_refused(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("math-0", "math-1", "code-0"):
        around(random_pattern(0)).save(name)
    for wrong, message in (
        (["math"], "TASK=BEFORE"),
        (["math=math-0", "math=math-1"], "each task once"),
        (["math=math-0,math-1", "code=code-0"], "'code' has no pattern set from after"),
        (["math=nothing"], "no file or directory"),
        (["math=math-0", "--confidence=95"], "confidence is 95.0: it has to be between 0 and 1"),
    ):
        assert message in refusal(capsys, "compare", *wrong)
