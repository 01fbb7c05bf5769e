r"""Scorers: is an answer right?

A scorer is a function of a row and a model's output. The package's own, by name:

    exact        the same text, apart from spacing, letter case and a final full stop
    final        the same final number or word: after the last "####" (GSM8K), or else the last number
    boxed        the same content of the last \boxed{...}, compared as the MATH data set does
    letter       the same option letter
    python       running the output's function gives the answer
    choice       the likeliest of the row's choices is the right one; nothing is generated
    choice-norm  the same, with log-likelihoods divided by the length of the choice
    lab          the laboratory task's own check
    none         nothing is asked: held-out loss only

The right answer is the row's ``answer``, or else its completion, which is read as an output is. Another package adds
a scorer by an entry point of the group ``headprint.scorers`` (:mod:`headprint.base.registry`); it then works in
Python, on the command line and in a study's configuration alike. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from headprint.base.errors import InputError
from headprint.base.registry import Registry
from headprint.evaluation.parsing import (
    choices_of,
    expected_answer,
    final_answer,
    last_boxed,
    normalized,
    option_letter,
    prompt_of,
    right_choice,
    right_letter,
    same_latex,
    same_value,
    source_of,
)

if TYPE_CHECKING:
    from headprint.data import Row

RowData: TypeAlias = Mapping[str, Any]


class Scorer(Protocol):
    """Whether an output answers a row. Any function of this signature is a scorer.

    :class:`TextScorer` and :class:`ChoiceScorer` make scorers that do more: they refuse rows that they cannot score
    before the model is asked, are run in threads, or choose instead of having the model write.
    """

    def __call__(self, row: RowData, output: str, /) -> bool:
        """Return whether the output (what follows the prompt, without special tokens) is right."""


class TextScorer:
    """A scorer of generated text, made of a function; use it as a decorator.

    Args:
        function: Whether an output answers a row.
        check_row: Raises an InputError, saying what is missing, for a row that cannot be scored. By default a row
            needs a right answer.
        in_threads: Score several outputs at once, for a function that waits for other processes.
    """

    def __init__(
        self,
        function: Callable[[RowData, str], bool],
        *,
        check_row: Callable[[RowData], object] = expected_answer,
        in_threads: bool = False,
    ) -> None:
        update_wrapper(self, function)
        self._function = function
        self.check_row = check_row
        self.in_threads = in_threads

    def __call__(self, row: RowData, output: str, /) -> bool:
        """Return whether the output is right."""
        return self._function(row, output)


class ChoiceScorer:
    """A scorer of multiple choice, made of a function; use it as a decorator.

    The model's answer is the choice with the highest value of the function; nothing is generated.

    Args:
        function: From the texts of the choices and their log-likelihoods in nats, as completions of the prompt, to
            one value for each.
    """

    check_row = staticmethod(right_choice)

    def __init__(self, function: Callable[[Sequence[str], Sequence[float]], Sequence[float]]) -> None:
        update_wrapper(self, function)
        self._function = function

    def choose(self, texts: Sequence[str], log_likelihoods: Sequence[float]) -> str:
        """Return the choice that a model takes; the first of equals."""
        values = self._function(texts, log_likelihoods)
        return texts[max(range(len(texts)), key=values.__getitem__)]

    def __call__(self, row: RowData, output: str, /) -> bool:
        """Return whether a choice is the right one."""
        return choices_of(row)[0].index(output) == right_choice(row)


@TextScorer
def exact(row: RowData, output: str) -> bool:
    """The same text, apart from spacing, letter case, Unicode form and a final full stop."""
    return normalized(output) == normalized(expected_answer(row))


@TextScorer
def final(row: RowData, output: str) -> bool:
    """The same final answer: what follows the last ``####`` (as in GSM8K), or else the last number."""
    expected, said = expected_answer(row), final_answer(output)
    return said is not None and same_value(said, final_answer(expected) or expected)


@TextScorer
def boxed(row: RowData, output: str) -> bool:
    r"""The same content of the last ``\boxed{}``, compared as the MATH data set does."""
    expected, said = expected_answer(row), last_boxed(output)
    return said is not None and same_latex(said, last_boxed(expected) or expected)


