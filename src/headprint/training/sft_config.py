"""Settings of a fine-tune: TRL's ``SFTConfig`` and PEFT's ``LoraConfig``, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from headprint.base.errors import InputError, did_you_mean, missing_extra
from headprint.base.options import LossOn

if TYPE_CHECKING:
    from peft import LoraConfig
    from trl import SFTConfig

DEFAULTS: dict[str, Any] = {
    "report_to": "none",  # transformers reports to every service that happens to be installed
    "save_strategy": "no",  # the trained model is always saved; checkpoints if save_steps is given
    "gradient_checkpointing": False,  # costs a fifth of the speed, and most models that fit do not need it
    "logging_nan_inf_filter": False,  # it would hide a loss that is not finite, which ends the run
    "disable_tqdm": True,  # the progress bar is ours
}
"""Where the defaults differ from TRL's. Loss is on the completion, or on the assistant's turns of ``messages`` (TRL's
default is all of a conversation): ``completion_only_loss`` and ``assistant_only_loss`` say otherwise."""

WITHOUT_CUDA: dict[str, Any] = {"use_cpu": True, "bf16": False, "dataloader_pin_memory": False}
"""And on a machine without a CUDA device, where TRL's own fail."""

LORA_DEFAULTS: dict[str, Any] = {"task_type": "CAUSAL_LM", "target_modules": "all-linear"}
"""Where LoRA's defaults differ from PEFT's, which know the projections of some families only."""

_OURS = {
    "output_dir": "give it as out (--out)",
    "model_init_kwargs": "give dtype, attn_implementation and trust_remote_code to train() itself",
    "trust_remote_code": "give it to train() itself (--trust-remote-code)",
    "chat_template_path": "set the tokenizer's chat_template, so that probes and evaluation see it, too",
    "dataset_text_field": "rows have 'text', 'messages', or 'prompt' and 'completion'",
    "truncation_mode": "rows over max_length are cut at the end",
    "resume_from_checkpoint": "say resume=True (--resume)",
}


def resolve(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``SFTConfig`` that are not at TRL's default: ours, then what was given.

    Raises:
        InputError: A field does not exist, has a wrong type, or is set by something else; or TRL is not installed.
    """
    import torch

    try:
        from trl import SFTConfig
    except ImportError as error:
        raise missing_extra("train", "fine-tuning") from error
    checked = check_fields(SFTConfig, given)
    for name, fix in _OURS.items():
        if checked.get(name) is not None and checked[name] != SFTConfig.__dataclass_fields__[name].default:
            raise InputError(f"{name} is not for SFTConfig here: {fix}")
    settings = DEFAULTS | ({} if torch.cuda.is_available() else WITHOUT_CUDA) | checked
    if "save_steps" in checked and "save_strategy" not in checked:
        settings["save_strategy"] = "steps"
    return settings


def sft_config(settings: Mapping[str, Any], out: Path) -> SFTConfig:
    """TRL's configuration.

    Args:
        settings: What :func:`resolve` gave.
        out: Where checkpoints go.

    Raises:
        InputError: A value is not allowed, or two of them contradict one another.
    """
    from transformers.integrations import integration_utils
    from trl import SFTConfig

    prepared = settings.get("packing") or settings.get("eval_packing") or settings.get("shuffle_dataset")
    try:
        # Rows come tokenised; TRL has something left to do only where it packs or shuffles them.
        kwargs = {**(settings.get("dataset_kwargs") or {}), "skip_prepare_dataset": not prepared}
        config = SFTConfig(**current_names({**settings, "output_dir": str(out), "dataset_kwargs": kwargs}))
        integration_utils.get_reporting_integration_callbacks(config.report_to)
    except (ValueError, TypeError, ImportError) as error:
        raise InputError(f"SFTConfig: {one_line(error)}") from error
    for service in config.report_to:
        installed = getattr(integration_utils, f"is_{service}_available", None)
        if installed and not installed():
            raise InputError(
                f"report_to names {service!r}, which is not installed: pip install {service}, or leave it out"
            )
    return config


def current_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by the names that this version of transformers uses.

    Recent ones warn of ``gradient_checkpointing``, which TRL still has, and call it ``activation_checkpointing``.
    """
    from trl import SFTConfig

    names = {field.name for field in fields(SFTConfig)}
    found = dict(settings)
    for old in ("gradient_checkpointing", "gradient_checkpointing_kwargs"):
        new = old.replace("gradient", "activation")
        if old in found and new in names:
            found.setdefault(new, found.pop(old))
    return found


def lora_config(given: Mapping[str, Any]) -> LoraConfig:
    """PEFT's configuration.

    Raises:
        InputError: A field does not exist, or a value is not allowed.
    """
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise missing_extra("train", "fine-tuning") from error
    try:
        return LoraConfig(**(LORA_DEFAULTS | check_fields(LoraConfig, given)))
    except (ValueError, TypeError) as error:
        raise InputError(f"LoraConfig: {one_line(error)}") from error


def loss_on(settings: Mapping[str, Any]) -> LossOn:
    """Which tokens carry loss, in headprint's word for TRL's two switches."""
    if settings.get("assistant_only_loss"):
        return "assistant"
    completion = settings.get("completion_only_loss")
    if completion is None and settings.get("assistant_only_loss") is None:
        return "auto"
    return "completion" if completion else "all"


def check_fields(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values for the fields of a dataclass, each of its type; numbers that YAML reads as text become numbers.

    Raises:
        InputError: Names the field, and the nearest name there is or the type that is wanted.
    """
    names = [field.name for field in fields(kind) if field.init]
    hints = get_type_hints(kind)
    checked = {}
    for name, value in given.items():
        if name not in names:
            hint = did_you_mean(name, names, otherwise=f"see the documentation of {kind.__name__}")
            raise InputError(f"{kind.__name__} has no field {name!r}: {hint}")
        checked[name] = _number(value, hints[name])
        if not _fits(checked[name], hints[name]):
            raise InputError(f"{kind.__name__}: {name} is {value!r}; it wants {_wanted(hints[name])}")
    return checked


def _number(value: Any, hint: Any) -> Any:
    if isinstance(value, str) and not _fits(value, hint) and _fits(0.5, hint):
        try:  # YAML 1.1 takes 5e-3 for text
            return float(value)
        except ValueError:
            return value
    return value


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    kind = origin or hint
    if kind is Any or not isinstance(kind, type):
        return True
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int | float)
    if issubclass(kind, Enum):
        return isinstance(value, str | kind)
    return isinstance(value, kind)


def _wanted(hint: Any) -> str:
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else [hint]
    return " or ".join("null" if part is NoneType else getattr(part, "__name__", str(part)) for part in parts)


def one_line(error: Exception) -> str:
    """What a library says, without its line breaks."""
    return " ".join(str(error).split())
