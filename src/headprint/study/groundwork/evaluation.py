"""Answers and held-out loss on a task's test rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from headprint.base.errors import InputError
from headprint.base.files import write_json
from headprint.study.groundwork.models import Model, load
from headprint.study.pipeline import Cache, Job, Needs, stage


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse a scorer that does not exist.

    Raises:
        InputError: With the nearest name.
    """
    from headprint.evaluation.scorers import get_scorer

    get_scorer(settings["scorer"])


@stage(version=1, ignores={"batch_tokens"}, check=check_settings)
def evaluation(
    out: Path, needs: Needs, *, model: Model, scorer: str | None, max_new_tokens: int, batch_tokens: int | None
) -> None:
    """Score answers, and measure the held-out loss, of the model or of what a training left.

    Writes ``evaluation.json`` and ``answers.jsonl``.
    """
    from headprint.evaluation import evaluate

    loaded, tokenizer = load(model, needs.get("start"))
    outcome = evaluate(
        loaded,
        tokenizer,
        needs["rows"] / "test.jsonl",
        scorer=scorer,
        max_new_tokens=max_new_tokens,
        batch_tokens=batch_tokens,
    )
    outcome.write(out / "answers.jsonl")
    write_json(out / "evaluation.json", outcome.to_dict())


def check_rows(jobs: Iterable[Job], cache: Cache) -> None:
    """Refuse test rows that their scorer cannot score, as soon as there are rows.

    Args:
        jobs: Of which the evaluations are looked at; their rows are done.
        cache: Where the rows are.

    Raises:
        InputError: With the job and the row.
    """
    from headprint.data import read_rows
    from headprint.evaluation import scorers

    for job in jobs:
        if job.stage is evaluation and "start" not in job.needs:
            try:
                scorers.check_rows(job.settings["scorer"], read_rows(cache.of(job.needs["rows"]) / "test.jsonl"))
            except InputError as error:
                raise InputError(f"{job}: {error}") from error
