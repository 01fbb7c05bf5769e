"""Supervised fine-tuning by TRL's ``SFTTrainer``, in a directory that can be replayed and resumed.

    trained = headprint.train("lab", "train.jsonl", "runs/math", sft={"learning_rate": 1e-3, "num_train_epochs": 2})
    trained.model, trained.tokenizer          # or later: headprint.models.load_model("runs/math/model")

The loop is TRL's. This module adds the rest: rows become tokens and labels as everywhere in headprint (equal to TRL's),
settings are checked before a model is loaded, and the run is recorded (:mod:`headprint.training.run_directory`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from headprint import models
from headprint.base import provenance
from headprint.base.errors import InputError
from headprint.base.files import to_json
from headprint.base.options import TrainOptions, from_keywords, takes_options
from headprint.base.run_directory import RunDirectory
from headprint.data import Source, rows
from headprint.data.examples import ExampleStream
from headprint.measure.batching import is_out_of_memory
from headprint.models.heads import unwrap
from headprint.patterns import Pattern, PatternSet
from headprint.training import run_directory as directory
from headprint.training.callbacks import LossMeter, ProgressCallback, StopOnDivergence, TokenCounter, check_result
from headprint.training.heads import adapter_on, chosen_heads, slices_of, spelled, training_only
from headprint.training.run_directory import CHECKPOINTS, MODEL, TRACKING, TRAINING_RUN, UNFINISHED_MODEL
from headprint.training.sft_config import lora_config, loss_on, one_line, resolve, sft_config
from headprint.training.tracker import PatternTracker

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTTrainer

PACKAGES = ("trl", "peft", "accelerate")
"""Whose versions matter to a training, beside :data:`headprint.base.provenance.PACKAGES`."""


@dataclass
class Trained:
    """A finished fine-tune.

    Attributes:
        out: Its directory.
        model: The trained model in evaluation mode, under LoRA with the adapter on it.
        tokenizer: Its tokenizer.
        steps: Optimizer steps.
        rows: Rows seen by training passes, a row of every epoch counted again.
        tokens: Supervised tokens seen, likewise.
        loss: Mean training loss over all steps, those before a resumption included, in nats per token.
        seconds: Of training, without loading and saving; of a resumed run, since it was resumed.
        log: What the trainer logged: dicts with ``step`` and ``loss``, ``learning_rate``, ``headprint/...``
        report: How many rows were read, cut and dropped (:class:`headprint.data.examples.Report`).
        tracker: What followed the patterns, if ``track`` was given; None for a run that was finished before.
        main: Whether this process is the one that writes and prints.
    """

    out: Path
    model: nn.Module = field(repr=False)
    tokenizer: Any = field(repr=False)
    steps: int
    rows: int
    tokens: int
    loss: float
    seconds: float
    log: list[dict[str, Any]] = field(repr=False)
    report: dict[str, Any] = field(repr=False)
    tracker: PatternTracker | None = field(default=None, repr=False)
    main: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON: the content of ``trained.json``."""
        names = ("steps", "rows", "tokens", "loss", "seconds", "log", "report")
        return {name: getattr(self, name) for name in names}


