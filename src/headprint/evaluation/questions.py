"""Questions put to a model: rows made ready once, answered and judged as often as wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from os import cpu_count
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from torch import nn

from headprint.base.errors import InputError
from headprint.data.rows import Row
from headprint.data.tokenization import Example, tokenize_row
from headprint.evaluation.generation import generate, prompt_tokens
from headprint.evaluation.likelihood import HeldOut
from headprint.evaluation.scorers import JUDGES, Judge, check_row, read_choices, right_choice

if TYPE_CHECKING:
    from headprint.base.progress import Advance
    from headprint.data.chat import Tokenizer

CHOICE = ("choice", "choice-normalised")
"""Multiple choice by likelihood: nothing is generated."""

SCORERS = (*JUDGES, *CHOICE, "none")
"""The names that :func:`headprint.evaluation.evaluation.evaluate` takes; "none" is for the loss alone."""

Scorer: TypeAlias = str | Callable[[Mapping[str, Any], str], bool]


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        output: What was generated, or the choice taken; None if nothing was asked.
        right: Whether it is right; None likewise.
    """

    output: str | None
    right: bool | None


def check_scorer(scorer: Scorer) -> None:
    """Refuse a name that is no scorer's.

    Raises:
        InputError: With the nearest name.
    """
    if callable(scorer) or scorer in SCORERS:
        return
    near = get_close_matches(scorer, SCORERS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(SCORERS)}"
    raise InputError(f"there is no scorer {scorer!r}: {hint}")


def exam(
    model: nn.Module,
    tokenizer: Tokenizer,
    rows: Sequence[Row],
    scorer: Scorer,
    *,
    max_new_tokens: int,
    batch_tokens: int | None = None,
) -> Written | Choice:
    """Rows made ready to be answered; call ``take()`` for the answers, in the order of the rows.

    Raises:
        InputError: There is no such scorer, or a row has no question or no right answer.
    """
    check_scorer(scorer)
    if scorer in CHOICE:
        return Choice(model, tokenizer, rows, normalised=scorer != "choice", batch_tokens=batch_tokens)
    judge = scorer if callable(scorer) else JUDGES[scorer]
    prompts = []
    for row in rows:
        prompts.append(prompt_tokens(row, tokenizer))
        if isinstance(scorer, str):
            with_place(row, partial(check_row, scorer))
    return Written(model, tokenizer, rows, judge, prompts, max_new_tokens, batch_tokens, in_threads=scorer == "python")


def with_place(row: Row, function: Callable[[Mapping[str, Any]], Any]) -> Any:
    """What a function makes of a row, its complaints headed by the row's place."""
    try:
        return function(row.data)
    except InputError as error:
        raise InputError(f"{row.place}: {error}") from error


@dataclass
class Written:
    """Questions answered by greedy generation."""

    model: nn.Module
    tokenizer: Tokenizer
    rows: Sequence[Row]
    judge: Judge
    prompts: list[list[int]]
    max_new_tokens: int
    batch_tokens: int | None
    in_threads: bool = field(kw_only=True)

    def take(self, advance: Advance | None = None) -> list[Answer]:
        """One answer for every row."""
        outputs = generate(
            self.model,
            self.tokenizer,
            self.prompts,
            max_new_tokens=self.max_new_tokens,
            batch_tokens=self.batch_tokens,
            advance=advance,
        )

        def judged(row: Row, output: str) -> bool:
            return bool(with_place(row, lambda data: self.judge(data, output)))

        if self.in_threads:  # which wait for other processes
            with ThreadPoolExecutor(cpu_count()) as threads:
                right = list(threads.map(judged, self.rows, outputs))
        else:
            right = list(map(judged, self.rows, outputs))
        return [Answer(output, each) for output, each in zip(outputs, right, strict=True)]


class Choice:
    """Questions answered by the likeliest of their choices, each as a completion of the prompt.

    As in lm-evaluation-harness: the log-likelihood of the choice's tokens, a space put before it where neither it nor
    the prompt has one, without an end-of-text token (``acc`` there); or normalised, divided by its length in letters
    (``acc_norm``), so that a long choice is not unlikely for its length.

    Args:
        normalised: Divide by the length.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Tokenizer,
        rows: Sequence[Row],
        *,
        normalised: bool,
        batch_tokens: int | None = None,
    ) -> None:
        self._texts = [with_place(row, _choice_texts) for row in rows]
        self._right = [with_place(row, right_choice) for row in rows]
        self._normalised = normalised
        examples = [
            _completed(row, text, tokenizer) for row, texts in zip(rows, self._texts, strict=True) for text in texts
        ]
        self._heldout = HeldOut(model, examples, batch_tokens=batch_tokens)

    def take(self, advance: Advance | None = None) -> list[Answer]:
        """One answer for every row."""
        nll, _ = self._heldout.sums()
        answers, start = [], 0
        for texts, right in zip(self._texts, self._right, strict=True):
            scores = -nll[start : start + len(texts)]
            if self._normalised:
                scores = scores / [max(1, len(text)) for text in texts]
            best = int(np.argmax(scores))
            answers.append(Answer(texts[best], best == right))
            start += len(texts)
        if advance:
            advance(len(answers))
        return answers


def _choice_texts(row: Mapping[str, Any]) -> list[str]:
    if not (listed := row.get("choices") or row.get("options")):
        raise InputError("no 'choices'; give the row a list of texts to choose from")
    return read_choices(listed)[0]


def _completed(row: Row, text: str, tokenizer: Tokenizer) -> Example:
    """A row with one of its choices as the completion."""
    prompt = row.data.get("prompt")
    if isinstance(prompt, list):
        data = {**row.data, "completion": [{"role": "assistant", "content": text}]}
        return tokenize_row(Row(row.place, data), tokenizer)
    if not isinstance(prompt, str):
        raise InputError(f"{row.place}: no 'prompt' for the choices to complete")
    space = "" if prompt[-1:].isspace() or text[:1].isspace() else " "
    example = tokenize_row(Row(row.place, {"prompt": prompt, "completion": f"{space}{text}"}), tokenizer)
    if example.input_ids[-1] == tokenizer.eos_token_id:
        example = Example(example.id, example.input_ids[:-1], example.labels[:-1])
    if not example.supervised:
        raise InputError(f"{row.place}: the choice {text!r} adds no token to the prompt")
    return example
