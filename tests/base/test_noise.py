"""What other libraries print unasked: nothing of it reaches whoever runs a command."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys

from headprint.base.noise import silence_imports


def test_the_missing_kernel_is_dropped_and_nothing_else(caplog) -> None:
    silence_imports()
    logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
    logger.warning("Failed to load CPU gemm_4bit_forward from kernels-community: %s", "No module named 'kernels'")
    logger.warning("the library %s is broken", "libbitsandbytes_cpu.so")
    assert caplog.messages == ["the library libbitsandbytes_cpu.so is broken"]


def test_a_fine_tune_prints_its_result_and_nothing_on_stderr(tmp_path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f"{json.dumps({'prompt': f'{n} + 1 =', 'completion': f' {n + 1}'})}\n" for n in range(4)))
    settings = ("max_steps=1", "per_device_train_batch_size=2", "gradient_checkpointing=true")
    done = subprocess.run(
        [sys.executable, "-m", "headprint", "train", "lab", str(rows), "--out", str(tmp_path / "run"), "--lora",
         *(word for setting in settings for word in ("--set", setting))],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 steps, 2 rows" in done.stdout


def test_importing_the_libraries_after_headprint_is_silent() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import headprint; from headprint.training import train; import peft, trl"],
        env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
