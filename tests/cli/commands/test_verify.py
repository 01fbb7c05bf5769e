"""``headprint verify``."""

from __future__ import annotations

import json

from headprint.cli.app import run
from support.numerics import FLOAT32
from support.toy_models import toy_model
from support.toy_tokenizers import toy_tokenizer


def test_verify_tells_exact_from_refused(tmp_path, model, capsys) -> None:
    assert run(["verify", str(model), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["exact"] is True
    assert 0 <= told["error_within_kernel"] <= FLOAT32
    toy_model("diffllama").save_pretrained(tmp_path)
    toy_tokenizer().save_pretrained(tmp_path)
    assert run(["verify", str(tmp_path), "--json"]) == 2
    stdout, stderr = capsys.readouterr()
    assert json.loads(stdout)["exact"] is False
    assert len(stderr.splitlines()) == 1
    assert json.loads(stdout)["reason"] in stderr
    assert run(["verify", str(model)]) == 0
    assert "exact" in capsys.readouterr().out