@partial(TextScorer, check_row=right_letter)
def letter(row: RowData, output: str) -> bool:
    """The same option letter, of as many as the row has ``choices`` or ``options`` (A to E if it lists none)."""
    right, labels = right_letter(row)
    return option_letter(output, labels) == right


@partial(TextScorer, in_threads=True)
def python(row: RowData, output: str) -> bool:
    """Running the output's ``solution()`` gives the answer (:mod:`headprint.evaluation.sandbox`).

    Without an ``answer``, the right value is what the completion returns.
    """
    from headprint.evaluation import sandbox

    right = row.get("answer")
    if right is None:
        reference = sandbox.run(source_of(expected_answer(row)))
        if reference.error:
            raise InputError(
                f"the completion does not run ({reference.error}: {reference.message}); give the row an 'answer'"
            )
        right = reference.value
    found = sandbox.run(source_of(output))
    return found.error is None and same_value(found.value, right)


def _check_lab_row(row: RowData) -> None:
    from headprint.lab import TASKS

    if row.get("task") not in TASKS or "answer" not in row:
        raise InputError(f"not a row of the laboratory (its task is {row.get('task')!r}); give rows of lab:TASK")


@partial(TextScorer, check_row=_check_lab_row)
def lab(row: RowData, output: str) -> bool:
    """The check of the row's laboratory task."""
    from headprint.lab import TASKS

    return TASKS[row["task"]].check(dict(row), output)


@ChoiceScorer
def choice(texts: Sequence[str], log_likelihoods: Sequence[float]) -> Sequence[float]:
    """The likeliest choice (``acc`` in lm-evaluation-harness)."""
    return log_likelihoods


@ChoiceScorer
def choice_norm(texts: Sequence[str], log_likelihoods: Sequence[float]) -> Sequence[float]:
    """The likeliest choice per letter, so that long ones are not penalized (``acc_norm`` in lm-evaluation-harness)."""
    return [value / max(1, len(text)) for text, value in zip(texts, log_likelihoods, strict=True)]


none = None

SCORERS: Registry[Scorer | None] = Registry(
    "headprint.scorers",
    "scorer",
    {
        name: f"{__name__}:{name.replace('-', '_')}"
        for name in ("exact", "final", "boxed", "letter", "python", "choice", "choice-norm", "lab", "none")
    },
)
"""The scorers that have a name."""


def get_scorer(scorer: str | Scorer | None) -> Scorer | None:
    """Return the scorer of a name; a function is one already, and None (or ``"none"``) asks nothing.

    Raises:
        InputError: There is no scorer of this name, or its entry is not a function.
    """
    if not isinstance(scorer, str):
        return scorer
    found = SCORERS.load(scorer)
    if found is not None and not callable(found):
        raise InputError(f"the scorer {scorer!r} is a {type(found).__name__}, not a function of a row and an output")
    return found


def scorer_name(scorer: str | Scorer | None) -> str:
    """Return what results call a scorer."""
    return (
        scorer if isinstance(scorer, str) else str(getattr(scorer, "__name__", "none" if scorer is None else "custom"))
    )


def check_rows(scorer: str | Scorer | None, rows: Iterable[Row], *, at_least: int = 1) -> None:
    """Refuse rows that a scorer cannot score, before a model is loaded.

    Args:
        scorer: A name in :data:`SCORERS`, or a function.
        rows: Rows with their places (:func:`headprint.data.read_rows`).
        at_least: How many rows are needed.

    Raises:
        InputError: A row has no prompt or no right answer, with its place; or there are too few rows.
    """
    found = get_scorer(scorer)
    number = 0
    for row in rows:
        number += 1
        if found is not None:
            at_place(row, prompt_of)
            at_place(row, getattr(found, "check_row", bool))
    if number < at_least:
        raise InputError(f"{number} rows to evaluate, and at least {at_least} needed: give more rows")


def at_place(row: Row, function: Callable[[RowData], Any]) -> Any:
    """Apply a function to a row's data; its InputErrors name the row's place."""
    try:
        return function(row.data)
    except InputError as error:
        raise InputError(f"{row.place}: {error}") from error
