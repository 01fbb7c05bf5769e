"""A model, rows, a pattern set and patterns on disk, for the tests of commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig
from transformers.utils import logging

from headprint.cli.app import run
from headprint.patterns.pattern import Pattern
from support.command_line import HEADS, LAYERS, write_rows
from support.toy_tokenizers import toy_tokenizer


@pytest.fixture(autouse=True)
def no_bars() -> None:
    """In a process of its own the command sees to that, before it imports transformers."""
    logging.disable_progress_bar()


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """A directory with a random Llama of grouped-query attention and its tokenizer."""
    directory = tmp_path_factory.mktemp("models") / "toy"
    tokenizer = toy_tokenizer("bos")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A file of 12 rows."""
    path = tmp_path_factory.mktemp("data") / "train.jsonl"
    write_rows(path, 12)
    return path


@pytest.fixture(scope="session")
def levels(tmp_path_factory, model, data) -> Path:
    """A pattern set of the rows, made by the command."""
    out = tmp_path_factory.mktemp("sets") / "levels"
    assert run(["extract", str(model), str(data), "--out", str(out), "--shard-size", "5", "--quiet"]) == 0
    return out


@pytest.fixture
def patterns(tmp_path) -> tuple[Path, Path]:
    """Two pattern files, of the same task before and after some training."""
    rng = np.random.default_rng(0)
    paths = tmp_path / "before.safetensors", tmp_path / "after.safetensors"
    values = rng.gamma(1.0, 0.1, (LAYERS, HEADS))
    for path in paths:
        provenance = {
            "model": {"id": "some/model", "weights": path.stem},
            "data": {"source": "some/data", "content": "same"},
            "placement": "example",
            "loss": "mean",
            "examples": 12,
        }
        Pattern(values, provenance).save(path)
        values = values * rng.uniform(0.5, 2.0, values.shape)
    return paths
