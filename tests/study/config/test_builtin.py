"""The configs of the paper's models, from end to end: a toy of the same architecture, rows in the same columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from headprint.base.files import write_json_lines
from headprint.evaluation.parsing import choices_of, right_choice
from headprint.evaluation.scorers import get_scorer
from headprint.study.config import StudyConfig, TaskConfig, builtin, load, parse
from headprint.study.groundwork.rows import split_rows
from headprint.study.run import study
from support import paper_rows
from support.toy_models import toy_model
from support.toy_tokenizers import toy_tokenizer

# What sets one architecture apart from another at toy size: Llama 3 alone has fewer keys than queries.
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama-7b": ("llama", {"num_key_value_heads": 4}),
    "llama-2-7b": ("llama", {"num_key_value_heads": 4, "max_position_embeddings": 768}),
    "llama-3-8b": ("llama", {"num_key_value_heads": 2, "rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}),
    "gemma-7b": ("gemma", {"num_key_value_heads": 4, "head_dim": 16}),
    "opt-6.7b": ("opt", {}),
}
BOS = {"llama": "bos", "gemma": "bos", "opt": "bos"}
TASKS = {"gsm8k", "math", "codesearchnet", "arc", "hellaswag", "winogrande", "sgsm"}
FEW = {"gsm8k", "codesearchnet", "sgsm"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Local files of every data set."""
    folder = tmp_path_factory.mktemp("hub")
    for source in paper_rows.SCHEMAS:
        where = local(source, folder)
        if source == "mathbench.jsonl":
            write_json_lines(where, paper_rows.rows(source, "train", 40))
        else:
            where.mkdir()
            for split in ("train", "validation", "test"):
                write_json_lines(where / f"{split}.jsonl", paper_rows.rows(source, split, 40))
    return folder


def local(source: str, hub: Path) -> Path:
    name = Path(source).name if Path(source).is_absolute() else source
    return hub / name.replace("/", "--").replace(":", "-")


def small(config: StudyConfig, hub: Path, models: dict[str, str], tasks: set[str]) -> dict[str, Any]:
    """The config with local rows and models, some of its tasks, small sizes and few steps; otherwise as it is."""
    content = config.to_dict()
    content["tasks"] = {name: task for name, task in content["tasks"].items() if name in tasks}
    for task in [*content["tasks"].values(), content["selections"]["pool"]]:
        task["data"] = str(local(task["data"], hub))
        task["train"] = task["train"] and 6
    for name, model in content["models"].items():
        model["model"] = models[name]
    content["sizes"] |= {"train": 10, "probe": 4, "test": 4}
    content["sft"] |= {"max_steps": 2, "per_device_train_batch_size": 2}
    content["scarce_sft"] = {}
    content["fits"] |= {"draws": 20, "permutations": 20}
    content["mixtures"] |= {"rows": 8, "arms": ["mixture"]}
    content["selections"] |= {"pool_rows": 25, "rows": 1, "methods": ["change-cosine"]}
    content["ablations"] |= {"tasks": ["sgsm"], "ks": [1, 2], "random": 2, "rows": 3}
    return content | {"max_new_tokens": 4, "batch_tokens": 2048}


def toy(name: str, folder: Path) -> str:
    family, options = ARCHITECTURES[name]
    options = {"vocab_size": 400, "max_position_embeddings": 512, **options}
    model = toy_model(family, attention=None, dtype=torch.bfloat16, **options)
    model.save_pretrained(folder)
    toy_tokenizer(BOS[family]).save_pretrained(folder)
    return str(folder)


def test_there_is_one_for_each_model() -> None:
    assert {"lab", "paper", *ARCHITECTURES} == set(builtin())
    for name in ARCHITECTURES:
        config = load(name)
        assert list(config.models) == [name]
        assert set(config.tasks) == TASKS
        assert config.targets == ["sgsm"]
        assert len(config.basis) == 6
        assert {task.data for task in config.tasks.values()} <= set(paper_rows.SCHEMAS)
    assert set(load("paper").models) == set(ARCHITECTURES)


def test_settings_are_those_of_trl_and_peft() -> None:
    from headprint.training.sft_config import lora_config, resolve

    for name in builtin():
        config = load(name)
        for model in config.models.values():
            for step in ({}, config.scarce_sft, config.mixtures.first, config.selections.first):
                resolve({**config.sft, **step, **model.sft})
            assert model.lora is None or lora_config(model.lora).r == 16
            assert model.lora is None or model.dtype == "bfloat16"


@pytest.mark.parametrize("name", [*sorted(TASKS), "mathbench"])
def test_a_task_asks_what_its_scorer_can_judge(name: str, hub: Path, tmp_path: Path) -> None:
    """Templates make TRL's rows of the hub's columns, and the completion itself is judged right."""
    task = _with_mathbench(tmp_path).tasks[name]
    made = TaskConfig(**{**_plain(task), "data": str(local(task.data, hub))})
    dealt = split_rows(made, name, train=8, reserve=None, probe=3, test=3, seed=0)
    for row in [row for part in dealt.values() for row in part]:
        assert row["prompt"].startswith("Question: ")
        assert row["prompt"].endswith("\nAnswer:")
        assert row["completion"][0] in " \n"
        assert row["completion"].strip()
        if task.scorer == "choice":
            texts, _ = choices_of(row)
            assert texts[right_choice(row)] == row["completion"].strip()
        elif task.scorer != "none":
            assert get_scorer(task.scorer)(row, row["completion"])
            assert not get_scorer(task.scorer)(row, " 12345.678 E")
    prompts = [{row["prompt"] for row in dealt[part]} for part in ("reserve", "probe", "test")]
    assert prompts[0].isdisjoint(prompts[1] | prompts[2])


