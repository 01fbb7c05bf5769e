"""Greedy answers to prompts, in batches, by transformers' own generation.

Prompts are padded on the left, so that each ends where its answer begins; the attention mask, and the position ids
that transformers derives from it, keep an answer independent of the rest of its batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from headprint import models
from headprint.base.errors import InputError
from headprint.data import chat
from headprint.data.tokenization import template_options
from headprint.evaluation.parsing import prompt_of
from headprint.measure.batching import is_out_of_memory, take
from headprint.models.heads import unwrap

if TYPE_CHECKING:
    from headprint.base.progress import Advance
    from headprint.data.chat import Tokenizer
    from headprint.data.rows import Row

_CPU_TOKENS = 2**13
_GPU_TOKENS = 2**16
"""Tokens of a batch, room for the answers included. A decoding step costs nearly the same for one row as for many."""


class Output(NamedTuple):
    """What a model generated.

    Attributes:
        text: Without special tokens.
        cut: Whether it was cut off before the model ended it.
    """

    text: str
    cut: bool


def prompt_tokens(row: Row, tokenizer: Tokenizer) -> list[int]:
    """Return the tokens before a row's answer, as in training.

    The answer is the ``completion``, or of ``messages`` the last one, if it is the assistant's. An end-of-text token
    that the tokenizer appends to all text is left out.

    Raises:
        InputError: The row has no prompt.
    """
    data = {name: value for name, value in row.data.items() if value is not None}
    try:
        prompt = prompt_of(data)
    except InputError as error:
        raise InputError(f"{row.place}: {error}") from error
    if isinstance(prompt, list):
        return chat.encode(prompt, tokenizer, add_generation_prompt=True, **template_options(data))
    ids: list[int] = tokenizer(text=prompt, verbose=False)["input_ids"]
    end = tokenizer.eos_token_id
    return ids[:-1] if len(ids) > 1 and ids[-1] == end and not prompt.endswith(tokenizer.eos_token) else ids


def check_prompts(model: nn.Module, rows: Sequence[Row], prompts: Sequence[list[int]]) -> None:
    """Refuse prompts that leave no room for an answer in the model's context.

    Raises:
        InputError: With the first row's place.
    """
    context = models.limits(model)["context"]
    for row, prompt in zip(rows, prompts, strict=True):
        if context is not None and len(prompt) >= context:
            raise InputError(
                f"{row.place}: a prompt of {len(prompt):,} tokens, and the model's context is {context:,}: shorten or "
                "drop the row"
            )


def generate(
    model: nn.Module,
    tokenizer: Tokenizer,
    prompts: Sequence[list[int]],
    *,
    max_new_tokens: int,
    batch_tokens: int | None = None,
    advance: Advance | None = None,
) -> list[Output]:
    """Generate greedily from every prompt, up to the first end-of-text token.

    Args:
        model: A causal language model in evaluation mode. Its own generation settings (sampling, penalties) are set
            aside for the call, except its end-of-text tokens.
        tokenizer: Its tokenizer.
        prompts: N lists of token ids, none empty, each shorter than the model's context.
        max_new_tokens: Tokens of an answer at most. The model's context may leave room for fewer.
        batch_tokens: Tokens per batch at most, padding and room for the answers included; None chooses. Halved when
            memory runs out.
        advance: Called after each batch.

    Returns:
        N texts.

    Raises:
        InputError: One prompt alone does not fit in memory.
    """
    causal, device = unwrap(model), models.input_device(model)
    budget = batch_tokens or (_CPU_TOKENS if device.type == "cpu" else _GPU_TOKENS)
    ends = _end_tokens(causal, tokenizer)
    context = models.limits(model)["context"]
    answers: list[list[int]] = [[] for _ in prompts]
    cut = [False] * len(prompts)
    left = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))  # longest first: what does not fit shows at once

    def room(i: int) -> int:
        return max_new_tokens if context is None else min(max_new_tokens, context - len(prompts[i]))

    while left:
        width, new = len(prompts[left[0]]), room(left[0])
        now = left[: take(width + new, len(left), budget)]
        # Rows near the end of the context share a batch only with their equals: no answer depends on the others.
        now = [i for i in now if room(i) == new]
        with _plain_greedy(causal, new, ends, tokenizer.pad_token_id):
            found = _answer(causal, [prompts[i] for i in now], device)
        if found is None:
            if len(now) == 1:
                raise InputError(f"out of memory on a prompt of {width} tokens: use a lower precision, or drop it")
            budget = min(budget, len(now) * (width + new)) // 2
            continue
        for i, tokens in zip(now, found, strict=True):
            end = next((at for at, token in enumerate(tokens) if token in ends), None)
            answers[i], cut[i] = tokens[:end], end is None
        left = left[len(now) :]
        if advance:
            advance(len(now), sum(len(answers[i]) for i in now))
    texts = [tokenizer.decode(tokens, skip_special_tokens=True) for tokens in answers]
    return [Output(text, each) for text, each in zip(texts, cut, strict=True)]


def _answer(causal: Any, prompts: list[list[int]], device: torch.device) -> list[list[int]] | None:
    """Return what is generated after each prompt, past its end as well; None if memory ran out."""
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
    """Return the scores unchanged; the argmax of NaN would silently be token 0."""
    if scores.isnan().any():
        raise InputError(
            "the model's scores are not finite: check its weights, or use another dtype (float16 overflows; float64 "
            "under eager attention cannot be padded)"
        )
    return scores


def _end_tokens(causal: Any, tokenizer: Tokenizer) -> set[int]:
    """Return the tokens that end an answer: the tokenizer's, and the model's own (chat models have more)."""
    own = getattr(getattr(causal, "generation_config", None), "eos_token_id", None)
    listed = own if isinstance(own, list) else [own]
    return {end for end in (*listed, tokenizer.eos_token_id) if end is not None}


@contextmanager
def _plain_greedy(causal: Any, max_new_tokens: int, ends: set[int], pad: int | None) -> Iterator[None]:
    """Replace the model's generation settings by plain greedy decoding.

    Settings passed to ``generate`` would be completed with the model's own penalties and sampling.
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
