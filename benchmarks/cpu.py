"""Every figure of the measure's cost and exactness that a CPU can give.

    python benchmarks/cpu.py [--quick] [SECTION ...]     sections: speed cost sketch memory exactness overhead (all)

Writes benchmarks/results/cpu.json and cpu.md. Run it on a machine that does nothing else. Ratios are medians over
rounds in which every contender runs once, in rotating order, in one process (memory: one process per contender).
With ``--quick`` the random models are tiny and nothing is written: to see that it runs.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from headprint.base import provenance
from headprint.base.options import Blocks
from headprint.lab import TASKS, model_path, task_rows
from headprint.measure import benchmark as bench
from headprint.measure.batching import Budget, collate
from headprint.measure.engine import Engine
from headprint.measure.extraction import extract
from headprint.measure.levels import measure
from headprint.measure.loss import IGNORE
from headprint.measure.oracle import materialised_levels
from headprint.measure.sketch import Sketch
from headprint.measure.tap import Tap
from headprint.models import frozen, input_device, load_model, using_kernel
from headprint.models.heads import locate
from headprint.models.mlps import locate_mlps

RESULTS = Path(__file__).parent / "results"
SEED = 0
QUICK = "--quick" in sys.argv
MEMORY = ((4, 1024), (1, 1024), (1, 2048), (1, 4096))
"""Examples and their tokens."""
SKETCHES: dict[str, tuple[int | None, Blocks]] = {
    "levels alone": (None, "heads"),
    "K = 8": (8, "heads"),
    "K = 16": (16, "heads"),
    "K = 32": (32, "heads"),
    "default": (0, "heads"),
    "default, heads,mlp": (0, "heads,mlp"),
}
"""What ``sketch`` compares: K, 0 for the default, and whose gradients."""


def llama(*, layers: int, hidden: int, vocab: int, heads: int = 8) -> PreTrainedModel:
    """A random Llama with eight heads."""
    if QUICK:
        layers, hidden = 2, 64
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=4096,
    )
    return LlamaForCausalLM(config).eval()


def speed() -> dict[str, Any]:
    """Against the authors' recipe: 8 layers × 384, vocabulary 32k."""
    examples = bench.gsm8k_like(64, 32_000, seed=SEED)
    model = llama(layers=8, hidden=384, vocab=32_000)
    found = bench.run(model, examples, rounds=5, contenders=["authors' recipe"])
    # The floor: 4 FLOPs per weight and real token in the body, and per labelled token in the head.
    body = sum(p.numel() for name, p in model.named_parameters() if ".layers." in name)
    labelled = sum(label != IGNORE for example in examples for label in example.labels[1:])
    flops = 4 * (body * found["tokens"] + model.lm_head.weight.numel() * labelled)
    rate = flops / found["results"]["headprint"]["seconds"]
    found["floor"] = {"gflops": rate / 1e9, "matmul_gflops": matmul_gflops(), "labelled": labelled}
    return found


def matmul_gflops() -> float:
    """What this machine reaches on matrix products of this model's shape (512 tokens, 384 to 1,024), in cache."""
    a, b = torch.randn(512, 384), torch.randn(384, 1024)
    rates = []
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(50):
            a @ b
        rates.append(50 * 2 * 512 * 384 * 1024 / (time.perf_counter() - start) / 1e9)
    return float(np.median(rates))


def cost() -> dict[str, Any]:
    """Against a training step and a forward on the same batches: a body-dominated model, at several batch sizes."""
    found = {}
    for tokens in (512, 1024):
        model, examples = llama(layers=8, hidden=768, vocab=2048), bench.gsm8k_like(12, 2048, seed=SEED)
        contenders = ["forward", "training step"]
        found[str(tokens)] = bench.run(model, examples, rounds=4, batch_tokens=tokens, contenders=contenders)
    return found


