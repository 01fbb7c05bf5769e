"""How well the laboratory's model does each task: before SFT, after SFT, and with scarce rows of a complex task.

    python studies/lab/base_rates.py --out studies/lab/base_rates.json

Greedy decoding on items of the test split. What basic tasks add to a complex one is measured by `studies/evidence`.
"""

import argparse
import json
import platform
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
import trl
from datasets import Dataset
from rich.progress import track
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from headprint.evaluation.evaluation import evaluate
from headprint.lab import TASKS, model_path, task_rows

Rows = list[dict[str, Any]]


def fine_tune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Rows,
    *,
    epochs: float,
    rate: float,
    seed: int,
) -> PreTrainedModel:
    """Full SFT by TRL, loss on completions only; returns the model, trained in place."""
    with tempfile.TemporaryDirectory() as folder:
        trl.SFTTrainer(
            model=model,
            processing_class=tokenizer,
            train_dataset=Dataset.from_list([{k: r[k] for k in ("prompt", "completion")} for r in rows]),
            args=trl.SFTConfig(
                output_dir=folder,
                use_cpu=True,
                bf16=False,
                per_device_train_batch_size=16,
                num_train_epochs=epochs,
                learning_rate=rate,
                lr_scheduler_type="linear",
                warmup_steps=0.1,  # a share of the steps
                max_length=None,
                gradient_checkpointing=False,
                seed=seed,
                save_strategy="no",
                report_to="none",
                logging_strategy="no",
                disable_tqdm=True,
            ),
        ).train()
    return model


def main() -> None:
    """Measure everything and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="default: the shipped one")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--scarce", type=int, default=96)
    parser.add_argument("--scarce-epochs", type=float, default=12)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--tests", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tasks", nargs="*", default=[n for n, t in TASKS.items() if t.kind != "pool"])
    given = parser.parse_args()
    path = given.model or model_path()
    tokenizer = AutoTokenizer.from_pretrained(path)
    fresh = lambda: AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)  # noqa: E731

    def measure(model: PreTrainedModel, task: str) -> dict[str, float]:
        rows = task_rows(task, "test", n=given.tests, seed=given.seed)
        found = evaluate(model, tokenizer, rows, scorer="lab", max_new_tokens=64)
        return {"accuracy": found.accuracy, "loss": round(found.loss, 4), "example": found.results[0].output}

    def tuned(model: PreTrainedModel, rows: Rows, epochs: float) -> PreTrainedModel:
        return fine_tune(model, tokenizer, rows, epochs=epochs, rate=given.rate, seed=given.seed)

    settings = {k: v for k, v in vars(given).items() if k not in ("model", "out", "tasks")}
    for task in track(given.tasks):
        rows = task_rows(task, n=given.rows, seed=given.seed)
        arms = {"before": measure(fresh(), task)}
        arms[f"after {given.rows} rows"] = measure(tuned(fresh(), rows, given.epochs), task)
        if TASKS[task].kind == "complex":
            scarce = tuned(fresh(), rows[: given.scarce], given.scarce_epochs)
            arms[f"after {given.scarce} rows"] = measure(scarce, task)
        print(task, {arm: value["accuracy"] for arm, value in arms.items()}, flush=True)
        record(given.out, settings, task, arms)


def record(out: Path, settings: dict[str, Any], task: str, arms: dict[str, Any]) -> None:
    """Add one task to the JSON; tasks measured before with the same settings stay."""
    known = json.loads(out.read_text()) if out.exists() else {}
    results = known["results"] if known.get("settings") == settings else {}
    content = {
        "settings": settings,
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads()},
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, trl)},
        "results": {**results, task: arms},
    }
    out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
