"""How well a model does a task: right answers and held-out loss, with intervals.

outcome = headprint.evaluate(model, tokenizer, rows, scorer="final")
outcome.accuracy, outcome.interval(), outcome.loss
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from headprint.analysis.intervals import Interval, mean_interval, wilson
from headprint.base import progress as bars
from headprint.base.errors import InputError
from headprint.data.rows import Row, Source, read_rows
from headprint.evaluation.likelihood import HeldOut, examples_of, row_id
from headprint.evaluation.questions import SCORERS, Answer, Scorer, check_scorer, exam
from headprint.models import frozen

if TYPE_CHECKING:
    from headprint.data.tokenization import LossOn

__all__ = ["SCORERS", "Evaluation", "Outcome", "Scorer", "evaluate"]


@dataclass(frozen=True)
class Outcome:
    """What became of one row.

    Attributes:
        id: The row's id, or its number in the source.
        output: What the model answered; None if it was not asked.
        right: Whether that is right; None likewise.
        loss: Mean loss of the completion's tokens in nats; None if it was not wanted.
    """

    id: str
    output: str | None
    right: bool | None
    loss: float | None


@dataclass(frozen=True)
class Evaluation:
    """How a model did.

    Attributes:
        scorer: What told right from wrong.
        results: One for each row, in order.
    """

    scorer: str
    results: list[Outcome]

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.results)

    @property
    def accuracy(self) -> float | None:
        """The share of right answers; None if none was asked for."""
        right = [outcome.right for outcome in self.results if outcome.right is not None]
        return sum(right) / len(right) if right else None

    @property
    def loss(self) -> float | None:
        """The mean over rows of each row's mean token loss, in nats; None if it was not wanted."""
        losses = [outcome.loss for outcome in self.results if outcome.loss is not None]
        return float(np.mean(losses)) if losses else None

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """The accuracy with its interval over rows, by Wilson's score (1927)."""
        return None if self.accuracy is None else wilson(round(self.accuracy * self.n), self.n, confidence)

    def loss_interval(self, confidence: float = 0.95) -> Interval | None:
        """The loss with its interval over rows, by Student's t."""
        losses = [outcome.loss for outcome in self.results if outcome.loss is not None]
        return mean_interval(losses, confidence) if losses else None

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON; without the rows' own outcomes."""
        accuracy, loss = self.interval(), self.loss_interval()
        return {
            "scorer": self.scorer,
            "n": self.n,
            "accuracy": accuracy and accuracy.to_dict(),
            "loss": loss and loss.to_dict(),
        }

    def write(self, path: str | Path) -> None:
        """Write the rows' outcomes as JSONL.

        Raises:
            InputError: Nothing can be written there.
        """
        from headprint.base.files import write_atomically

        lines = (json.dumps(asdict(outcome), ensure_ascii=False) + "\n" for outcome in self.results)
        write_atomically(Path(path), "".join(lines).encode())


def evaluate(
    model: nn.Module,
    tokenizer: Any,
    rows: Source,
    *,
    scorer: Scorer,
    n: int | None = None,
    split: str = "test",
    loss: bool = True,
    loss_on: LossOn = "auto",
    max_new_tokens: int = 256,
    batch_tokens: int | None = None,
    progress: bool = False,
) -> Evaluation:
    """Ask a model each row's question, tell which answers are right, and take the loss of the completions.

    Answers are greedy, and do not depend on how rows are batched (but for rounding). The model's flags, modes and
    generation settings are afterwards what they were.

    Args:
        model: A transformers causal language model on its device, bare or wrapped.
        tokenizer: Its tokenizer; None for pre-tokenised rows, of which there is only the loss.
        rows: Rows with a prompt, as :func:`headprint.data.rows.read_rows` takes them; what else they need is the
            scorer's (docs: evaluate).
        scorer: A name in :data:`SCORERS`, or a function of a row and an output that says whether it is right.
        n: Only the first so many rows.
        split: Of a folder, a ``datasets`` data set, or a task of the laboratory.
        loss: Take the held-out loss, too, on the tokens that training learns.
        loss_on: Which tokens these are, as in :func:`headprint.extract`.
        max_new_tokens: Where an answer is cut.
        batch_tokens: Tokens per batch at most; None chooses, and halves where memory runs out.
        progress: Show a progress bar on stderr.

    Raises:
        InputError: Something about the input is wrong; the message names the place and the mend.
    """
    check_scorer(scorer)
    for name, number in (("n", n), ("max_new_tokens", max_new_tokens), ("batch_tokens", batch_tokens)):
        if number is not None and number < 1:
            raise InputError(f"{name} is {number}; it wants 1 at least")
    asked = scorer != "none"
    if not (asked or loss):
        raise InputError("scorer 'none' and loss=False leave nothing to evaluate")
    taken = take_rows(rows, n, split)
    with ExitStack() as stack:
        stack.enter_context(frozen(model))
        advance = stack.enter_context(bars.progress("evaluate", len(taken) * (asked + loss), enabled=progress))
        questions = None
        if asked:  # before the losses: a row without an answer is to be refused at once
            questions = exam(model, tokenizer, taken, scorer, max_new_tokens=max_new_tokens, batch_tokens=batch_tokens)
        losses: Sequence[float | None] = [None] * len(taken)
        if loss:
            examples = examples_of(taken, tokenizer, loss_on=loss_on)
            losses = HeldOut(model, examples, batch_tokens=batch_tokens).losses().tolist()
            advance(len(taken))
        answers: Sequence[Answer] = questions.take(advance) if questions else [Answer(None, None)] * len(taken)
    results = [
        Outcome(row_id(row, number), answer.output, answer.right, nll)
        for number, (row, answer, nll) in enumerate(zip(taken, answers, losses, strict=True))
    ]
    return Evaluation(scorer if isinstance(scorer, str) else getattr(scorer, "__name__", "custom"), results)


def take_rows(source: Source, n: int | None, split: str) -> list[Row]:
    """The first rows of a source, all of them if ``n`` is None."""
    return list(islice(read_rows(source, split=split), n))