@takes_options(TrainOptions)
def train(
    model: str | Path | nn.Module,
    data: Source,
    out: str | Path,
    *,
    tokenizer: Any = None,
    sft: Mapping[str, Any] | None = None,
    lora: Mapping[str, Any] | None = None,
    heads: str | Sequence[str | Sequence[int]] | None = None,
    heads_from: str | Path | Pattern | PatternSet | None = None,
    eval_data: Source | None = None,
    track: Mapping[str, Any] | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    resume: bool = False,
    show_progress: bool = False,
    options: TrainOptions | None = None,
    **fields: Any,
) -> Trained:
    """Fine-tune a causal language model on rows, by TRL's ``SFTTrainer``.

    Under ``accelerate launch`` or ``torchrun`` every process calls this; the first one writes.

    Args:
        model: A directory (of a model, or of an adapter: its training goes on), a hub id or ``"lab"``; or a loaded
            model, which is then trained in place.
        data: Rows, as for :func:`headprint.extract`.
        out: Directory of the run: new, empty, or with ``resume`` that of the same run.
        tokenizer: Of a loaded model; None for one that is loaded here.
        sft: Fields of ``trl.SFTConfig``, over :data:`headprint.training.sft_config.DEFAULTS`.
        lora: Fields of ``peft.LoraConfig``, over :data:`headprint.training.sft_config.LORA_DEFAULTS`; None trains all
            weights.
        heads: Train these attention heads alone, everything else frozen to the bit (:mod:`headprint.training.heads`):
            ``"top:10%"``, ``"top:N"``, ``"random:10%"`` (as many of each layer, drawn by the seed of ``sft``), a JSON
            file of heads, or the heads themselves, such as ``"3.1,3.2"`` or ``[(3, 1), (3, 2)]``.
        heads_from: What ``"top"`` ranks heads by: a pattern or change, or a pattern set (by its mean head gradients if
            it has sketches).
        eval_data: Held-out rows for the trainer's evaluation loss; each epoch, unless ``sft`` says otherwise.
        track: Arguments of :class:`headprint.training.tracker.PatternTracker`, whose sets go to ``out/tracking``.
        callbacks: More of transformers' callbacks. They are not part of what is replayed.
        resume: Go on from the last checkpoint of a stopped run (from the start if it has none), or return a finished
            run as it is. Every setting must be the same.
        show_progress: Show a progress bar on stderr.
        options: All of the following in one object; keyword arguments take precedence over it.
        {options}

    Raises:
        InputError: Something about the input is wrong; the loss was no longer a number; or ``out`` holds something
            else, a run with other settings, or one that another process is writing. What was saved stays.
    """
    given = from_keywords(TrainOptions, options, fields)
    settings = resolve(sft or {})
    data = list(data) if isinstance(data, Iterator) else data
    eval_data = list(eval_data) if isinstance(eval_data, Iterator) else eval_data
    if eval_data is not None:
        settings.setdefault("eval_strategy", "epoch")
    adapter = None if lora is None else lora_config(lora)
    out = Path(out)
    args = sft_config(settings, out / CHECKPOINTS)
    if heads_from is not None and heads is None:
        raise InputError("heads_from ranks heads, and none are asked for: give heads, too, such as top:10%")
    if heads is not None and "target_modules" in (lora or {}):
        raise InputError("heads say which modules an adapter is on: leave out target_modules")
    chosen = None if heads is None else chosen_heads(heads, heads_from, seed=args.seed)
    sources: dict[str, Source] = {}
    config = {
        "model": directory.model_name(model),
        "data": directory.source_name(data, "data.jsonl", sources),
        "data_sha256": rows.fingerprint(data, split=given.split),
        "eval_data": None if eval_data is None else directory.source_name(eval_data, "eval.jsonl", sources),
        **given.settings(),
        "sft": settings,
        "lora": None if lora is None else dict(lora),
        "heads": None if chosen is None else spelled(chosen),
        "track": None if track is None else directory.track_names(track, sources),
        "versions": {**provenance.versions(), **{name: version(name) for name in PACKAGES}},
    }
    begun_with = directory.comparable(config)
    main = args.process_index == 0
    run = RunDirectory(out, TRAINING_RUN)
    if main:
        run.check(begun_with, resume=resume)
    tracker = _tracker(track, out / TRACKING)
    args.distributed_state.wait_for_everyone()  # nobody looks for a finished run before it was checked
    if (done := directory.read_result(out)) is not None:
        loaded, own = models.load_model(str(out / MODEL))
        return Trained(out, loaded, own, **done, main=main)

    if not isinstance(model, nn.Module):
        model, tokenizer = _load(str(model), tokenizer, adapter, given)
    slices = None
    if chosen is not None:
        if hasattr(model, "peft_config"):
            raise InputError("the model has an adapter already: heads are chosen in a whole model or in a new adapter")
        slices = slices_of(model, chosen)
        adapter = adapter and adapter_on(slices, adapter)
    if args.eos_token and tokenizer is not None:
        tokenizer.eos_token = args.eos_token
    reading: dict[str, Any] = {"loss_on": loss_on(settings), "split": given.split, **models.limits(model)}
    if args.packing:  # TRL cuts what it packs
        reading["context"] = None
    else:
        reading["max_length"] = args.max_length
    stream = ExampleStream(data, tokenizer, limit=given.limit, **reading)
    dataset = _dataset(stream)
    held_out = None if eval_data is None else _dataset(ExampleStream(eval_data, tokenizer, **reading))

    counter, meter, bar = TokenCounter(), LossMeter(), ProgressCallback(enabled=show_progress)
    forward = unwrap(model).__dict__.get("forward")
    with run.begin(directory.to_yaml(config), begun_with, resume=resume) if main else nullcontext(), _explained(out):
        if main and not run.resumed:
            directory.write_sources(out, sources)
        trainer = _trainer(
            model,
            args=args,
            train_dataset=dataset,
            eval_dataset=held_out,
            processing_class=tokenizer,
            peft_config=adapter,
            callbacks=[*callbacks, *([tracker] if tracker else []), counter, meter, bar, StopOnDivergence()],
            meter=meter,
        )
        for callback in (*callbacks, tracker):
            if isinstance(callback, PatternTracker):
                callback.attach(trainer)
        started = time.perf_counter()
        checkpoint = directory.last_checkpoint(out)
        only = nullcontext() if slices is None else training_only(trainer.model, slices)
        try:
            with only as putting_back:
                if putting_back is not None:
                    trainer.add_callback(putting_back)
                outcome = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        finally:
            for follower in (counter, bar, tracker):
                if follower:
                    follower.close()
        seconds = time.perf_counter() - started
        loss = meter.mean(outcome.global_step, args.device)
        check_result(trainer.model, loss, outcome.global_step)

        rows_seen, tokens_seen = counter.over_ranks(args.device)
        result = Trained(
            out,
            _restored(trainer.model, forward),
            tokenizer,
            steps=outcome.global_step,
            rows=rows_seen,
            tokens=tokens_seen,
            loss=loss,
            seconds=seconds,
            log=[
                entry | {"train_loss": loss} if "train_loss" in entry else entry for entry in trainer.state.log_history
            ],
            report=stream.report.to_dict(),
            tracker=tracker,
            main=main,
        )
        _save(trainer, out, main=main)
        if main:
            run.finish(f"{to_json(result.to_dict(), indent=1)}\n".encode())
    return result


