"""Tasks of lm-evaluation-harness by name, for a loaded model (https://github.com/EleutherAI/lm-evaluation-harness).

An extra: ``pip install '.[eval]'`` in a clone. Prompts, few-shot examples and metrics are the harness's own, so that
the numbers are those that others report by it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from headprint import models
from headprint.base.errors import InputError, did_you_mean, missing_extra


@dataclass(frozen=True)
class Score:
    """One metric of one task.

    Attributes:
        task: The task, or a group of tasks.
        metric: Such as ``acc``, ``acc_norm``, ``exact_match``.
        filter: How answers were read before they were compared (``none``: as they are).
        value: The metric.
        stderr: Its standard error; None if the harness gives none.
        n: Questions; None if the harness does not say.
    """

    task: str
    metric: str
    filter: str
    value: float
    stderr: float | None
    n: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, for JSON."""
        return asdict(self)


def run_harness(
    model: nn.Module | str | os.PathLike[str],
    tokenizer: Any,
    tasks: Sequence[str],
    *,
    limit: int | None = None,
    few_shot: int | None = None,
    chat: bool = False,
    batch_size: int = 8,
    include: str | Path | None = None,
) -> list[Score]:
    """Run tasks of lm-evaluation-harness.

    Args:
        model: A transformers causal language model on its device; or a name, which is loaded.
        tokenizer: Its tokenizer; None takes that of a named model.
        tasks: Names of tasks, groups or tags, such as ``["gsm8k", "arc_challenge"]``.
        limit: Take only the first questions of each task.
        few_shot: Worked examples in a prompt; None for the task's own number.
        chat: Ask through the tokenizer's chat template.
        batch_size: Questions at a time.
        include: A folder of your own tasks (the harness's YAML files).

    Returns:
        Every metric of every task, in the harness's order.

    Raises:
        InputError: The harness is not installed, or has no such task.
    """
    try:
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise missing_extra("eval", "evaluating tasks by name") from error
    manager = TaskManager(include_path=str(include) if include else None)
    if not tasks:
        raise InputError("no task given; name some, such as gsm8k")
    for name in tasks:
        if name not in manager.all_tasks:
            hint = did_you_mean(name, manager.all_tasks, otherwise="`lm_eval ls tasks` lists them")
            raise InputError(f"lm-evaluation-harness has no task {name!r}: {hint}")
    model, tokenizer = models.resolve(model, tokenizer)
    with models.frozen(model):
        found = simple_evaluate(
            model=HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size),
            tasks=list(tasks),
            num_fewshot=few_shot,
            limit=limit,
            apply_chat_template=chat,
            task_manager=manager,
            log_samples=False,
            bootstrap_iters=1000,
        )
    if found is None:  # this is another rank than the first, which has the results
        return []
    asked = found.get("n-samples", {})
    return [
        score
        for task, metrics in found["results"].items()
        for score in _scores(task, metrics, asked.get(task, {}).get("effective"))
    ]


def _scores(task: str, metrics: dict[str, Any], n: int | None) -> list[Score]:
    """The harness names a metric ``acc,none`` and its error ``acc_stderr,none``."""
    scores = []
    for key, value in metrics.items():
        metric, comma, filtered = key.partition(",")
        if not comma or metric.endswith("_stderr") or not isinstance(value, int | float):
            continue
        stderr = metrics.get(f"{metric}_stderr,{filtered}")
        error = float(stderr) if isinstance(stderr, int | float) else None
        scores.append(Score(task, metric, filtered, float(value), error, n))
    return scores
