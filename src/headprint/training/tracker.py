"""Activation patterns along training, by a callback for any transformers ``Trainer``.

    tracker = PatternTracker({"math": "probes.jsonl"}, every="dense", out="tracks")
    tracker.attach(trainer)
    trainer.train()
    tracker.sets["math"][8]          # a PatternSet: the probes' levels after 8 steps
    tracker.trajectory("math")       # Figure 5 of arXiv 2409.15820: correlation and MSE against the start

Training goes the same way with and without it, to the bit: probes run in evaluation mode, on frozen weights, and leave
random number generators, gradients, flags and modes as they found them; the gates of online tracking are identities.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from headprint.analysis.comparison import Trajectory, trajectory
from headprint.base.errors import InputError
from headprint.base.options import CorrelationMethod, Placement
from headprint.data import Source
from headprint.patterns.pattern_set import Pattern, PatternSet
from headprint.training.online import PACKED, RunningPattern, TrainingTap
from headprint.training.probes import Probe
from headprint.training.schedule import Every, Schedule

if TYPE_CHECKING:
    from transformers import Trainer
    from transformers.trainer_callback import CallbackHandler

    from headprint.analysis.bootstrap import Bootstrap

TRAINING = "train"
"""The name under which online tracking reports."""

_logger = logging.getLogger(__name__)


class PatternTracker(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Measures activation patterns while a ``Trainer`` trains.

    *Probes* are held-out rows whose levels are measured at chosen steps; step s is the model after s optimizer steps.
    *Online* tracking reads the levels of the training batches out of the training backward itself, and gives one
    pattern for the examples between two chosen steps: nothing is measured twice, but each pattern is of other examples.

    What is measured is also logged, as ``headprint/NAME/correlation``, ``mse`` (both against NAME's first pattern),
    ``gini``, ``cv``, ``kurtosis`` and ``loss``, to the trainer's log history and to whatever its ``report_to`` names.

    Args:
        probes: Held-out rows by task name (as :func:`headprint.data.rows.read_rows` takes them), or of one task.
        every: At which steps (:data:`headprint.training.schedule.Every`).
        limit: Only the first N rows of each task, which must have them; None takes all.
        split: Which split of a folder, hub id or laboratory task.
        out: Directory for ``NAME/step-00000008/``, pattern sets as :func:`headprint.load` opens them; a killed run
            that is resumed keeps what it finished there. None holds the levels in memory.
        tokenizer: None takes the trainer's own.
        placement: Where the absolute value goes, as for :func:`headprint.extract`.
        max_length: Tokens of a probe at most; None does not cut.
        batch_tokens: Tokens per batch of probes; None finds a budget.
        compute_dtype: Compute probes in this lower precision by autocast; None in that of the weights.
        online: True reads the training batches, in windows between the steps of ``every``; an integer k, of k steps.

    Attributes:
        online_patterns: step -> :class:`~headprint.patterns.pattern_set.Pattern` of the training examples since the
            step before it.
        metrics: name -> step -> what was logged.

    Raises:
        InputError: There is nothing to track, a schedule makes no sense, or a task has fewer rows than asked for. And
            at the start of training: a probe cannot be used, ``out`` holds something else, weights are sharded.
        headprint.models.heads.UnsupportedModel: The measure would not be exact for this model.
    """

    def __init__(
        self,
        probes: Mapping[str, Source] | Source | None = None,
        *,
        every: Every = "dense",
        limit: int | None = None,
        split: str = "test",
        out: str | Path | None = None,
        tokenizer: Any = None,
        placement: Placement = "example",
        max_length: int | None = None,
        batch_tokens: int | None = None,
        compute_dtype: str | None = None,
        online: int | bool = False,
    ) -> None:
        if probes is None and not online:
            raise InputError("nothing to track: give probes, or online=True")
        if placement not in get_args(Placement):
            raise InputError(f"placement is {placement!r}; it wants one of {', '.join(get_args(Placement))}")
        self.schedule = Schedule(every)
        self.online = self.schedule if online is True else Schedule(online) if online else None
        self.out = Path(out) if out else None
        named = {} if probes is None else probes if isinstance(probes, Mapping) else {"probe": probes}
        if self.online and TRAINING in named:
            raise InputError(
                f"{TRAINING!r} is what online tracking calls the training examples: give the probes another name"
            )
        self._tokenizer, self._placement = tokenizer, placement
        options = {"placement": placement, "batch_tokens": batch_tokens, "compute_dtype": compute_dtype}
        self._probes = {
            name: Probe(name, source, split=split, limit=limit, max_length=max_length, out=self.out, options=options)
            for name, source in named.items()
        }
        self._handler: Callable[[], CallbackHandler | None] = lambda: None
        self._start()

    def attach(self, trainer: Trainer) -> None:
        """Follow a trainer: become one of its callbacks, and send metrics to whatever its ``report_to`` names.

        Passed as ``callbacks=[tracker]`` instead, the tracker measures and stores the same patterns. But a callback
        does not know its trainer, so metrics then reach ``trainer.state.log_history`` and no reporter.

        Args:
            trainer: One that is not training yet.
        """
        if self not in trainer.callback_handler.callbacks:
            trainer.add_callback(self)
        self._handler = weakref.ref(trainer.callback_handler)  # weak: it holds the model and the optimizer

    def _start(self) -> None:
        self.online_patterns: dict[int, Pattern] = {}
        self.metrics: dict[str, dict[int, dict[str, float]]] = {}
        self._first: dict[str, Pattern] = {}
        self._tap: TrainingTap | None = None

    @property
    def sets(self) -> dict[str, dict[int, PatternSet]]:
        """name -> step -> :class:`~headprint.patterns.pattern_set.PatternSet` of the probes, on the main process."""
        return {name: probe.sets for name, probe in self._probes.items()}

    @property
    def steps(self) -> list[int]:
        """The steps at which probes were measured, in order."""
        return sorted({step for sets in self.sets.values() for step in sets})

    def trajectory(
        self, name: str | None = None, *, method: CorrelationMethod = "pearson", bootstrap: Bootstrap | None = None
    ) -> Trajectory:
        """Correlation and mean squared difference of a task's patterns from the first one, with intervals.

        Args:
            name: Of the task; may be left out if there is one.
            method: Of the correlation.
            bootstrap: How the intervals are made.

        Raises:
            InputError: There is no such task, or nothing was measured.
        """
        sets = self.sets
        name = next(iter(sets)) if name is None and len(sets) == 1 else name
        if name not in sets:
            raise InputError(f"no probes are called {name!r}; there are: {', '.join(sets) or 'none'}")
        return trajectory([sets[name][step] for step in sorted(sets[name])], method=method, bootstrap=bootstrap)

    def close(self) -> None:
        """Take the hooks of online tracking off the model, which an error inside a training step leaves there."""
        if self._tap:
            self._tap.__exit__()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Read the probes, and measure the model as it is before the first step."""
        model, step = kwargs["model"], state.global_step
        _refuse_sharded(args, model)
        if args.report_to and not self._handler() and state.is_world_process_zero:
            _logger.warning("patterns are not sent to %s: call tracker.attach(trainer)", ", ".join(args.report_to))
        self.close()
        self._start()
        if self.online:
            if getattr(args, "packing", False) or getattr(args, "padding_free", False):
                raise InputError(PACKED)
            if args.torch_compile:
                raise InputError("a compiled model does not see the gates of online tracking come and go: use probes")
            self._tap = TrainingTap(model)
            self._running = RunningPattern(self._tap.heads, self._placement)
        if not state.is_world_process_zero:
            return
        for probe in self._probes.values():
            probe.begin(model, self._tokenizer or kwargs.get("processing_class"), step)
        if self.schedule.due(step) and step not in self.steps:
            self._measure(args, state, control, model)

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Open the gates of online tracking, which are there in training passes only."""
        if self._tap:
            self._tap.__enter__()

    def on_substep_end(self, *_: Any, **__: Any) -> None:
        """Read the levels of a micro-batch, under gradient accumulation."""
        if self._tap:
            self._running.add(self._tap.read(self._placement))

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Read the levels of the step's last micro-batch."""
        if self._tap:
            self._running.add(self._tap.read(self._placement))
            self._tap.__exit__()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Measure, if it is time."""
        step = state.global_step
        last = control.should_training_stop or step >= state.max_steps
        if self.online and self.online.due(step, last=last):
            self._close_window(args, state, control)
        if self.schedule.due(step, last=last) and state.is_world_process_zero:
            self._measure(args, state, control, kwargs["model"])

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure the last step after all if training was stopped early (unless the best model is in its place)."""
        late = state.global_step not in self.steps and not args.load_best_model_at_end
        if late and self.schedule.due(state.global_step, last=True) and state.is_world_process_zero:
            self._measure(args, state, control, kwargs["model"])

    def _measure(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: nn.Module) -> None:
        logs: dict[str, float] = {}
        for name, probe in self._probes.items():
            levels = probe.measure(model, state.global_step)
            if name not in self._first:
                self._first[name] = probe.sets[min(probe.sets)].pattern()
            logs |= self._record(name, state.global_step, levels.pattern(), loss=float(levels.losses.mean()))
        if logs:
            self._log(logs, args, state, control)

    def _close_window(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        values, examples = self._running.take(args.device)
        if not (examples and state.is_world_process_zero):
            return
        about = {"model": {"step": state.global_step}, "data": {"source": "training batches"}, "examples": examples}
        pattern = Pattern(values.numpy(), {**about, "placement": self._placement, "loss": "mean"})
        self.online_patterns[state.global_step] = pattern
        if self.out:
            (self.out / TRAINING).mkdir(parents=True, exist_ok=True)
            pattern.save(self.out / TRAINING / f"step-{state.global_step:08d}.safetensors")
        self._first.setdefault(TRAINING, pattern)
        self._log(self._record(TRAINING, state.global_step, pattern), args, state, control)

    def _record(self, name: str, step: int, pattern: Pattern, **more: float) -> dict[str, float]:
        """Keep the metrics of one pattern, and name them for the log."""
        first = self._first[name]
        found = {"correlation": pattern.correlation(first), "mse": pattern.mse(first), **more}
        if self._placement != "none":  # of signed means these say nothing
            found |= {"gini": pattern.gini(), "cv": pattern.cv(), "kurtosis": pattern.kurtosis()}
        found = {key: value for key, value in found.items() if isfinite(value)}
        self.metrics.setdefault(name, {})[step] = found
        return {f"headprint/{name}/{key}": value for key, value in found.items()}

    def _log(
        self, logs: dict[str, float], args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        """Do what ``Trainer.log`` does, without disturbing the trainer's own logs (TRL's empties its running means)."""
        logs = {**logs, "epoch": float(state.epoch or 0)}
        state.log_history.append({**logs, "step": state.global_step})
        if handler := self._handler():
            due = control.should_log
            handler.on_log(args, state, control, logs)
            control.should_log = due  # the handler takes this for the trainer's own log of the step


def _refuse_sharded(args: TrainingArguments, model: nn.Module) -> None:
    sharded = any(hasattr(p, "ds_id") or type(p).__name__ in ("DTensor", "FlatParameter") for p in model.parameters())
    if sharded or args.fsdp:
        raise InputError(
            "the weights are sharded over processes (FSDP, ZeRO stage 3, tensor parallelism), and levels are measured "
            "with all of them at hand: train data-parallel or under ZeRO stage 2 at most, or measure the checkpoints"
        )
