"""The embedded laboratory: generated tasks, and a small model pretrained on generated text.

    rows = headprint.lab.task_rows("math", n=200)
    model = AutoModelForCausalLM.from_pretrained(headprint.lab.model_path())

Elsewhere in headprint it is an ordinary data source (``lab:math``), model (``lab``) and scorer (``lab``). Nothing here
imports torch, except for the pretraining (:mod:`headprint.lab.pretrain`).
"""

from importlib.resources import files
from pathlib import Path

from headprint.base.errors import InputError, did_you_mean
from headprint.lab.tasks import TASKS, Row, Task

__all__ = ["TASKS", "Task", "find_rows", "model_path", "task_rows"]

_ROWS = 1000


def task_rows(name: str, split: str = "train", *, n: int = 1000, seed: int = 0) -> list[Row]:
    """Generate rows of a task, in TRL's prompt/completion convention.

    Args:
        name: A task, one of :data:`TASKS`.
        split: ``"train"`` or ``"test"``; they share no item.
        n: Number of rows.
        seed: The same seed gives the same rows.

    Raises:
        InputError: Unknown task or split, or more rows than the task has.
    """
    if name not in TASKS:
        raise InputError(f"the laboratory has no task {name!r}: {did_you_mean(name, TASKS)}")
    return TASKS[name].generate(split, n, seed=seed)


def find_rows(name: str, split: str) -> list[Row]:
    """Generate the first 1,000 rows of a task, for the data source ``lab:TASK``; N rows for ``lab:TASK:N``.

    Raises:
        InputError: Unknown task or split, N is no number, or more rows than the task has.
    """
    task, _, count = name.partition(":")
    if count and not count.isdecimal():
        raise InputError(f"lab:{name}: {count!r} is not a number of rows: give lab:{task} or lab:{task}:N")
    return task_rows(task, split, n=int(count) if count else _ROWS)


def model_path() -> Path:
    """Return the folder of the embedded model and its tokenizer (Hugging Face layout), for the model ``lab``.

    Raises:
        InputError: The weights are missing from the installation.
    """
    folder = Path(str(files("headprint.lab"))) / "model"
    if not (folder / "model.safetensors").is_file():
        raise InputError(
            f"{folder}: the laboratory's model.safetensors is missing; reinstall headprint, or make the model with "
            f"`python -m headprint.lab.pretrain --out DIR` and copy DIR/model there"
        )
    return folder
