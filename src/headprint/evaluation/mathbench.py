"""MathBench's files, and circular evaluation: a choice counts only if it is right wherever the right option stands.

The format is that of MathBench (Liu et al. 2024, https://arxiv.org/abs/2405.12209; files and their reading:
https://github.com/open-compass/MathBench, https://github.com/open-compass/opencompass): JSON lines, in folders by level
(``college/single_choice_en.jsonl``), each a single choice ``{"question": ..., "options": [four], "answer": "B"}`` or a
cloze ``{"question": ..., "answer": "12"}``. A model that prefers one letter is right in a quarter of all questions;
asked each question once for every rotation of its options, it is right in none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from torch import nn

from headprint import models
from headprint.analysis.intervals import Interval, wilson
from headprint.base.errors import InputError, did_you_mean
from headprint.base.options import AnswerBy
from headprint.data import read_rows
from headprint.evaluation.evaluation import evaluate
from headprint.evaluation.scorers import at_place

CHOICE_PROMPT = "Question: {question}\n{options}\nAnswer:"
CLOZE_PROMPT = "Question: {question}\nAnswer:"


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        id: Its place, such as ``college/single_choice_en.jsonl:7``.
        subset: Its file, such as ``college/single_choice_en``.
        kind: ``"choice"`` or ``"cloze"``.
        right: Whether the answer was right, for each rotation; the first is the order of the file.
    """

    id: str
    subset: str
    kind: Literal["choice", "cloze"]
    right: tuple[bool, ...]