def sketch() -> dict[str, Any]:
    """Sketches of several sizes against levels alone, on the same batches; directions are drawn before."""
    small, _ = load_model("lab", dtype="float32", device="cpu")
    found = {}
    for name, model in (("8 × 768", llama(layers=8, hidden=768, vocab=2048)), ("the shipped model", small)):
        examples = bench.gsm8k_like(2 if QUICK else 12, min(1000, model.config.vocab_size), seed=SEED)
        rounds: dict[str, list[float]] = {contender: [] for contender in SKETCHES}
        numbers = {}
        for number in range(2 if QUICK else 8):
            for contender in bench.rotated(list(SKETCHES), number):
                with sketching(model, *SKETCHES[contender]) as engine:
                    engine.run(examples[:1], lambda count, tokens: None)  # draws the directions
                    with seconds(rounds[contender] if number else []):
                        engine.run(examples, lambda count, tokens: None)
                    numbers[contender] = sum(int(np.prod(shape)) for shape in engine.layout.values())
        alone = np.array(rounds["levels alone"])
        found[name] = {
            contender: {
                "numbers": numbers[contender],
                "seconds": float(np.median(taken)),
                **dict(zip(("ratio_low", "ratio", "ratio_high"), np.quantile(taken / alone, (0, 0.5, 1)), strict=True)),
            }
            for contender, taken in rounds.items()
        }
    return found


@contextmanager
def sketching(model: nn.Module, size: int | None, blocks: Blocks) -> Iterator[Engine]:
    """An engine as extraction has it."""
    heads, device = locate(model), input_device(model)
    planned = None if size is None else Sketch.planned(heads, size, SEED, blocks)
    mlps = locate_mlps(model, heads) if planned and planned.side else None
    with frozen(model), Tap(heads.sites, planned, mlps) as tap:
        yield Engine(model, heads, tap, device, Budget(device), "example", "mean", None)