def test_the_code_does_not_repeat_the_question(hub: Path) -> None:
    task = load("llama-3-8b").tasks["codesearchnet"]
    dealt = split_rows(
        TaskConfig(**{**_plain(task), "data": str(local(task.data, hub))}),
        "codesearchnet", train=8, reserve=0, probe=0, test=0, seed=0,
    )  # fmt: skip
    for row in dealt["train"]:
        assert row["func_documentation_string"] in row["prompt"]
        assert row["func_documentation_string"] not in row["completion"]
        assert row["completion"].startswith("\ndef ")


def test_the_pool_is_english_and_of_one_turn(hub: Path) -> None:
    pool = load("gemma-7b").selections.pool
    made = TaskConfig(**{**_plain(pool), "data": str(local(pool.data, hub))})
    dealt = split_rows(made, "pool", train=12, reserve=0, probe=0, test=0, seed=0)
    for row in dealt["train"]:
        assert row["langdetect"] == "en"
        assert len(row["conversations"]) == 2
        assert row["skills"] == (row["label"]["ability_en"] if row["label"] else [])
    assert any(row["skills"] for row in dealt["train"])


@pytest.mark.slow
@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_from_end_to_end(name: str, hub: Path, tmp_path: Path) -> None:
    """A model's study as configured, by LoRA in bfloat16: of all tasks for one model, of three for the others."""
    tasks = TASKS if name == "llama-3-8b" else FEW
    config = parse(small(load(name), hub, {name: toy(name, tmp_path / "model")}, tasks))
    results = study(config, tmp_path / "out", workers=1).to_json()
    check(results, config, name)
    adapters = list((tmp_path / "out" / "cache").glob("train-*/model/adapter_config.json"))
    assert len(adapters) == len(tasks) + 2 * 2  # each task, and two stages for the mixture and for the selection
    assert {json.loads(path.read_text())["base_model_name_or_path"] for path in adapters} == {str(tmp_path / "model")}


@pytest.mark.slow
def test_all_weights_and_mathbench(hub: Path, tmp_path: Path) -> None:
    """A file of one's own over a model's config: all weights in float32, and MathBench as a second complex task."""
    given = _with_mathbench(tmp_path, "models: {llama-3-8b: {lora: null, dtype: float32, sft: {optim: adafactor}}}")
    assert given.models["llama-3-8b"].lora is None
    tasks = {*FEW, "math", "mathbench"}
    content = small(given, hub, {"llama-3-8b": toy("llama-3-8b", tmp_path / "model")}, tasks)
    config = parse({**content, "selections": None})
    assert config.mixtures.targets == ["sgsm", "mathbench"]
    results = study(config, tmp_path / "out", workers=1).to_json()
    check(results, config, "llama-3-8b")
    weights = list((tmp_path / "out" / "cache").glob("train-*/model/model.safetensors"))
    assert len(weights) == len(tasks) + 2 * 2
    assert not list((tmp_path / "out" / "cache").glob("train-*/model/adapter_config.json"))


def check(results: dict[str, Any], config: StudyConfig, name: str) -> None:
    """Every exhibit is there, of every task."""
    assert results["complete"]
    (model,) = results["models"].values()
    assert (model["layers"], model["heads"]) == (3, 4)
    table_arm = {"table2": "mixture", "table3": "change-cosine"}
    found = results["exhibits"]
    tables = {"table2": config.mixtures, "table3": config.selections, "ablation": config.ablations}
    wanted = {"table1", "fig1", "fig2", "fig3", "fig4", "fig5", *(table for table, given in tables.items() if given)}
    assert wanted <= set(found)
    assert {row["task"] for row in found["table1"]["rows"]} == set(config.tasks)
    assert all(run["steps"] == [0, 1, 2] for run in found["fig5"]["runs"])
    assert all(0 < run["correlation"][-1]["value"] < 1 for run in found["fig5"]["runs"])  # it moved
    for table in wanted & {"table2", "table3"}:
        summary = found[table]["summary"]
        assert {row["target"] for row in summary} == set(tables[table].targets)
        assert {row["arm"] for row in summary} == {"base", "target", table_arm[table]}
        assert all(row["loss"]["value"] > 0 for row in summary)
    judged = {task for task, given in config.tasks.items() if given.scorer != "none"}
    rates = found["base_rates"]["rows"]
    assert {row["task"] for row in rates if row["accuracy"] is not None} == judged
    assert {fit["target"] for fit in found["fig4"]["fits"]} == set(config.targets)
    assert {row["model"] for row in found["table1"]["rows"]} == {name}


def _with_mathbench(folder: Path, more: str = "") -> StudyConfig:
    path = folder / "own.yaml"
    path.write_text(f"extends: [llama-3-8b, parts/mathbench]\nname: with MathBench\n{more}\n")
    return load(path)


def _plain(task: TaskConfig) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(task)