@contextmanager
def _explained(out: Path) -> Iterator[None]:
    """One line that says what to do for what goes wrong while a model trains: no memory, no room on the disk.

    Args:
        out: The run's directory.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise InputError(
                "out of memory: lower per_device_train_batch_size (and raise gradient_accumulation_steps as much), "
                "set gradient_checkpointing to true, or train an adapter (lora)"
            ) from error
        if explained := directory.write_error(error, out):
            raise explained from error
        raise


def _save(trainer: SFTTrainer, out: Path, *, main: bool) -> None:
    """Save the model beside its place and rename it: what is called ``model`` is whole."""
    unfinished = out / UNFINISHED_MODEL
    try:
        trainer.save_model(str(unfinished))  # by all processes: sharded weights are gathered
        if not main:
            return
        (unfinished / "training_args.bin").unlink(missing_ok=True)  # a pickle, and config.yaml says it all
        shutil.rmtree(out / MODEL, ignore_errors=True)  # of a run that was killed before its result was written
        unfinished.rename(out / MODEL)
    finally:
        if main:
            shutil.rmtree(unfinished, ignore_errors=True)  # which would fill the disk further
    with suppress(OSError):
        (out / CHECKPOINTS).rmdir()  # which the trainer makes even if it saves none


def _tracker(track: Mapping[str, Any] | None, out: Path) -> PatternTracker | None:
    if track is None:
        return None

    try:
        return PatternTracker(**track, out=out)
    except TypeError as error:
        raise InputError(f"track: {one_line(error)}; see headprint.PatternTracker") from error


def _load(name: str, tokenizer: Any, adapter: LoraConfig | None, given: TrainOptions) -> tuple[nn.Module, Any]:
    # On the host: the trainer takes each process's copy to its own device.
    options: dict[str, Any] = {
        "dtype": given.dtype or "float32",
        "device": "cpu",
        "attn_implementation": given.attn_implementation,
        "trust_remote_code": given.trust_remote_code,
    }
    if not (Path(name) / "adapter_config.json").is_file():
        model, own = models.load_model(name, **options)
        return model, tokenizer or own
    if adapter is not None:
        raise InputError(f"{name} is an adapter already, and its training goes on: leave out lora (--lora)")
    from peft import PeftConfig, PeftModel

    model, own = models.load_model(str(PeftConfig.from_pretrained(name).base_model_name_or_path), **options)
    if (Path(name) / "tokenizer_config.json").is_file():
        own = models.load_tokenizer(name, trust_remote_code=given.trust_remote_code)
    return PeftModel.from_pretrained(model, name, is_trainable=True), tokenizer or own


def _dataset(stream: ExampleStream) -> Dataset:
    """Tokens and labels, four bytes each, for the trainer."""
    import pyarrow as pa
    from datasets import Dataset

    columns: dict[str, list[pa.Array]] = {"input_ids": [], "labels": []}
    examples = iter(stream)
    while some := list(islice(examples, 1024)):
        for name, arrays in columns.items():
            arrays.append(pa.array([getattr(example, name) for example in some], pa.list_(pa.int32())))
    return Dataset.from_dict({name: pa.chunked_array(arrays) for name, arrays in columns.items()})


def _trainer(model: nn.Module, **options: Any) -> SFTTrainer:
    from transformers import PrinterCallback

    from headprint.training.trainer import MeteredTrainer

    try:
        trainer = MeteredTrainer(model, **options)
    except (ValueError, TypeError, ImportError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"SFTTrainer: {one_line(error)}") from error
    trainer.remove_callback(PrinterCallback)  # it prints logs on stdout, where results belong
    return trainer


def _restored(model: nn.Module, forward: Any) -> nn.Module:
    """The model in evaluation mode, without the forward that TRL and accelerate put in its place."""
    causal = unwrap(model)
    for module in (model, causal):
        module.__dict__.pop("forward", None)
    if forward is not None:
        causal.forward = forward
    return model.eval()
