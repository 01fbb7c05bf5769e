"""``headprint compare-answers``: what it prints, and files that do not belong together."""

from __future__ import annotations

import json

from headprint.cli.app import run
from headprint.evaluation import Evaluation, Outcome, compare_answers
from support.command_line import refusal


def test_the_command_gives_what_the_function_does(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for name, right, loss in (("a.jsonl", (True, False, False), 2.0), ("b.jsonl", (True, True, False), 1.5)):
        Evaluation("final", [Outcome(str(i), "?", right=r, loss=loss + i) for i, r in enumerate(right)]).write(name)
    assert run(["compare-answers", "a.jsonl", "b.jsonl", "--json"]) == 0
    wanted = compare_answers("a.jsonl", "b.jsonl")
    found = json.loads(capsys.readouterr().out)
    assert found == {"files": ["a.jsonl", "b.jsonl"], **wanted.to_dict()}
    assert run(["compare-answers", "a.jsonl", "b.jsonl"]) == 0
    shown = capsys.readouterr().out
    assert f"change         {wanted.change}, p = 1 (exact McNemar)" in shown
    assert "1 rows became right, 0 became wrong" in shown
    assert f"loss, change   {wanted.loss} nats" in shown
    Evaluation("final", [Outcome("7", "?", right=True)]).write("c.jsonl")
    assert "c.jsonl has no answer to the row '0'" in refusal(capsys, "compare-answers", "a.jsonl", "c.jsonl")
