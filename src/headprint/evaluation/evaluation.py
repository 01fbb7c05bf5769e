"""How well a model does a task: right answers and held-out loss, with intervals."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch import nn

from headprint import models
from headprint.analysis.intervals import Interval, mean_interval, wilson
from headprint.base import progress as bars
from headprint.base.errors import InputError
from headprint.base.files import write_json_lines
from headprint.base.options import EvaluateOptions, from_keywords, takes_options
from headprint.data import Row, Source, row_id
from headprint.evaluation.parsing import Prompt, expected_answer, prompt_of
from headprint.evaluation.questions import Answer, prepare
from headprint.evaluation.scorers import Scorer, get_scorer, scorer_name

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What became of one row.

    Attributes:
        id: The row's id, or its number in the source.
        prompt: What the model was asked, a text or messages; None for pre-tokenised rows.
        expected: The right answer as the row has it; None if it has none.
        output: What the model answered; None if it was not asked.
        right: Whether that is right; None likewise.
        loss: Mean loss of the completion's tokens in nats; None if it was not taken.
        cut: Whether the output was cut off before the model ended it; None if nothing was generated.
    """

    id: str
    prompt: Prompt | None = None
    expected: str | None = None
    output: str | None = None
    right: bool | None = None
    loss: float | None = None
    cut: bool | None = None


@dataclass(frozen=True)
class Evaluation:
    """How a model did.

    Attributes:
        scorer: What decided which answers are right.
        results: One for each row, in order.
    """

    scorer: str
    results: list[Outcome]

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.results)

    @property
    def accuracy(self) -> float | None:
        """The share of right answers; None if nothing was asked."""
        right = [outcome.right for outcome in self.results if outcome.right is not None]
        return sum(right) / len(right) if right else None

    @property
    def loss(self) -> float | None:
        """The mean over rows of each row's mean token loss, in nats; None if it was not taken."""
        losses = [outcome.loss for outcome in self.results if outcome.loss is not None]
        return float(np.mean(losses)) if losses else None

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """Return the accuracy with its interval over rows, by Wilson's score (1927)."""
        return None if self.accuracy is None else wilson(round(self.accuracy * self.n), self.n, confidence)

    def loss_interval(self, confidence: float = 0.95) -> Interval | None:
        """Return the loss with its interval over rows, by Student's t."""
        losses = [outcome.loss for outcome in self.results if outcome.loss is not None]
        return mean_interval(losses, confidence) if losses else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, for JSON, without the outcomes of the rows."""
        accuracy, loss = self.interval(), self.loss_interval()
        return {
            "scorer": self.scorer,
            "n": self.n,
            "accuracy": accuracy and accuracy.to_dict(),
            "loss": loss and loss.to_dict(),
        }

    def write(self, path: str | Path) -> None:
        """Write the outcomes of the rows as JSON Lines.

        Raises:
            InputError: The file cannot be written.
        """
        write_json_lines(path, map(asdict, self.results))


@takes_options(EvaluateOptions)
def evaluate(
    model: nn.Module | str | os.PathLike[str],
    tokenizer: Any,
    rows: Source,
    *,
    scorer: str | Scorer | None,
    show_progress: bool = False,
    options: EvaluateOptions | None = None,
    **fields: Any,
) -> Evaluation:
    """Ask a model each row's question, score the answers, and take the loss of the completions.

    Answers are greedy, and do not depend on how rows are batched (up to rounding). The flags, modes and generation
    settings of a model that is given loaded are restored afterwards.

    Args:
        model: A transformers causal language model on its device, bare or wrapped; or the name of one
            (:func:`headprint.load_model`).
        tokenizer: Its tokenizer. None for pre-tokenised rows, of which there is only the loss, or for the tokenizer
            that comes with a model given by name.
        rows: Rows with a prompt, as :func:`headprint.data.read_rows` takes them; what else they need depends on the
            scorer (docs: evaluate).
        scorer: A name in :data:`headprint.evaluation.SCORERS`, a function of a row and an output that returns
            whether it is right, or None (``"none"``) for the loss only.
        show_progress: Show a progress bar on stderr.
        options: All of the following in one object; keyword arguments take precedence over it.
        {options}

    Raises:
        InputError: Something about the input is wrong; the message names the place and the fix.
    """
    chosen = from_keywords(EvaluateOptions, options, fields)
    if not chosen.loss and get_scorer(scorer) is None:
        raise InputError("without a scorer and with loss=False there is nothing to evaluate")
    ready = prepare(model, tokenizer, rows, scorer, chosen)
    heldout = ready.heldout() if chosen.loss else None
    losses: Sequence[float | None] = [None] * len(ready.rows)
    answers = [Answer()] * len(ready.rows)
    total = len(ready.rows) * ((ready.questions is not None) + chosen.loss)
    with models.frozen(ready.model), bars.progress("evaluate", total, enabled=show_progress) as advance:
        if heldout:
            losses = heldout.losses().tolist()
            advance(len(losses))
        if ready.questions:
            answers = ready.questions.collect(advance)
    results = [
        Outcome(
            id=row_id(row, number),
            prompt=_unless_missing(prompt_of, row),
            expected=_unless_missing(expected_answer, row),
            output=answer.output,
            right=answer.right,
            loss=nll,
            cut=answer.cut,
        )
        for number, (row, answer, nll) in enumerate(zip(ready.rows, answers, losses, strict=True))
    ]
    return Evaluation(scorer_name(scorer), results)


def _unless_missing(read: Callable[[Mapping[str, Any]], T], row: Row) -> T | None:
    try:
        return read(row.data)
    except InputError:
        return None
