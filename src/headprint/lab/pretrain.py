"""Pretrain the laboratory's model from nothing: ``python -m headprint.lab.pretrain --out DIR``.

Generated text (``headprint.lab.corpus``), a byte-level tokenizer trained on it, a small Llama with grouped-query
attention, AdamW under a schedule of warm-up, constant rate, linear decay. One CPU core takes about an hour.
"""

import argparse
import io
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from headprint.base.errors import InputError
from headprint.base.files import read_json, to_json, write_atomically, write_json
from headprint.base.progress import progress
from headprint.base.run_directory import RunDirectory, RunKind
from headprint.lab.corpus import documents
from headprint.lab.tokenizer import train_tokenizer

TOKENIZER_DOCUMENTS = 20_000
STATE, RECORD = "state.pt", "pretraining.json"

Text: TypeAlias = Callable[[int], Iterator[str]]


@dataclass(frozen=True)
class Settings:
    """What a run depends on; two runs with equal settings see the same text in the same order."""

    steps: int = 1700
    """Optimiser steps."""
    tokens_per_step: int = 4096
    """Tokens in one step's batch."""
    short: int = 128
    """Row length of most steps: most documents fit, and attention is cheap."""
    context: int = 512
    """Row length of the last steps, and the model's longest input."""
    long_share: float = 0.06
    """Share of the steps, at the end, that see rows of the whole context."""
    rate: float = 2.5e-3
    """Peak learning rate."""
    warmup: float = 0.05
    """Share of the steps in which the rate rises."""
    decay: float = 0.4
    """Share of the steps, at the end, in which the rate falls linearly to nothing."""
    weight_decay: float = 0.05
    """AdamW's, on matrices only."""
    seed: int = 0
    """Of the text and of the initial weights."""
    vocab_size: int = 1536
    """Tokens in the vocabulary."""
    hidden: int = 256
    """Width."""
    layers: int = 6
    """Depth."""
    heads: int = 8
    """Query heads per layer."""
    kv_heads: int = 4
    """Key-value heads per layer."""
    inner: int = 688
    """Width of the feed-forward layers."""
    spread: float = 0.06
    """Standard deviation of the initial weights: about 1/√width, as Llama's 0.02 is for a width of 4096."""
    bf16: bool = True
    """bfloat16 matrix products under autocast; weights and optimiser stay in float32."""


def read_settings(path: Path) -> dict[str, Any]:
    """The settings in a ``pretraining.json``.

    Raises:
        InputError: It is not the record of a pretraining.
    """
    record = read_json(path)
    settings = record.get("settings") if isinstance(record, dict) else None
    if not isinstance(settings, dict):
        raise InputError(f"{path} is not the record of a pretraining: choose another directory (--out)")
    return settings


PRETRAINING = RunKind(name="pretraining", record=RECORD, read=read_settings, progress=(STATE,), leftovers=("model",))
"""What the directory of a pretraining looks like to :class:`headprint.base.run_directory.RunDirectory`."""


