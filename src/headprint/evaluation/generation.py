"""Greedy answers to prompts, in batches, by transformers' own generation.

Prompts are padded on the left, so that each ends where its answer begins; the attention mask, and the position ids
that transformers derives from it, keep an answer independent of the rest of its batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from headprint import models
from headprint.base.errors import InputError
from headprint.data import chat
from headprint.data.tokenization import template_options
from headprint.evaluation.parsing import prompt_of
from headprint.measure.batching import Budget, OutOfMemory, in_batches
from headprint.models.heads import unwrap

if TYPE_CHECKING:
    from headprint.base.progress import Advance
    from headprint.data import Row
    from headprint.data.chat import Tokenizer

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
    budget = Budget(device, batch_tokens or (_CPU_TOKENS if device.type == "cpu" else _GPU_TOKENS))
    ends = _end_tokens(causal, tokenizer)
    context = models.limits(model)["context"]
    rooms = [max_new_tokens if context is None else min(max_new_tokens, context - len(prompt)) for prompt in prompts]
    outputs: dict[int, Output] = {}
    # Rows near the end of the context share batches only with rows of the same room: no answer depends on the others.
    for room in sorted(set(rooms)):
        rows = [row for row, own in enumerate(rooms) if own == room]

        def answer(chosen: list[int], rows: list[int] = rows) -> list[list[int]]:
            return _answer(causal, [prompts[rows[i]] for i in chosen], device)

        try:
            with _plain_greedy(causal, room, ends, tokenizer.pad_token_id):
                for chosen, found in in_batches([len(prompts[row]) + room for row in rows], answer, budget):
                    answers = [list(takewhile(lambda token: token not in ends, tokens)) for tokens in found]
                    for i, tokens, own in zip(chosen, found, answers, strict=True):
                        text = tokenizer.decode(own, skip_special_tokens=True)
                        outputs[rows[i]] = Output(text, cut=len(own) == len(tokens))
                    if advance:
                        advance(len(chosen), sum(map(len, answers)))
        except OutOfMemory as error:
            raise InputError(
                f"out of memory on a prompt of {error.length - room} tokens: use a lower precision, or drop it"
            ) from error
    return [outputs[row] for row in range(len(prompts))]


def _answer(causal: Any, prompts: list[list[int]], device: torch.device) -> list[list[int]]:
    """Return what is generated after each prompt, past its end as well."""
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    found = causal.generate(
        input_ids=ids.to(device), attention_mask=mask.to(device), logits_processor=[_refuse_not_finite]
    )
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
