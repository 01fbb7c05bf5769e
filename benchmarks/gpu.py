"""The measure on a large model and one GPU: a randomly initialised model of Llama-3-8B's exact shape in bfloat16.

    PYTHONPATH=src python benchmarks/gpu.py [--out FILE.json] [--layers 32] [--rows 512]

Needs torch and transformers only, and about 80 GiB of device memory. Prints each result as it comes.

Tokens per second are real tokens. The share of the peak counts 4·P FLOPs per real token, P being the weights of the
body's matrices (the head runs on labelled tokens only and is not counted), over the rate of an 8192³ bfloat16 matrix
product on random data in the same process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from headprint.base import provenance
from headprint.data import Example
from headprint.measure import benchmark as bench
from headprint.measure.batching import Budget
from headprint.measure.engine import Engine
from headprint.measure.tap import Tap
from headprint.models import checkpointed, frozen
from headprint.models.heads import locate


def llama3_8b(layers: int) -> PreTrainedModel:
    """Llama-3-8B's shape with random weights, on the GPU in bfloat16."""
    config = LlamaConfig(
        vocab_size=128_256,
        hidden_size=4096,
        intermediate_size=14_336,
        num_hidden_layers=layers,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=32_768,
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("cuda"):
            return LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(torch.float32)


def product_rate() -> float:
    """FLOP/s of an 8192³ bfloat16 product on random data."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    times = []
    for _ in range(13):
        times.append(seconds(lambda: a @ b))
    return 2 * 8192**3 / statistics.median(times[3:])


def seconds(function: Callable[[], object]) -> float:
    """Wall seconds of one call, device work included."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def ours(
    model: PreTrainedModel,
    examples: list[Example],
    *,
    tokens: int | None,
    compiled: bool = False,
    checkpointing: bool = False,
    rounds: int = 3,
) -> dict[str, Any]:
    """Extraction's own engine over the examples: tokens per second, FLOP/s, peak memory above the weights."""
    heads, device = locate(model), torch.device("cuda")
    layers = model.model.layers
    if compiled:
        for layer in layers:
            layer.compile(dynamic=True)
    budget = Budget(device, tokens)
    times: list[float] = []
    results: list[Any] = []
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    try:
        with frozen(model), checkpointed(model) if checkpointing else nullcontext(), Tap(heads.sites) as tap:
            engine = Engine(model, heads, tap, device, budget, "example", "mean", None)
            for _ in range(rounds + 1):
                torch.cuda.reset_peak_memory_stats()
                times.append(seconds(lambda: results.append(engine.run(examples, lambda count, tokens=0: None))))
    finally:
        for layer in layers:
            layer._compiled_call_impl = None
    real = sum(len(example.input_ids) for example in examples)
    body = sum(p.numel() for layer in layers for p in layer.parameters() if p.dim() == 2)
    rate = real / statistics.median(times[1:])
    return {
        "tokens_per_second": rate,
        "flops": 4 * body * rate,
        "peak_bytes": torch.cuda.max_memory_allocated() - before,
        "batch_tokens": budget.tokens,
        "mean_level": float(abs(results[-1].values).mean()),
        "first_round_seconds": times[0],
        "seconds": times[1:],
    }


def attempt(found: dict[str, Any], name: str, function: Callable[[], dict[str, Any]]) -> None:
    """Keep a result, or say that memory ran out; print either."""
    try:
        found[name] = function()
    except torch.OutOfMemoryError as error:
        found[name] = {"out of memory": str(error).split(". ")[0]}
    except Exception as error:  # one variant that fails must not cost the others
        found[name] = {"failed": f"{type(error).__name__}: {str(error)[:300]}"}
    torch.cuda.empty_cache()
    print(json.dumps({name: found[name]}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "gpu.json")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--rows", type=int, default=512)
    options = parser.parse_args()

    model = llama3_8b(options.layers)
    vocab = model.config.vocab_size
    rows = bench.gsm8k_like(options.rows, vocab)
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "versions": provenance.versions(),
        "layers": options.layers,
        "matrix_product_flops": product_rate(),
    }
    attempt(found, "headprint", lambda: ours(model, rows, tokens=None))
    for tokens in (4096, 16_384):
        attempt(found, f"headprint, {tokens} tokens a batch", lambda tokens=tokens: ours(model, rows, tokens=tokens))
    attempt(found, "headprint, compiled layers", lambda: ours(model, rows, tokens=16_384, compiled=True))
    attempt(
        found,
        "paired, 8192 tokens a batch",
        lambda: bench.run(model, rows[:128], rounds=3, batch_tokens=8192, recipe_rows=8),
    )
    for length in (8192, 32_768):
        long = bench.uniform(max(1, 65_536 // length), length, vocab)
        attempt(found, f"headprint, T = {length}", lambda long=long: ours(model, long, tokens=1))
        attempt(
            found,
            f"headprint, T = {length}, checkpointing",
            lambda long=long: ours(model, long, tokens=1, checkpointing=True),
        )
        attempt(
            found,
            f"paired, T = {length}",
            lambda long=long: bench.run(
                model, long[:2], rounds=2, batch_tokens=1, contenders=["forward", "training step"]
            ),
        )
    for result in found.values():
        if isinstance(result, dict) and "flops" in result:
            result["share_of_peak"] = result["flops"] / found["matrix_product_flops"]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({name: r.get("share_of_peak") for name, r in found.items() if isinstance(r, dict)}, indent=1))


if __name__ == "__main__":
    main()
