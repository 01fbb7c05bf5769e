"""``headprint bench``."""

from __future__ import annotations

import json

from headprint.cli.app import run


def test_bench_prints_every_contender(model, data, capsys) -> None:
    arguments = ["bench", str(model), str(data), "--examples", "4", "--rounds", "1", "--no-recipe"]
    assert run([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["results"]) == {"headprint", "forward", "training step"}
    assert told["examples"] == 4
    assert run(arguments) == 0
    assert "training step" in capsys.readouterr().out
