"""All experiments in the small, with a model of random weights: every number is there and agrees with the trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from headprint import lab
from headprint.base.errors import InputError
from headprint.base.files import read_json
from headprint.study.config import parse
from headprint.study.results import Results, read_results
from headprint.study.run import study
from support.toy_models import toy_model

STEP = {"tokens": 150, "steps": 3, "learning_rate": 1e-3, "warmup": 0.0}

CONFIG: dict[str, Any] = {
    "name": "tiny evidence",
    "chapters": ["calibration", "transfer", "lds", "surface", "selecting"],
    "tasks": {
        "coref": {"data": "lab:coref:40"},
        "facts": {"data": "lab:facts:40"},
        "facts_coref": {"kind": "complex", "data": "lab:facts_coref:40", "parts": ["facts", "coref"]},
    },
    "sizes": {"train": 8, "reserve": 30, "probe": 1, "test": 4},
    "evidence": {
        "targets": ["facts_coref"],
        "sources": {"copy": {"data": "lab:pool:200", "keep": "'copy' in skills"}},
        "pool": {"data": "lab:pool:200"},
        "pool_rows": 60,
        "keep": 0.3,
        "query": 4,
        "sketch": 4,
        "first": STEP,
        "own": STEP,
        "checkpoints": 2,
        "calibration": {},
        "transfer": {"methods": ["head-gradient", "token-overlap"], "rows": 4, "changes": True},
        "mixtures": {"methods": ["head-gradient", "all-weights gradient"], "count": 4, "rows": 40},
        "surface": {"targets": ["facts_coref"], "count": 3, "repeats": 1},
        "selecting": {"methods": ["random", "head-gradient"], "deciles": ["head-gradient"]},
    },
}


def config(**evidence: Any) -> dict[str, Any]:
    return {**CONFIG, "evidence": {**CONFIG["evidence"], **evidence}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evidence")
    tokenizer = AutoTokenizer.from_pretrained(lab.model_path())
    toy_model("llama", vocab_size=len(tokenizer), max_position_embeddings=256).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    models = {"toy": {"model": str(folder / "model"), "dtype": "float32"}}
    study(parse({**CONFIG, "models": models}), folder / "run", workers=1)
    return folder / "run"


@pytest.fixture(scope="module")
def results(home: Path) -> Results:
    return read_results(home)


def test_every_experiment_leaves_its_numbers(results: Results) -> None:
    assert set(results.exhibits) == set(CONFIG["chapters"])
    assert [finding.key for finding in results.findings] == CONFIG["chapters"]
    assert all(finding.verdict == "one seed" for finding in results.findings)


def test_gains_are_differences_of_trials(results: Results) -> None:
    table = results.exhibits["calibration"].e1
    mean = {row.arm: row.log_loss for row in table.rows}
    (target,) = table.targets
    assert target.named.value == pytest.approx(mean["target"] - mean["named"])
    assert target.contrast.value == pytest.approx(mean["uniform"] - mean["named"])
    assert not target.passes


def test_the_outcome_is_the_mean_log_loss_over_checkpoints(home: Path, results: Results) -> None:
    own = next(
        read_json(path)
        for path in (home / "cache").glob("trial-*/trial.json")
        if read_json(path)["first"]["tokens"] == 0 and read_json(path)["then"]
    )
    curve = own["then"]["facts_coref"]["curve"]
    row = next(row for row in results.exhibits["calibration"].e1.rows if row.arm == "target")
    assert len(curve) == CONFIG["evidence"]["checkpoints"]
    assert row.log_loss == pytest.approx(np.mean(np.log(list(curve.values()))))


def test_predictions_are_of_every_method(results: Results) -> None:
    transfer, mixtures = results.exhibits["transfer"].e2, results.exhibits["lds"].lds
    assert {each.method for each in transfer.predictions} == {
        "head-gradient", "token-overlap", "patterns before", "pattern changes",
    }  # fmt: skip
    assert np.shape(transfer.gains) == (3, 1)
    assert {each.method for each in mixtures.predictions} == {"head-gradient", "all-weights gradient"}
    assert np.shape(mixtures.losses) == (4, 3)


def test_selections_are_compared_with_random_rows(results: Results) -> None:
    table = results.exhibits["selecting"].e4
    rows = {(row.method, row.pool): row for row in table.rows}
    for pool in ("whole pool", "without own type"):
        gain = rows["random", pool].log_loss - rows["head-gradient", pool].log_loss
        assert rows["head-gradient", pool].gain == pytest.approx(gain)
    assert len(table.deciles) == 10
    assert {cost.method for cost in table.costs} == {"random", "head-gradient"}


def test_the_report_shows_every_experiment(home: Path) -> None:
    page = (home / "report.html").read_text("utf-8")
    for name in ("e1", "e2", "lds", "e3", "e4"):
        assert (home / "figures" / f"{name}.png").is_file()
    assert "Computed mixtures of the basic tasks among random ones" in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": ["coref"]}, "coref is not a complex task with parts"),
        ({"targets": ["fact_coref"]}, "no task 'fact_coref'"),
        ({"sources": {"coref": {"data": "lab:coref"}}}, "coref is a task already"),
        ({"checkpoints": 9}, "9 in 3 steps"),
        ({"query": 99}, "99 rows, and a task has fewer"),
        ({"pool": None}, "need rows to choose from"),
        ({"selecting": {"methods": ["head-gradients"]}}, "no selector 'head-gradients'; did you mean 'head-gradient'"),
        ({"transfer": {"methods": ["random"], "seeds": [4]}}, "4 is not among the study's seeds"),
        ({"surface": {"targets": ["math_code"]}}, "'math_code' is no target of the section"),
        ({"first": {**STEP, "warmup": 0.5}}, "warmup"),
    ],
)
def test_a_section_that_cannot_work_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse({**config(**change), "models": {"lab": {"model": "lab"}}})
