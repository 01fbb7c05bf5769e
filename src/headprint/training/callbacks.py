"""What is watched while TRL trains: what was learned from, whether the loss is a number, and how far it is."""

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

_MEND = "lower learning_rate (or raise warmup_steps); in float16 or bfloat16 try a wider dtype"


class TokenCounter(TrainerCallback, ExportableState):  # type: ignore[misc]  # transformers is untyped here
    """Counts the rows and supervised tokens that training passes saw, on this process; kept in checkpoints."""

    def __init__(self) -> None:
        self.rows = 0
        self._tokens: Tensor | int = 0  # on the device: reading it each step would make the device wait
        self._undo = ExitStack()

    @property
    def tokens(self) -> int:
        """Tokens with loss, counted as often as they were seen."""
        return int(self._tokens)

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"args": {}, "attributes": {"rows": self.rows, "tokens": self.tokens}}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start from zero, or from where the checkpoint was."""
        kept = state.stateful_callbacks.get(type(self).__name__) if state.global_step else None
        self.rows, self._tokens = (kept["attributes"][name] for name in ("rows", "tokens")) if kept else (0, 0)
        handle = kwargs["model"].register_forward_pre_hook(self._count, with_kwargs=True)
        self._undo.callback(handle.remove)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Leave the model alone."""
        self.close()

    def close(self) -> None:
        """The same, also after an error."""
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


class StopOnDivergence(TrainerCallback):  # type: ignore[misc]
    """Ends a training whose loss is no longer a number, as soon as it is logged."""

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
                f"training diverged: the loss is {loss} between steps {self._fine} and {state.global_step}: {_MEND}; "
                "what was saved before is kept"
            )
        self._fine = state.global_step


def check_result(model: nn.Module, loss: float, steps: int) -> None:
    """Refuse a model that diverged after the last log.

    Raises:
        InputError: The mean loss, or a weight that was trained, is not finite.
    """
    if not isfinite(loss):
        raise InputError(f"training diverged: the mean loss of {steps} steps is {loss}: {_MEND}")
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not parameter.detach().isfinite().all():
            raise InputError(f"training diverged: {name} is not finite after step {steps}: {_MEND}")


class ProgressCallback(TrainerCallback):  # type: ignore[misc]
    """A progress bar of optimizer steps."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._stack = ExitStack()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Show it."""
        enabled = self._enabled and state.is_world_process_zero
        self._advance = self._stack.enter_context(progress("train", state.max_steps, enabled=enabled))
        self._advance(state.global_step)

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """One more."""
        self._advance(1)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Leave it on the screen as it is."""
        self.close()

    def close(self) -> None:
        """The same, also after an error."""
        self._stack.close()
