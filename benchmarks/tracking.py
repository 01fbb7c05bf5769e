"""What following the patterns costs: online tracking per training step, and the probes per measurement.

    python benchmarks/tracking.py [--pairs 40] [--out benchmarks/results]

Paired in one process: TRL's own ``training_step`` (forward and backward, no optimiser) is run on the same batch with
online tracking and without it, in turn and in changing order, on the shipped model and on a larger random one whose
body outweighs its vocabulary. The overhead is the median of the pairs' ratios, with a 95 % interval by bootstrap.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from trl import SFTConfig, SFTTrainer

from headprint import lab, models
from headprint.base import provenance
from headprint.measure.extraction import extract
from headprint.training.online import RunningPattern, TrainingTap
from headprint.training.schedule import Schedule

HERE = Path(__file__).parent
LENGTH, ROWS_PER_BATCH = 128, 8


def larger_model() -> torch.nn.Module:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=4096,
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=4,
    )
    return LlamaForCausalLM(config)


def trainer_of(model: torch.nn.Module, tokenizer: Any, length: int) -> SFTTrainer:
    """A trainer on random rows of one length, the loss on their second half."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 300, (64, length), generator=generator)
    rows = [{"input_ids": row, "labels": [-100] * (length // 2) + row[length // 2 :]} for row in ids.tolist()]
    cpu = not torch.cuda.is_available()
    args = SFTConfig(
        output_dir="unused",
        per_device_train_batch_size=ROWS_PER_BATCH,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        use_cpu=cpu,
        bf16=not cpu,
        disable_tqdm=True,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    trainer = SFTTrainer(model, args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    trainer.create_optimizer_and_scheduler(num_training_steps=1000)
    trainer.model_wrapped = trainer.accelerator.prepare_model(trainer.model)
    return trainer


def seconds(run: Callable[[], object]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure_online(trainer: SFTTrainer, pairs: int) -> dict[str, Any]:
    """Seconds of training steps with and without it, in pairs."""
    tap = TrainingTap(trainer.model)
    running = RunningPattern(tap.heads, "example")
    batches = list(trainer.get_train_dataloader())

    def plain(batch: dict[str, torch.Tensor]) -> None:
        tokens = (batch["labels"][:, 1:] != -100).sum()
        trainer.training_step(trainer.model_wrapped, dict(batch), tokens)
        trainer.model.zero_grad()

    def tapped(batch: dict[str, torch.Tensor]) -> None:
        with tap:
            tokens = (batch["labels"][:, 1:] != -100).sum()
            trainer.training_step(trainer.model_wrapped, dict(batch), tokens)
            running.add(tap.read())
        trainer.model.zero_grad()

    times = []
    for number in range(-4, pairs):  # the first four warm up
        batch = batches[number % len(batches)]
        order = (plain, tapped) if number % 2 else (tapped, plain)
        took = {step: seconds(partial(step, batch)) for step in order}
        if number >= 0:
            times.append((took[plain], took[tapped]))
    without, with_it = np.array(times).T
    ratios = with_it / without
    rng = np.random.default_rng(0)
    draws = np.median(rng.choice(ratios, (2000, pairs)), axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return {
        "step_ms": 1000 * float(np.median(without)),
        "overhead_percent": 100 * (float(np.median(ratios)) - 1),
        "interval_percent": [100 * (float(low) - 1), 100 * (float(high) - 1)],
        "pairs": pairs,
    }


def probes(model: torch.nn.Module, length: int, step_ms: float) -> dict[str, float]:
    """One measurement of 100 probes of half the training rows' length, also as a number of training steps."""
    generator = torch.Generator().manual_seed(1)
    half = length // 4  # of a probe's tokens, as of a training row's
    ids = torch.randint(3, 300, (100, 2 * half), generator=generator).tolist()
    rows = [{"id": str(n), "input_ids": row, "labels": [-100] * half + row[half:]} for n, row in enumerate(ids)]
    extract(model, None, rows[:16], verify=False)
    took = min(seconds(lambda: extract(model, None, rows, verify=False)) for _ in range(3))
    dense = sum(Schedule("dense").due(step, last=step == 1000) for step in range(1001))
    return {
        "measurement_ms": 1000 * took,
        "in_training_steps": 1000 * took / step_ms,
        "dense_of_1000_steps_percent": 100 * dense * 1000 * took / step_ms / 1000,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(lab.model_path())
    results: dict[str, Any] = {}
    for name, model in (("lab", models.load_model("lab", device="cpu")[0]), ("8 layers x 384", larger_model())):
        trainer = trainer_of(model, tokenizer, LENGTH)
        online = measure_online(trainer, options.pairs)
        results[name] = {
            "parameters": sum(p.numel() for p in model.parameters()),
            "tokens_per_step": ROWS_PER_BATCH * LENGTH,
            "online": online,
            "probes": probes(trainer.model, LENGTH, online["step_ms"]),
        }
        print(name, json.dumps(results[name]))
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    about = {
        "device": device,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "versions": provenance.versions(),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "tracking.json").write_text(json.dumps({"machine": about, "models": results}, indent=1) + "\n")
    (options.out / "tracking.md").write_text(table(about, results))


def table(about: dict[str, Any], results: dict[str, Any]) -> str:
    lines = [
        "# What tracking costs",
        "",
        f"`python benchmarks/tracking.py` on {about['device']}, {about['threads']} thread(s); "
        f"torch {about['versions']['torch']}, transformers {about['versions']['transformers']}.",
        "Online tracking: median over paired training steps (forward and backward), with a 95 % interval; "
        "goal: under 2 %.",
        f"Probes: one measurement of 100 rows of {LENGTH // 2} tokens.",
        "",
        "| model | tokens a step | a step | online | 100 probes, once | in training steps | dense, of 1,000 steps |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        online, probe = result["online"], result["probes"]
        low, high = online["interval_percent"]
        lines.append(
            f"| {name} ({result['parameters'] / 1e6:.1f} M) | {result['tokens_per_step']:,} "
            f"| {online['step_ms']:.0f} ms | {online['overhead_percent']:+.1f} % ({low:+.1f} to {high:+.1f}) "
            f"| {probe['measurement_ms']:.0f} ms | {probe['in_training_steps']:.1f} "
            f"| {probe['dense_of_1000_steps_percent']:.1f} % |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