def build_model(settings: Settings, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama of the given size with random weights."""
    torch.manual_seed(settings.seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=settings.vocab_size,
            hidden_size=settings.hidden,
            intermediate_size=settings.inner,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            num_key_value_heads=settings.kv_heads,
            max_position_embeddings=settings.context,
            tie_word_embeddings=True,
            initializer_range=settings.spread,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def batches(
    settings: Settings, tokenizer: PreTrainedTokenizerFast, *, start: int = 0, text_of: Text = documents
) -> Iterator[torch.Tensor]:
    """Packed rows of ``bos document eos bos document eos …``, one (rows, length) int64 tensor per step.

    Args:
        settings: seed, row lengths, tokens per step.
        tokenizer: Turns documents into tokens.
        start: Steps to skip, for a resumed run (their text is generated, not learned from).
        text_of: Endless documents of a seed.
    """
    text = text_of(settings.seed)
    buffer: list[int] = []
    for step in itertools.count():
        length = row_length(step, settings)
        count = settings.tokens_per_step // length * length
        while len(buffer) < count:
            encoded = tokenizer(list(itertools.islice(text, 64)))["input_ids"]
            buffer += [token for ids in encoded for token in (*ids, tokenizer.eos_token_id)]
        rows, buffer = buffer[:count], buffer[count:]
        if step >= start:
            yield torch.tensor(rows).view(-1, length)


def row_length(step: int, settings: Settings) -> int:
    """Tokens per row at a step."""
    is_long = step >= (1 - settings.long_share) * settings.steps
    return settings.context if is_long else settings.short


def rate_at(step: int, settings: Settings) -> float:
    """Warm-up, constant, linear decay (WSD), as a multiple of the peak rate."""
    rise = (step + 1) / max(1.0, settings.warmup * settings.steps)
    fall = (settings.steps - step) / max(1.0, settings.decay * settings.steps)
    return min(1.0, rise, fall)


def make_optimizer(model: LlamaForCausalLM, settings: Settings) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices, none on norms."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    norms = [p for p in model.parameters() if p.ndim < 2]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": norms, "weight_decay": 0.0},
        ],
        lr=settings.rate,
        betas=(0.9, 0.98),
        fused=True,
    )


def loss_on(model: LlamaForCausalLM, rows: torch.Tensor, *, bf16: bool) -> torch.Tensor:
    """Mean next-token loss, in nats."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = model(input_ids=rows, use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), rows[:, 1:].flatten())


@torch.no_grad()
def held_out_loss(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    settings: Settings,
    *,
    count: int = 16,
    text_of: Text = documents,
) -> float:
    """Mean loss, in nats, on ``count`` batches of text that no training run with these settings sees."""
    other = Settings(**{**asdict(settings), "seed": settings.seed + 1_000_003})
    unseen = itertools.islice(batches(other, tokenizer, text_of=text_of), count)
    losses = [loss_on(model, rows, bf16=False).item() for rows in unseen]
    return sum(losses) / len(losses)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write model and tokenizer in the Hugging Face layout, the weights rounded to float16 to halve the file."""
    from transformers import GenerationConfig

    rounded = LlamaForCausalLM(model.config).to(torch.float16)
    rounded.load_state_dict(model.state_dict())
    rounded.save_pretrained(out)
    # Loading follows the config's dtype: the shipped file is float16, the model in use is float32.
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps({**config, "dtype": "float32"}, indent=2) + "\n")
    GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        max_new_tokens=96,
    ).save_pretrained(out)
    tokenizer.save_pretrained(out)


def pretrain(
    settings: Settings,
    out: Path,
    *,
    minutes: float | None = None,
    save_every: float = 300.0,
    compile_model: bool = False,
    text_of: Text = documents,
) -> dict[str, Any]:
    """Run or resume a pretraining.

    Args:
        settings: Everything that determines the result.
        out: new, empty, or of a run with these settings; receives ``model/`` (Hugging Face layout), ``state.pt`` for
            resuming, and ``pretraining.json``.
        minutes: Stop after so long, keeping the state; the next call with the same settings goes on from there.
        save_every: Seconds between checkpoints.
        compile_model: Use torch.compile.
        text_of: Endless documents of a seed; the laboratory's own, unless another model is wanted.

    Returns:
        What ``pretraining.json`` holds: settings, steps done, tokens, losses, throughput.

    Raises:
        InputError: ``out`` holds a run with other settings or somebody else's files, or another process writes there.
    """
    chosen = asdict(settings)
    run = RunDirectory(out, PRETRAINING)
    with run.begin(to_json({"settings": chosen}).encode(), chosen):
        record = _pretrain(
            settings,
            out,
            resumed=run.resumed,
            minutes=minutes,
            save_every=save_every,
            compile_model=compile_model,
            text_of=text_of,
        )
        run.finish()
    return record


def _pretrain(
    settings: Settings,
    out: Path,
    *,
    resumed: bool,
    minutes: float | None,
    save_every: float,
    compile_model: bool,
    text_of: Text,
) -> dict[str, Any]:
    state_path, model_path = out / STATE, out / "model"
    started = time.monotonic()
    if resumed:
        state: dict[str, Any] = torch.load(state_path, weights_only=True)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(model_path)
        model = build_model(settings, tokenizer)
        model.load_state_dict(state["model"])
    else:
        state = {"step": 0, "seconds": 0.0, "losses": []}
        sample = itertools.islice(text_of(settings.seed), TOKENIZER_DOCUMENTS)
        tokenizer = train_tokenizer(sample, vocab_size=settings.vocab_size, context=settings.context)
        model = build_model(settings, tokenizer)
    optimizer = make_optimizer(model, settings)
    if "optimizer" in state:
        optimizer.load_state_dict(state["optimizer"])
    losses: list[tuple[int, float]] = [tuple(pair) for pair in state["losses"]]

    def checkpoint(step: int) -> dict[str, Any]:
        seconds = state["seconds"] + time.monotonic() - started
        save(model, tokenizer, model_path)
        weights = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        buffer = io.BytesIO()
        torch.save({"step": step, "seconds": seconds, "losses": losses, **weights}, buffer)
        write_atomically(state_path, buffer.getbuffer())
        record = {
            "settings": asdict(settings),
            "parameters": model.num_parameters(),
            "step": step,
            "tokens": step * settings.tokens_per_step,
            "seconds": round(seconds),
            "tokens_per_second": round(step * settings.tokens_per_step / seconds),
            "held_out_loss": round(held_out_loss(model, tokenizer, settings, text_of=text_of), 4),
            "losses": losses,
            "torch": torch.__version__,
        }
        write_json(out / RECORD, record)
        return record

    runner = torch.compile(model) if compile_model else model
    saved, smooth = time.monotonic(), math.nan
    step = state["step"]
    with progress("pretrain", settings.steps, enabled=True, unit="steps") as advance:
        advance(step)
        for rows in itertools.islice(batches(settings, tokenizer, start=step, text_of=text_of), settings.steps - step):
            # Measured on one core: eager is the faster kernel for rows of 128 tokens, SDPA for rows of 512.
            model.set_attn_implementation("eager" if rows.shape[1] == settings.short else "sdpa")
            for group in optimizer.param_groups:
                group["lr"] = settings.rate * rate_at(step, settings)
            loss = loss_on(runner, rows, bf16=settings.bf16)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            smooth = loss.item() if math.isnan(smooth) else 0.98 * smooth + 0.02 * loss.item()
            advance(1, settings.tokens_per_step, under_way=f"loss {smooth:.3f}")
            if step % 50 == 0:
                losses.append((step, round(smooth, 4)))
            if time.monotonic() - saved > save_every:
                checkpoint(step)
                saved = time.monotonic()
            if minutes is not None and time.monotonic() - started > 60 * minutes:
                break
    return checkpoint(step)


def main() -> None:
    """The command line: settings are flags, ``--minutes`` stops early and a second call resumes."""
    defaults = Settings()
    parser = argparse.ArgumentParser(prog="python -m headprint.lab.pretrain", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--tokens-per-step", type=int, default=defaults.tokens_per_step)
    parser.add_argument("--rate", type=float, default=defaults.rate)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--hidden", type=int, default=defaults.hidden)
    parser.add_argument("--inner", type=int, default=defaults.inner)
    parser.add_argument("--layers", type=int, default=defaults.layers)
    parser.add_argument("--spread", type=float, default=defaults.spread)
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=defaults.bf16)
    parser.add_argument("--compile", action="store_true", help="use torch.compile (needs a C compiler)")
    parser.add_argument("--minutes", type=float, help="stop after so long and keep the state")
    given = vars(parser.parse_args())
    out, minutes, compiled = given.pop("out"), given.pop("minutes"), given.pop("compile")
    record = pretrain(Settings(**given), out, minutes=minutes, compile_model=compiled)
    print({key: value for key, value in record.items() if key != "losses"})


if __name__ == "__main__":
    main()
