"""Models and tokenizers by name: a directory, a hub id, or a model that a package brings along."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from headprint.base.errors import InputError, did_you_mean
from headprint.base.options import LoadingOptions, from_keywords, takes_options
from headprint.base.registry import Registry

MODELS: Registry[Callable[[], str | os.PathLike[str]]] = Registry(
    "headprint.models", "model", {"lab": "headprint.lab:model_path"}
)
"""Models that go by a name of their own. An entry is a function without arguments that returns the model's folder."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
"""Precisions of weights, by the name that the options and ``config.json`` give them."""

_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_UNREADABLE = (OSError, ValueError, ImportError, KeyError)
"""What transformers raises about a model that is missing or cannot be read."""


@takes_options(LoadingOptions)
def load_model(name: str | os.PathLike[str], **fields: Any) -> tuple[nn.Module, Any]:
    """Load a model and its tokenizer.

    Args:
        name: A directory, a hub id, or a registered name such as ``"lab"``, the small model inside this package. A
            directory of a PEFT adapter loads its base model with the adapter on it.
        {options}

    Returns:
        The model in evaluation mode, and its tokenizer.

    Raises:
        InputError: There is no such model, it cannot be read, or it wants remote code. Without ``trust_remote_code``,
            weights are read from safetensors only.
    """
    from transformers import AutoModelForCausalLM

    options = from_keywords(LoadingOptions, None, fields)
    remote_code = options.trust_remote_code
    name = os.fspath(name)
    source = _source(name, "config.json", "adapter_config.json")
    tokenizer = _read_tokenizer(name, source, remote_code)
    placement = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        model = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=DTYPES.get(options.dtype, options.dtype),
            attn_implementation=options.attn_implementation,
            use_safetensors=None if remote_code else True,
            device_map="auto" if placement == "auto" else None,
            trust_remote_code=remote_code,
        )
    except _UNREADABLE as error:
        raise _not_loaded("model", name, source, error) from error
    if placement != "auto":
        try:
            model.to(placement)
        except (RuntimeError, AssertionError) as error:  # the latter: torch was built without CUDA
            raise InputError(f"cannot put the model on device {placement!r}: {str(error).splitlines()[0]}") from error
    if source != name:
        model.config._name_or_path = name  # the registered name, not where this installation has the folder
    return model.eval(), tokenizer


def load_tokenizer(name: str | os.PathLike[str], *, trust_remote_code: bool = False) -> Any:
    """Load a tokenizer without its model.

    Args:
        name: As for :func:`load_model`.
        trust_remote_code: Run code that comes with the tokenizer.

    Raises:
        InputError: There is no such tokenizer, or it cannot be read.
    """
    name = os.fspath(name)
    return _read_tokenizer(name, _source(name), trust_remote_code)


def resolve(model: nn.Module | str | os.PathLike[str], tokenizer: Any = None, **fields: Any) -> tuple[nn.Module, Any]:
    """A loaded model and its tokenizer, for functions that take a model or its name.

    Args:
        model: A model, or a name for :func:`load_model`.
        tokenizer: A tokenizer, or a name for :func:`load_tokenizer`; None is the one that comes with a named model.
        **fields: As for :func:`load_model`; of a model given by name.

    Returns:
        The model as it was given, or loaded in evaluation mode; and the tokenizer, None where a loaded model came
        without one.

    Raises:
        InputError: The model cannot be loaded, or is loaded already and an option says how to load it.
    """
    options = from_keywords(LoadingOptions, None, fields)
    if isinstance(tokenizer, str | os.PathLike):
        tokenizer = load_tokenizer(tokenizer, trust_remote_code=options.trust_remote_code)
    if isinstance(model, str | os.PathLike):
        loaded, own = load_model(model, **options.keywords())
        return loaded, own if tokenizer is None else tokenizer
    default = LoadingOptions().keywords()
    for name, value in options.keywords().items():
        if value != default[name]:
            raise InputError(f"{name} is for a model given by name, and this one is loaded already: leave it out")
    return model, tokenizer


def _source(name: str, *wanted: str) -> str:
    """The folder (which holds one of the wanted files) or the hub id to read ``name`` from."""
    if name in MODELS:
        return os.fspath(MODELS.load(name)())
    path = Path(name)
    if path.exists():
        if wanted and not any((path / file).is_file() for file in wanted):
            raise InputError(f"{name} holds no model: give a directory with {' or '.join(wanted)}, or a hub id")
    elif not _HUB_ID.fullmatch(name):
        raise InputError(f"{name} does not exist: give a directory, a hub id, or one of {', '.join(MODELS.names())}")
    return name


def _read_tokenizer(name: str, source: str, trust_remote_code: bool) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code)
    except _UNREADABLE as error:
        raise _not_loaded("tokenizer", name, source, error) from error


def _not_loaded(what: str, name: str, source: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())
    if Path(source).exists():
        return InputError(f"cannot load the {what} {name!r}: {reason}")
    hint = did_you_mean(name, MODELS.names(), otherwise="check the name and the connection")
    tried = "there is no such directory, so it was looked for on the hub"
    return InputError(f"cannot load the {what} {name!r} ({tried}): {reason}; {hint}")
