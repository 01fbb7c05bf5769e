"""Questions to a model: rows prepared once, answered and scored as often as needed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from torch import nn

from headprint import models
from headprint.base.errors import InputError
from headprint.base.options import AnswerOptions, LoadingOptions
from headprint.data import Example, Row, Source, check_limits, read_rows, tokenize_row
from headprint.evaluation.generation import check_prompts, generate, prompt_tokens
from headprint.evaluation.parsing import choices_of
from headprint.evaluation.scorers import ChoiceScorer, Scorer, at_place, check_rows, get_scorer
from headprint.measure.likelihood import HeldOut, examples_of

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


@dataclass(frozen=True)
class Prepared:
    """Rows and a model, loaded and checked.

    Attributes:
        model: A causal language model.
        tokenizer: Its tokenizer; None for pre-tokenised rows.
        rows: N rows.
        questions: Tokenized; ``collect()`` gives the answers in the order of the rows. None without a scorer.
        options: Which rows these are, and how they are answered.
    """

    model: nn.Module
    tokenizer: Tokenizer | None
    rows: list[Row]
    questions: GeneratedAnswers | ChoiceAnswers | None
    options: AnswerOptions

    def heldout(self) -> HeldOut:
        """Return the rows tokenized as training does, for their losses.

        Raises:
            InputError: A row has no token with a loss, or is more than the model can read.
        """
        limits = models.limits(self.model)
        examples = examples_of(self.rows, self.tokenizer, loss_on=self.options.loss_on, **limits)
        return HeldOut(self.model, examples, batch_tokens=self.options.batch_tokens)


def prepare(
    model: nn.Module | str | os.PathLike[str],
    tokenizer: Any,
    source: Source,
    scorer: str | Scorer | None,
    options: AnswerOptions,
) -> Prepared:
    """Read rows, load a model that is given by name, and tokenize the questions.

    Args:
        model: A model or its name.
        tokenizer: Its tokenizer; None for pre-tokenised rows, or for the one of a model given by name.
        source: Rows, as :func:`headprint.data.read_rows` takes them.
        scorer: What decides which answers are right; None or ``"none"`` asks nothing.
        options: Which rows, and how they are answered.

    Raises:
        InputError: There is no such scorer or model, or a row has no question, no right answer, or more tokens than
            the model can read.
    """
    found = get_scorer(scorer)
    rows = list(islice(read_rows(source, split=options.split), options.limit))
    check_rows(found, rows)
    model, tokenizer = models.resolve(model, tokenizer, **options.keywords(LoadingOptions))
    questions: GeneratedAnswers | ChoiceAnswers | None = None
    if isinstance(found, ChoiceScorer):
        questions = ChoiceAnswers(model, tokenizer, rows, found, batch_tokens=options.batch_tokens)
    elif found is not None:
        questions = GeneratedAnswers(
            model,
            tokenizer,
            rows,
            found,
            max_new_tokens=options.max_new_tokens,
            batch_tokens=options.batch_tokens,
        )
    return Prepared(model, tokenizer, rows, questions, options)


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
            with ThreadPoolExecutor(os.cpu_count()) as threads:
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
