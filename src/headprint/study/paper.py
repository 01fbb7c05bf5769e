"""The paper's own numbers (2025.acl-long.831, arXiv 2409.15820), to stand beside a study's."""

from __future__ import annotations

from typing import Any

PAPER: dict[str, Any] = {
    "table1": [{"model": "Llama3-8B", "gini": [0.50, 0.33], "cv": [1.19, 0.71]}],
    "fig4": {"target": "SGSM", "best": ["CodeSearchNet", "GSM8K"], "r2": 0.97},
    "table2": [
        {"model": "Llama-7B", "base": 28.68, "target": 31.78, "random": 33.82, "mixture": 36.82},
        {"model": "Llama2-7B", "base": 29.07, "target": 34.50, "random": 36.75, "mixture": 38.50},
        {"model": "Llama3-8B", "base": 46.12, "target": 49.22, "random": 50.10, "mixture": 52.33},
    ],
}
