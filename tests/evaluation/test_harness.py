"""lm-evaluation-harness: what it is given and what is read, by a stand-in; the real one where it is installed."""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest

import headprint
from headprint.base.errors import InputError
from headprint.evaluation.harness import Score, run_harness
from support.toy_rows import small
from support.toy_tokenizers import toy_tokenizer

RESULTS = {
    "results": {
        "arc": {
            "alias": "arc",
            "sample_len": 40,
            "acc,none": 0.25,
            "acc_stderr,none": 0.07,
            "acc_norm,none": 0.5,
            "acc_norm_stderr,none": "N/A",
        },
        "gsm8k": {"alias": "gsm8k", "exact_match,strict-match": 0.0, "exact_match,flexible-extract": 0.125},
    },
    "n-samples": {"arc": {"original": 100, "effective": 40}},
}


@pytest.fixture
def stand_in(monkeypatch):
    """A module of the harness's shape that keeps what it is called with."""
    calls = SimpleNamespace(run={}, model={}, results=RESULTS, training=None, include=None)

    class TaskManager:
        all_tasks = ("arc", "gsm8k")

        def __init__(self, include_path=None) -> None:
            calls.include = include_path

    def simple_evaluate(**options):
        calls.run = options
        calls.training = calls.model["pretrained"].training
        return calls.results

    def hflm(**options):
        calls.model = options
        return "wrapped"

    for name, content in (
        ("lm_eval", {"simple_evaluate": simple_evaluate}),
        ("lm_eval.models", {}),
        ("lm_eval.models.huggingface", {"HFLM": hflm}),
        ("lm_eval.tasks", {"TaskManager": TaskManager}),
    ):
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return calls


def test_every_metric_is_read_and_every_option_passed(stand_in, tmp_path) -> None:
    model, tokenizer = small(), toy_tokenizer()
    model.train()
    found = run_harness(
        model, tokenizer, ["arc", "gsm8k"], limit=40, few_shot=3, chat=True, batch_size=2, include=tmp_path
    )
    assert found == [
        Score("arc", "acc", "none", 0.25, 0.07, 40),
        Score("arc", "acc_norm", "none", 0.5, None, 40),
        Score("gsm8k", "exact_match", "strict-match", 0.0, None, None),
        Score("gsm8k", "exact_match", "flexible-extract", 0.125, None, None),
    ]
    assert stand_in.model == {"pretrained": model, "tokenizer": tokenizer, "batch_size": 2}
    wanted = {"model": "wrapped", "tasks": ["arc", "gsm8k"], "num_fewshot": 3, "limit": 40, "apply_chat_template": True}
    assert wanted.items() <= stand_in.run.items()
    assert stand_in.include == str(tmp_path)
    assert stand_in.training is False
    assert model.training
    json.dumps([score.to_dict() for score in found])
    stand_in.results = None
    assert run_harness(model, tokenizer, ["arc"]) == []


def test_mistakes_are_one_line(stand_in) -> None:
    with pytest.raises(InputError, match="has no task 'gsm8': did you mean 'gsm8k'"):
        run_harness(small(), None, ["arc", "gsm8"])
    with pytest.raises(InputError, match="has no task 'zzz': `lm_eval ls tasks` lists them"):
        run_harness(small(), None, ["zzz"])
    with pytest.raises(InputError, match="no task given"):
        run_harness(small(), None, [])


def test_without_the_extra_it_says_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(InputError, match=r"needs lm-evaluation-harness: run pip install '\.\[eval\]'"):
        run_harness(small(), None, ["arc"])


@pytest.mark.slow
def test_the_real_harness_agrees_with_the_choice_scorers(tmp_path) -> None:
    pytest.importorskip("lm_eval", reason="the extra headprint[eval] is not part of the development setup")
    rows = [
        {
            "prompt": f"Question: {i} items + {i % 5} =",
            "choices": [str(i + i % 5), f"café {i}", "eggs left"],
            "answer": i % 3,
        }
        for i in range(12)
    ]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "toy.yaml").write_text(
        f"""
task: headprint_toy
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: prompt
doc_to_choice: choices
doc_to_target: answer
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""
    )
    model, tokenizer = small(), toy_tokenizer()
    found = {score.metric: score.value for score in run_harness(model, tokenizer, ["headprint_toy"], include=tmp_path)}
    for metric, scorer in (("acc", "choice"), ("acc_norm", "choice-norm")):
        ours = headprint.evaluate(model, tokenizer, rows, scorer=scorer, loss=False)
        assert found[metric] == pytest.approx(ours.accuracy)
