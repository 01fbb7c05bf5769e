"""The embedded laboratory: generated tasks, and a small model pretrained on generated text.

    rows = headprint.lab.task_rows("math", n=200)
    model = AutoModelForCausalLM.from_pretrained(headprint.lab.model_path())

Nothing here imports torch; the pretraining does, in `headprint.lab.pretrain`.
"""

import difflib
from importlib.resources import files
from pathlib import Path

from headprint.base.errors import InputError
from headprint.lab.tasks import TASKS, Row, Split, Task

__all__ = ["TASKS", "Task", "model_path", "task_rows"]


def task_rows(name: str, split: Split = "train", *, n: int = 1000, seed: int = 0) -> list[Row]:
    """Rows of a task, in TRL's prompt/completion convention.

    Args:
        name: one of `TASKS`.
        split: "train" or "test"; they share no item.
        n: number of rows.
        seed: same seed, same rows.

    Raises:
        InputError: unknown task or split, or more rows than the task has.
    """
    if name not in TASKS:
        near = difflib.get_close_matches(name, TASKS, n=1)
        hint = f'did you mean "{near[0]}"?' if near else f"choose one of {', '.join(TASKS)}"
        raise InputError(f'the laboratory has no task "{name}": {hint}')
    return TASKS[name].generate(split, n, seed=seed)


def model_path() -> Path:
    """The folder of the shipped model and its tokenizer (Hugging Face layout).

    Raises:
        InputError: the weights are missing from the installation.
    """
    folder = Path(str(files("headprint.lab"))) / "model"
    if not (folder / "model.safetensors").is_file():
        raise InputError(
            f"{folder}: the laboratory's model.safetensors is missing; reinstall headprint, or make the model with "
            f"`python -m headprint.lab.pretrain --out DIR` and copy DIR/model there"
        )
    return folder
