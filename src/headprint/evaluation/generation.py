"""Greedy answers to prompts, in batches, by transformers' own generation.

Prompts are padded on the left, so that every one of them ends where its answer begins; the attention mask, and the
position ids that transformers derives from it, keep an answer from depending on what it was batched with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from headprint import models
from headprint.base.errors import InputError
from headprint.data import chat
from headprint.data.tokenization import template_options
from headprint.measure.batching import is_out_of_memory, take
from headprint.models.heads import unwrap

if TYPE_CHECKING:
    from headprint.base.progress import Advance
    from headprint.data.chat import Tokenizer
    from headprint.data.rows import Row

_CPU_TOKENS = 2**13
_GPU_TOKENS = 2**16
"""Tokens of a batch with the answers' room. A step of decoding costs nearly the same for one row as for many."""


def prompt_tokens(row: Row, tokenizer: Tokenizer) -> list[int]:
    """What the model is asked: the tokens before a row's answer, as in training.

    The answer is the ``completion``, or of ``messages`` the last one, if it is the assistant's. An end-of-text token
    that the tokenizer puts behind all text is left out.

    Raises:
        InputError: The row has no prompt.
    """
    data = {name: value for name, value in row.data.items() if value is not None}
    prompt = data.get("prompt")
    if prompt is None and (messages := data.get("messages")):
        prompt = messages[:-1] if messages[-1].get("role") == "assistant" else messages
    if isinstance(prompt, list) and prompt:
        return chat.encode(prompt, tokenizer, add_generation_prompt=True, **template_options(data))
    if not isinstance(prompt, str):
        found = ", ".join(map(str, data)) or "nothing"
        raise InputError(f"{row.place}: nothing to answer (found: {found}); give each row a prompt, or messages")
    ids: list[int] = tokenizer(text=prompt, verbose=False)["input_ids"]
    end = tokenizer.eos_token_id
    return ids[:-1] if len(ids) > 1 and ids[-1] == end and not prompt.endswith(tokenizer.eos_token) else ids


def generate(
    model: nn.Module,
    tokenizer: Tokenizer,
    prompts: Sequence[list[int]],
    *,
    max_new_tokens: int,
    batch_tokens: int | None = None,
    advance: Advance | None = None,
) -> list[str]:
    """The most likely next tokens of every prompt, one by one, to the first end-of-text token.

    Args:
        model: A causal language model in evaluation mode. Its own generation settings (sampling, penalties) are set
            aside for the call, but for its end-of-text tokens.
        tokenizer: Its tokenizer.
        prompts: N lists of token ids, none empty.
        max_new_tokens: Where an answer is cut.
        batch_tokens: Tokens per batch at most, padding and room for the answers counted; None chooses. Halved where
            memory runs out.
        advance: Told of each finished batch.

    Returns:
        N texts without special tokens.

    Raises:
        InputError: One prompt alone does not fit in memory.
    """
    causal, device = unwrap(model), models.input_device(model)
    budget = batch_tokens or (_CPU_TOKENS if device.type == "cpu" else _GPU_TOKENS)
    ends = _end_tokens(causal, tokenizer)
    answers: list[list[int]] = [[] for _ in prompts]
    left = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))  # longest first: what does not fit shows at once
    with _plain_greedy(causal, max_new_tokens, ends, tokenizer.pad_token_id):
        while left:
            width = len(prompts[left[0]])
            now = left[: take(width + max_new_tokens, len(left), budget)]
            found = _answer(causal, [prompts[i] for i in now], device)
            if found is None:
                if len(now) == 1:
                    raise InputError(f"out of memory on a prompt of {width} tokens: use a lower precision, or drop it")
                budget = min(budget, len(now) * (width + max_new_tokens)) // 2
                continue
            for i, tokens in zip(now, found, strict=True):
                answers[i] = tokens[: next((at for at, token in enumerate(tokens) if token in ends), None)]
            left = left[len(now) :]
            if advance:
                advance(len(now), sum(len(answers[i]) for i in now))
    return [tokenizer.decode(tokens, skip_special_tokens=True) for tokens in answers]


def _answer(causal: Any, prompts: list[list[int]], device: torch.device) -> list[list[int]] | None:
    """What is generated after each prompt, past the end too; None if memory ran out."""
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    try:
        found = causal.generate(
            input_ids=ids.to(device), attention_mask=mask.to(device), logits_processor=[_refuse_not_finite]
        )
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None
    return found[:, width:].tolist()  # type: ignore[no-any-return]


def _refuse_not_finite(input_ids: Tensor, scores: Tensor) -> Tensor:
    """Scores as they are; the likeliest of what is no number would be token 0, in silence."""
    if scores.isnan().any():
        raise InputError(
            "the model's scores are not finite: check its weights, or use another dtype (float16 overflows; float64 "
            "under eager attention cannot be padded)"
        )
    return scores


def _end_tokens(causal: Any, tokenizer: Tokenizer) -> set[int]:
    """Token ids that end an answer: the tokenizer's, and the model's own (chat models end turns by others)."""
    own = getattr(getattr(causal, "generation_config", None), "eos_token_id", None)
    listed = own if isinstance(own, list) else [own]
    return {end for end in (*listed, tokenizer.eos_token_id) if end is not None}


@contextmanager
def _plain_greedy(causal: Any, max_new_tokens: int, ends: set[int], pad: int | None) -> Iterator[None]:
    """Lend the model settings of plain greedy generation.

    Given to ``generate`` instead, they would be completed by the model's own: its penalties, its sampling.
    """
    from transformers import GenerationConfig

    own = causal.generation_config
    causal.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=sorted(ends) or None,
        pad_token_id=pad if pad is not None else min(ends, default=0),
    )
    try:
        yield
    finally:
        causal.generation_config = own
