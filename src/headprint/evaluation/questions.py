"""Questions to a model: rows prepared once, answered and scored as often as needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from typing import TYPE_CHECKING, Any

from torch import nn

from headprint import models
from headprint.base.errors import InputError
from headprint.data import Example, Row, check_limits, tokenize_row
from headprint.evaluation.generation import check_prompts, generate, prompt_tokens
from headprint.evaluation.parsing import choices_of
from headprint.evaluation.scorers import ChoiceScorer, Scorer, at_place, check_rows, get_scorer
from headprint.measure.likelihood import HeldOut

if TYPE_CHECKING:
    from headprint.base.progress import Advance
    from headprint.data.chat import Tokenizer


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        output: The generated text, or the choice taken; None if nothing was asked.
        right: Whether it is right; None likewise.
        cut: Whether the text was cut off before the model ended it; None if nothing was generated.
    """

    output: str | None = None
    right: bool | None = None
    cut: bool | None = None


def prepare_questions(
    model: nn.Module,
    tokenizer: Tokenizer,
    rows: Sequence[Row],
    scorer: str | Scorer | None,
    *,
    max_new_tokens: int,
    batch_tokens: int | None = None,
) -> GeneratedAnswers | ChoiceAnswers | None:
    """Tokenize the questions of rows; call ``collect()`` for the answers, in the order of the rows.

    Returns:
        None if the scorer is None or ``"none"``.

    Raises:
        InputError: There is no such scorer, or a row has no question, no right answer, or more tokens than the model
            can read.
    """
    found = get_scorer(scorer)
    if found is None:
        return None
    check_rows(found, rows)
    if isinstance(found, ChoiceScorer):
        return ChoiceAnswers(model, tokenizer, rows, found, batch_tokens=batch_tokens)
    return GeneratedAnswers(model, tokenizer, rows, found, max_new_tokens=max_new_tokens, batch_tokens=batch_tokens)


class GeneratedAnswers:
    """Questions answered by greedy generation.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer.
        rows: Rows with a prompt.
        scorer: Whether an output is right.
        max_new_tokens: Tokens of an answer at most.
        batch_tokens: Tokens per batch at most; None chooses.

    Raises:
        InputError: A row has no prompt, or one that is longer than the model's context.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Tokenizer,
        rows: Sequence[Row],
        scorer: Scorer,
        *,
        max_new_tokens: int,
        batch_tokens: int | None = None,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._rows = rows
        self._scorer = scorer
        self._max_new_tokens = max_new_tokens
        self._batch_tokens = batch_tokens
        self._prompts = [prompt_tokens(row, tokenizer) for row in rows]
        check_prompts(model, rows, self._prompts)

    def collect(self, advance: Advance | None = None) -> list[Answer]:
        """Return one answer for every row."""
        outputs = generate(
            self._model,
            self._tokenizer,
            self._prompts,
            max_new_tokens=self._max_new_tokens,
            batch_tokens=self._batch_tokens,
            advance=advance,
        )

        def is_right(row: Row, output: str) -> bool:
            return bool(at_place(row, lambda data: self._scorer(data, output)))

        texts = [output.text for output in outputs]
        if getattr(self._scorer, "in_threads", False):
            with ThreadPoolExecutor(cpu_count()) as threads:
                right = list(threads.map(is_right, self._rows, texts))
        else:
            right = list(map(is_right, self._rows, texts))
        return [Answer(output.text, each, output.cut) for output, each in zip(outputs, right, strict=True)]


class ChoiceAnswers:
    """Questions answered by one of the row's choices, by their likelihood as completions of the prompt.

    As in lm-evaluation-harness, a choice is separated from the prompt by a space unless one of them has white space
    there, and no end-of-text token follows it.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer.
        rows: Rows with a prompt and choices.
        scorer: Which choice the model takes, and whether it is right.
        batch_tokens: Tokens per batch at most; None chooses.

    Raises:
        InputError: A row has no prompt or choices, or is longer than the model's context.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Tokenizer,
        rows: Sequence[Row],
        scorer: ChoiceScorer,
        *,
        batch_tokens: int | None = None,
    ) -> None:
        self._rows = rows
        self._scorer = scorer
        self._texts = [at_place(row, lambda data: choices_of(data)[0]) for row in rows]
        limits = models.limits(model)
        examples = []
        for row, texts in zip(rows, self._texts, strict=True):
            for text in texts:
                examples.append(_completed(row, text, tokenizer))
                check_limits(examples[-1], row.place, **limits)
        self._heldout = HeldOut(model, examples, batch_tokens=batch_tokens)

    def collect(self, advance: Advance | None = None) -> list[Answer]:
        """Return one answer for every row."""
        sums, _ = self._heldout.sums()
        log_likelihoods = iter((-sums).tolist())
        answers = []
        for row, texts in zip(self._rows, self._texts, strict=True):
            chosen = self._scorer.choose(texts, [next(log_likelihoods) for _ in texts])
            answers.append(Answer(chosen, self._scorer(row.data, chosen)))
        if advance:
            advance(len(answers))
        return answers


def _completed(row: Row, text: str, tokenizer: Tokenizer) -> Example:
    """Tokenize a row with one of its choices as the completion."""
    prompt = row.data.get("prompt")
    if isinstance(prompt, list):
        data: Mapping[str, Any] = {**row.data, "completion": [{"role": "assistant", "content": text}]}
        return tokenize_row(Row(row.place, dict(data)), tokenizer)
    if not isinstance(prompt, str):
        raise InputError(f"{row.place}: no 'prompt' for the choices to complete")
    space = "" if prompt[-1:].isspace() or text[:1].isspace() else " "
    example = tokenize_row(Row(row.place, {"prompt": prompt, "completion": f"{space}{text}"}), tokenizer)
    if example.input_ids[-1] == tokenizer.eos_token_id:
        example = Example(example.id, example.input_ids[:-1], example.labels[:-1])
    if not example.supervised:
        raise InputError(f"{row.place}: the choice {text!r} adds no token to the prompt")
    return example