def memory() -> dict[str, Any]:
    """Peak resident memory above the loaded model, on examples of T tokens, each contender in its own process.

    Four examples at T = 1024, the recipe's own batch (headprint takes them one by one), and single ones at every T:
    four of 4096 do not fit this machine under the recipe.
    """

    def ask(*arguments: object) -> int:
        command = [sys.executable, __file__, *(["--quick"] if QUICK else []), "--peak", *map(str, arguments)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    return {
        f"{who}, {rows} × {length}": ask(who, rows, length)
        for rows, length in MEMORY
        for who in ("headprint", "sketch", "recipe")
    }


def peak(who: str, rows: int, length: int) -> int:
    """Bytes that so many examples add to this process's peak."""
    model = llama(layers=4, hidden=384, vocab=32_000)
    small, large = (bench.uniform(n, t, 32_000, seed=SEED) for n, t in ((1, 16), (rows, length)))

    def run(examples: list[Any]) -> None:
        if who != "recipe":
            with sketching(model, *SKETCHES["levels alone" if who == "headprint" else "default, heads,mlp"]) as engine:
                engine.run(examples, lambda count, tokens: None)
        else:
            with using_kernel(model, "eager"):
                bench.authors_recipe(model, bench.with_mask(collate(examples), examples))

    run(small)  # libraries' own buffers
    before = high_water()
    run(large)
    return high_water() - before


def high_water() -> int:
    """Peak resident bytes of this process (getrusage's would be the parent's, if that was larger)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def exactness() -> dict[str, Any]:
    """Error against the materialised oracle, and bfloat16 against float32 on the shipped model."""
    found: dict[str, Any] = {}
    examples = bench.gsm8k_like(8, 2048, seed=SEED)
    pairs = [(torch.tensor(e.input_ids), torch.tensor(e.labels)) for e in examples]
    for dtype in (torch.float32, torch.float64):
        model = llama(layers=8, hidden=384, vocab=2048).to(dtype)
        with using_kernel(model, "eager"), frozen(model), Tap(locate(model).sites) as tap:
            # One by one, as the reference: eager attention's float32 softmax may round otherwise in another shape.
            ours = torch.cat([measure(model, tap, collate([example]))[0] for example in examples])
        reference = materialised_levels(model, pairs)
        found[str(dtype).removeprefix("torch.")] = float((ours - reference).abs().max() / reference.abs().max())
    half, tokenizer = load_model("lab", dtype="bfloat16", device="cpu")
    whole, _ = load_model("lab", dtype="float32", device="cpu")
    for task in TASKS:
        rows = task_rows(task, "test", n=100)
        expected = extract(whole, tokenizer, rows).pattern()
        for name, compute_dtype in (("bfloat16", None), ("bfloat16 products", "bfloat16")):
            pattern = extract(half, tokenizer, rows, compute_dtype=compute_dtype).pattern()
            found.setdefault(f"{name} rank correlation", {})[task] = pattern.correlation(expected, method="spearman")
    return found


def overhead() -> dict[str, Any]:
    """1,000 rows from a file to a directory, against the same batches through the model and nothing else."""
    model, tokenizer = load_model("lab", dtype="float32", device="cpu")
    rounds: dict[str, list[float]] = {"extract": [], "passes": [], "taps": []}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "rows.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in task_rows("math", "train", n=1000)))
        for number in range(4):
            with seconds(rounds["extract"] if number else []), own_passes() as spent:
                extract(model, tokenizer, str(data), out=Path(folder) / f"set{number}")
            if number:
                rounds["passes"].append(sum(spent["passes"]))
                rounds["taps"].append(sum(spent["taps"]))
    total, passes, taps = (np.array(rounds[name]) for name in ("extract", "passes", "taps"))
    return {
        "rows": 1000,
        "model": str(model_path().name),
        "seconds": rounds,
        "share beyond the passes": float(np.median((total - passes + taps) / total)),
    }


@contextmanager
def own_passes() -> Iterator[dict[str, list[float]]]:
    """Time spent inside the model's forward and backward, and of that in the taps."""
    from headprint.measure import engine, tap

    spent: dict[str, list[float]] = {"passes": [], "taps": []}

    def timed(function: Any, into: list[float]) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            with seconds(into):
                return function(*args, **options)

        return call

    with ExitStack() as stack:
        for owner, name, kind in (
            (engine, "measure", "passes"),
            (tap, "_gate_input", "taps"),
            (tap._Gate, "backward", "taps"),
            (tap.Tap, "open", "taps"),
            (tap.Tap, "levels", "taps"),
        ):
            before = vars(owner)[name]
            after = timed(getattr(owner, name), spent[kind])
            setattr(owner, name, staticmethod(after) if isinstance(before, staticmethod) else after)
            stack.callback(setattr, owner, name, before)
        yield spent


@contextmanager
def seconds(into: list[float]) -> Iterator[None]:
    """Append the block's wall time."""
    start = time.perf_counter()
    yield
    into.append(time.perf_counter() - start)


SECTIONS = {
    "speed": speed,
    "cost": cost,
    "sketch": sketch,
    "memory": memory,
    "exactness": exactness,
    "overhead": overhead,
}


def table(found: dict[str, Any]) -> str:
    """The committed page."""
    made: dict[str, list[str]] = {}
    for section, machine in found["machines"].items():
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        made.setdefault(f"{machine['processor']}, threads: {machine['threads']}; {versions}", []).append(section)
    lines = [
        "# Measured on a CPU",
        "",
        f"`python benchmarks/cpu.py`, seed {SEED}. Ratios: median (lowest to highest) over rounds in one process. On:",
        "",
        *(f"- {', '.join(sections)}: {machine}" for machine, sections in made.items()),
        "",
        "| figure | goal | measured | |",
        "|---|---|---|---|",
    ]

    def row(figure: str, goal: str, measured: str, met: bool) -> None:
        lines.append(f"| {figure} | {goal} | {measured} | {'met' if met else '**missed**'} |")

    def spread(timing: dict[str, Any], *, inverse: bool = False) -> str:
        values = [timing["ratio"], timing["ratio_low"], timing["ratio_high"]]
        if inverse:
            values = [1 / values[0], 1 / values[2], 1 / values[1]]
        return "{:.2f} × ({:.2f} to {:.2f})".format(*values)

    if "speed" in found:
        recipe, floor = found["speed"]["results"]["authors' recipe"], found["speed"]["floor"]
        figure = "speed against the authors' recipe, GSM8K-length rows, 8 × 384, vocabulary 32k"
        row(figure, "≥ 30 ×", spread(recipe), recipe["ratio"] >= 30)
        share = floor["gflops"] / floor["matmul_gflops"]
        told = f"{share:.0%} ({floor['gflops']:.0f} of {floor['matmul_gflops']:.0f} GFLOP/s)"
        lines.append(f"| of which possible: our share of the machine's matrix-product rate, float32 | – | {told} | |")
    for tokens, run in found.get("cost", {}).items():
        for contender, name, goal in (("training step", "a training step", 0.65), ("forward", "a forward", 2.2)):
            timing = run["results"][contender]
            figure = f"cost against {name}, {tokens} tokens a batch, 8 × 768"
            row(figure, f"≤ {goal} ×", spread(timing, inverse=True), 1 / timing["ratio"] <= goal)
    for name, run in found.get("sketch", {}).items():
        for contender, timing in run.items():
            if contender != "levels alone":
                low, middle, high = (timing[key] - 1 for key in ("ratio_low", "ratio", "ratio_high"))
                figure = (
                    f"cost of a sketch over levels alone, {name}, {contender} ({timing['numbers']:,} numbers a row)"
                )
                row(figure, "≤ 10 %", f"{middle:+.1%} ({low:+.1%} to {high:+.1%})", middle <= 0.1)
    if "memory" in found:
        peaks = found["memory"]
        for rows in (f"{n} × {length}" for n, length in MEMORY):
            ours, theirs = peaks[f"headprint, {rows}"], peaks[f"recipe, {rows}"]
            share = f"{ours / theirs:.3f} × ({ours / 2**20:,.0f} MiB against {theirs / 2**20:,.0f} MiB)"
            figure = f"peak memory above the weights against the recipe, {rows} tokens"
            row(figure, "≤ 0.2 ×", share, ours / theirs <= 0.2)
        for who, name in (("headprint", "levels"), ("sketch", "`--sketch 0 --blocks heads,mlp`")):
            first, second, third = (peaks[f"{who}, 1 × {t}"] / 2**20 for t in (1024, 2048, 4096))
            steps = second - first, (third - second) / 2
            figure = f"memory per 1,024 tokens more, {name}: from 1024 to 2048, from 2048 to 4096"
            told = f"{steps[0]:.0f} MiB and {steps[1]:.0f} MiB"
            row(figure, "linear", told, steps[1] <= 1.1 * steps[0])
    if "exactness" in found:
        exact = found["exactness"]
        for dtype, goal in (("float32", 1e-6), ("float64", 1e-12)):
            row(f"error against the oracle, {dtype}", f"≤ {goal:.0e}", f"{exact[dtype]:.1e}", exact[dtype] <= goal)
        for key, name in (("bfloat16", "bfloat16"), ("bfloat16 products", "`--compute-dtype bfloat16`")):
            if not (ranks := exact.get(f"{key} rank correlation")):
                continue
            good = sum(rank >= 0.999 for rank in ranks.values())
            low, high = min(ranks.values()), max(ranks.values())
            told = f"{low:.4f} to {high:.4f}, {good} of {len(ranks)} tasks at 0.999 or above"
            row(f"{name} against float32, rank correlation, shipped model", "≥ 0.999", told, good == len(ranks))
    if "overhead" in found:
        share = found["overhead"]["share beyond the passes"]
        row("our code beyond the model's own passes, 1,000 rows, shipped model", "≤ 5 %", f"{share:.1%}", share <= 0.05)
    lines += ["", "No GPU could be had for these figures; `benchmarks/gpu.py` is ready and has not been run on one."]
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = [each for each in sys.argv[1:] if each != "--quick"]
    if arguments[:1] == ["--peak"]:
        print(peak(arguments[1], int(arguments[2]), int(arguments[3])))
        return
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / "cpu.json"
    found = json.loads(file.read_text()) if file.exists() and not QUICK else {}
    machine = {
        "processor": provenance.processor(),
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "versions": provenance.versions(),
    }
    for name in arguments or SECTIONS:
        print(name, flush=True)
        found[name] = SECTIONS[name]()
        found.setdefault("machines", {})[name] = machine
        if not QUICK:
            file.write_text(json.dumps(found, indent=1) + "\n")
    page = table(found)
    if not QUICK:
        (RESULTS / "cpu.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