@dataclass(frozen=True)
class MathBench:
    """How a model did.

    Attributes:
        questions: All of them, in the order of the files.
    """

    questions: list[Question]

    def accuracy(self, *, subset: str | None = None, circular: bool = True) -> Interval:
        """Return the share of questions that are right in every rotation, with its interval (Wilson, 95%).

        Args:
            subset: The questions of one file; None for all questions.
            circular: False counts only the order of the file, as if each question was asked once.

        Raises:
            InputError: There is no such file.
        """
        chosen = [question for question in self.questions if subset in (None, question.subset)]
        if not chosen:
            raise InputError(f"unknown subset {subset!r}: {did_you_mean(str(subset), self.subsets)}")
        right = sum(all(question.right) if circular else question.right[0] for question in chosen)
        return wilson(right, len(chosen))

    @property
    def subsets(self) -> list[str]:
        """Names of the files."""
        return list(dict.fromkeys(question.subset for question in self.questions))

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, for JSON."""

        def both(subset: str | None) -> dict[str, Any]:
            return {
                "n": sum(subset in (None, question.subset) for question in self.questions),
                "circular": self.accuracy(subset=subset).to_dict(),
                "plain": self.accuracy(subset=subset, circular=False).to_dict(),
            }

        return {**both(None), "subsets": {subset: both(subset) for subset in self.subsets}}


def run_mathbench(
    model: nn.Module | str | os.PathLike[str],
    tokenizer: Any,
    source: str | Path,
    *,
    how: AnswerBy = "generate",
    limit: int | None = None,
    choice_prompt: str = CHOICE_PROMPT,
    cloze_prompt: str = CLOZE_PROMPT,
    chat: bool = False,
    max_new_tokens: int = 256,
    batch_tokens: int | None = None,
    show_progress: bool = False,
) -> MathBench:
    """Ask MathBench's questions, every choice once for each rotation of its options.

    Args:
        model: A transformers causal language model on its device; or a name, which is loaded.
        tokenizer: Its tokenizer; None takes that of a named model.
        source: A file, or a folder with files at any depth.
        how: Choices are answered by generating a letter (scorer "letter"), or by the likeliest letter (scorer
            "choice"). Clozes are always generated (scorer "final").
        limit: Take only the first questions of each file.
        choice_prompt: With ``{question}`` and ``{options}`` (lines "A. ...").
        cloze_prompt: With ``{question}``.
        chat: Ask through the tokenizer's chat template.
        max_new_tokens: Tokens of an answer at most.
        batch_tokens: Tokens per batch at most; None chooses.
        show_progress: Show a progress bar on stderr.

    Raises:
        InputError: There is no such file, a line is not a question, or a prompt lacks a placeholder.
    """
    if how not in get_args(AnswerBy):
        raise InputError(f"how is {how!r}; choose from {', '.join(get_args(AnswerBy))}")
    for name, prompt, places in (
        ("choice_prompt", choice_prompt, ("{question}", "{options}")),
        ("cloze_prompt", cloze_prompt, ("{question}",)),
    ):
        if missing := [place for place in places if place not in prompt]:
            raise InputError(f"{name} has no {missing[0]}: {prompt!r}")
    entries = list(_entries(Path(source), limit))

    model, tokenizer = models.resolve(model, tokenizer)

    def rows(kind: str) -> list[dict[str, Any]]:
        return [
            {**row, "prompt": [{"role": "user", "content": row["prompt"]}] if chat else row["prompt"]}
            for place, _, entry in entries
            if kind_of(entry) == kind
            for row in (
                rotations(entry, choice_prompt, name=place, letters_only=how == "likelihood")
                if kind == "choice"
                else [{"id": place, "prompt": _filled(cloze_prompt, entry), "answer": str(entry["answer"]).strip()}]
            )
        ]

    right: dict[str, Iterator[bool]] = {}
    for kind, scorer in (("choice", "letter" if how == "generate" else "choice"), ("cloze", "final")):
        if asked := rows(kind):
            outcome = evaluate(
                model, tokenizer, asked, scorer=scorer, loss=False, max_new_tokens=max_new_tokens,
                batch_tokens=batch_tokens, show_progress=show_progress,
            )  # fmt: skip
            right[kind] = iter([bool(result.right) for result in outcome.results])
    questions = []
    for place, subset, entry in entries:
        kind = kind_of(entry)
        times = len(entry["options"]) if kind == "choice" else 1
        questions.append(Question(place, subset, kind, tuple(next(right[kind]) for _ in range(times))))
    return MathBench(questions)


def kind_of(entry: Mapping[str, Any]) -> Literal["choice", "cloze"]:
    """Return ``"choice"`` if a question has options."""
    return "choice" if entry.get("options") else "cloze"


def rotations(
    entry: Mapping[str, Any], prompt: str = CHOICE_PROMPT, *, name: str = "", letters_only: bool = False
) -> list[dict[str, Any]]:
    """Make one row for each rotation of a question's options: ABCD, BCDA, CDAB, DABC.

    Args:
        entry: A single-choice question.
        prompt: With ``{question}`` and ``{options}``.
        name: The beginning of the rows' ids.
        letters_only: The row's ``choices`` are the letters instead of the options' texts.
    """
    options = [str(option).strip() for option in entry["options"]]
    letters = [chr(ord("A") + i) for i in range(len(options))]
    answer = letters.index(str(entry["answer"]).strip())
    rows = []
    for shift in range(len(options)):
        rotated = options[shift:] + options[:shift]
        listed = "\n".join(f"{label}. {option}" for label, option in zip(letters, rotated, strict=True))
        right = letters[(answer - shift) % len(options)]
        rows.append(
            {
                "id": f"{name} {''.join(letters[shift:] + letters[:shift])}".strip(),
                "prompt": _filled(prompt, entry, listed),
                "choices": letters if letters_only else rotated,
                "answer": right,
            }
        )
    return rows


def _filled(prompt: str, entry: Mapping[str, Any], options: str = "") -> str:
    # Not str.format: a question may contain braces.
    parts = prompt.split("{question}")
    return str(entry["question"]).strip().join(part.replace("{options}", options) for part in parts)


def _entries(source: Path, limit: int | None) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield the place, subset and content of every question."""
    files: Sequence[Path] = sorted(source.rglob("*.jsonl")) if source.is_dir() else [source]
    if not files:
        raise InputError(f"{source}: no .jsonl files; give MathBench's folder, or one of its files")
    for file in files:
        subset = str(file.relative_to(source) if source.is_dir() else Path(file.name)).removesuffix(".jsonl")
        for number, row in enumerate(read_rows(file)):
            if number == limit:
                break
            at_place(row, _check)
            yield f"{subset}{row.place.removeprefix(str(file))}", subset, row.data


def _check(entry: Mapping[str, Any]) -> None:
    for name in ("question", "answer"):
        if entry.get(name) is None:
            raise InputError(f"no '{name}'; MathBench's lines have question, answer, and options for a choice")
    if kind_of(entry) == "choice":
        options = entry["options"]
        if not isinstance(options, list) or len(options) < 2:
            raise InputError("'options' must be a list of four texts")
        letters = [chr(ord("A") + i) for i in range(len(options))]
        if str(entry["answer"]).strip() not in letters:
            raise InputError(f"the answer {entry['answer']!r} is none of {', '.join(letters)}")
