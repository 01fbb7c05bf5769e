"""Callbacks while TRL trains: rows and tokens counted, the loss added up, divergence noticed, progress shown."""

from __future__ import annotations

from contextlib import ExitStack
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from headprint.base.errors import InputError
from headprint.base.progress import progress
from headprint.measure.loss import supervised_mask

_FIX = "lower learning_rate (or raise warmup_steps); in float16 or bfloat16 try a wider dtype"


class TokenCounter(TrainerCallback, ExportableState):  # type: ignore[misc]  # transformers is untyped here
    """Counts the rows and supervised tokens of training passes, on this process; checkpoints hold the counts."""

    def __init__(self) -> None:
        self.rows = 0
        self._tokens: Tensor | int = 0  # on the device: reading it each step would make the device wait
        self._undo = ExitStack()

    @property
    def tokens(self) -> int:
        """Tokens with loss, counted as often as they were seen."""
        return int(self._tokens)

    def state(self) -> dict[str, Any]:
        """What a checkpoint stores."""
        return {"args": {}, "attributes": {"rows": self.rows, "tokens": self.tokens}}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start from zero, or from the counts of the checkpoint."""
        saved = _saved(self, state)
        self.rows, self._tokens = (saved["rows"], saved["tokens"]) if saved else (0, 0)
        handle = kwargs["model"].register_forward_pre_hook(self._count, with_kwargs=True)
        self._undo.callback(handle.remove)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Take the hook off the model."""
        self.close()

    def close(self) -> None:
        """Take the hook off the model, after an error too."""
        self._undo.close()

    def _count(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if torch.is_grad_enabled() and (labels := kwargs.get("labels")) is not None:
            self.rows += len(labels)
            self._tokens = self._tokens + supervised_mask(labels).sum()

    def over_ranks(self, device: torch.device) -> tuple[int, int]:
        """Rows and tokens of all processes."""
        counts = torch.tensor([self.rows, self.tokens])
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            counts = counts.to(device)
            torch.distributed.all_reduce(counts)
        rows, tokens = counts.tolist()
        return rows, tokens


class LossMeter(TrainerCallback, ExportableState):  # type: ignore[misc]
    """Adds up the losses of all steps, those before a resumption included; checkpoints hold the sum.

    The trainer's own mean divides the losses since the resumption by the steps of the whole run.
    """

    def __init__(self) -> None:
        self._sum: Tensor | float = 0.0  # on the device, for the same reason

    def state(self) -> dict[str, Any]:
        """What a checkpoint stores."""
        return {"args": {}, "attributes": {"sum": float(self._sum)}}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start from zero, or from the sum of the checkpoint."""
        saved = _saved(self, state)
        self._sum = saved["sum"] if saved else 0.0

    def add(self, loss: Tensor) -> None:
        """Add a micro-batch's part of its step's loss."""
        widest = torch.float32 if loss.device.type == "mps" else torch.float64
        self._sum = self._sum + loss.detach().to(widest)

    def mean(self, steps: int, device: torch.device) -> float:
        """The mean loss of a step, over all processes.

        Args:
            steps: Optimizer steps of the whole run.
            device: Where processes can exchange numbers.
        """
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return float(self._sum) / steps
        total = torch.tensor(float(self._sum), device=device)
        torch.distributed.all_reduce(total)
        return total.item() / steps / torch.distributed.get_world_size()


def _saved(callback: ExportableState, state: TrainerState) -> dict[str, Any] | None:
    """What the checkpoint that training resumes from stores of a callback."""
    stored = state.stateful_callbacks.get(type(callback).__name__) if state.global_step else None
    return stored["attributes"] if stored else None


class StopOnDivergence(TrainerCallback):  # type: ignore[misc]
    """Ends a training whose loss is no longer finite, as soon as it is logged."""

    def __init__(self) -> None:
        self._fine = 0

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Look at the loss of the steps since the last log.

        Raises:
            InputError: It is not finite.
        """
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        if not isfinite(loss):
            raise InputError(
                f"training diverged: the loss is {loss} between steps {self._fine} and {state.global_step}: {_FIX}; "
                "checkpoints and pattern sets saved before stay"
            )
        self._fine = state.global_step


def check_result(model: nn.Module, loss: float, steps: int) -> None:
    """Refuse a model that diverged after the last log.

    Raises:
        InputError: The mean loss, or a weight that was trained, is not finite.
    """
    if not isfinite(loss):
        raise InputError(f"training diverged: the mean loss of {steps} steps is {loss}: {_FIX}")
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not parameter.detach().isfinite().all():
            raise InputError(f"training diverged: {name} is not finite after step {steps}: {_FIX}")


class ProgressCallback(TrainerCallback):  # type: ignore[misc]
    """A progress bar of optimizer steps."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._stack = ExitStack()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the bar where training starts."""
        enabled = self._enabled and state.is_world_process_zero
        self._advance = self._stack.enter_context(progress("train", state.max_steps, enabled=enabled, unit="steps"))
        self._advance(state.global_step)

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Advance by one step."""
        self._advance(1)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Leave the bar on the screen as it is."""
        self.close()

    def close(self) -> None:
        """Leave the bar on the screen as it is, after an error too."""
        self._stack.close()
