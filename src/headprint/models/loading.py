"""Models and tokenizers: loading them, what they are (for provenance), and settings lent for one call."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from headprint.base.errors import InputError
from headprint.models.heads import unwrap

EMBEDDED = "lab"
"""The name of the small model that is shipped inside the package."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}

_LOWER = ("bfloat16", "float16")

_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


def load(
    name: str,
    *,
    dtype: str = "auto",
    device: str | None = None,
    attn_implementation: str | None = None,
    trust_remote_code: bool = False,
) -> tuple[nn.Module, Any]:
    """Load a model and its tokenizer.

    Args:
        name: A directory, a hub id, or ``"lab"`` for the embedded model. A directory of a PEFT adapter loads its base
            model with the adapter on it.
        dtype: ``"auto"`` as stored, or ``"float32"``, ``"bfloat16"``, ``"float16"``, ``"float64"``.
        device: Such as ``"cuda"`` or ``"cpu"``; ``"auto"`` spreads the model over all devices (accelerate); None is
            the accelerator if there is one.
        attn_implementation: Attention kernel; None is the model's default.
        trust_remote_code: Run code that comes with the model. Off, and weights are read from safetensors only.

    Raises:
        InputError: There is no such model, it cannot be read, or it wants remote code.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if dtype != "auto" and dtype not in DTYPES:
        raise InputError(f"dtype is {dtype!r}: want auto or one of {', '.join(DTYPES)}")
    embedded = name == EMBEDDED
    if embedded:
        from headprint.lab import model_path

        name = str(model_path())
    here = Path(name).exists()
    if not _holds_model(Path(name)) and (here or not _HUB_ID.fullmatch(name)):
        what = "holds no model" if here else "does not exist"
        raise InputError(f"{name} {what}: want a directory with config.json (or adapter_config.json), or a hub id")
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    placement = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
        model = AutoModelForCausalLM.from_pretrained(
            name,
            dtype=dtype if dtype == "auto" else DTYPES[dtype],
            attn_implementation=attn_implementation,
            use_safetensors=None if trust_remote_code else True,
            device_map="auto" if placement == "auto" else None,
            **options,
        )
    except (OSError, ValueError, ImportError, KeyError) as error:
        reason = " ".join(str(error).split())
        tried = "" if here else " (there is no such directory, so it was looked for on the hub)"
        raise InputError(f"cannot load the model {name!r}{tried}: {reason}") from error
    if placement != "auto":
        try:
            model.to(placement)
        except (RuntimeError, AssertionError) as error:  # the latter: torch was built without CUDA
            raise InputError(f"cannot put the model on device {placement!r}: {str(error).splitlines()[0]}") from error
    if embedded:
        model.config._name_or_path = EMBEDDED  # not the path of this installation
    return model.eval(), tokenizer


def _holds_model(directory: Path) -> bool:
    return any((directory / name).is_file() for name in ("config.json", "adapter_config.json"))


def fingerprint(model: nn.Module) -> str:
    """A hash of every parameter: name, shape, dtype and bits. Reads the weights once, on their device.

    Two models share it only if they hold the same weights, wherever they were loaded from: what a resumed run and a
    comparison need to know. Rows of each tensor are hashed by ``torch.hash_tensor``, the row hashes by SHA-256.
    """
    digest = hashlib.sha256()
    for path, module in unwrap(model).named_modules():
        with _weights_at_hand(module):
            for name, parameter in module.named_parameters(prefix=path, recurse=False):
                digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}".encode())
                if parameter.numel():
                    rows = parameter.detach().reshape(len(parameter) if parameter.dim() > 1 else 1, -1)
                    digest.update(torch.hash_tensor(rows, dim=1).cpu().numpy().tobytes())
    return digest.hexdigest()[:32]


def _weights_at_hand(module: nn.Module) -> AbstractContextManager[object]:
    """Weights that accelerate keeps elsewhere (host memory, disk) are brought in for the block."""
    if all(parameter.device.type != "meta" for parameter in module.parameters(recurse=False)):
        return nullcontext()
    from accelerate.utils import align_module_device

    return align_module_device(module, torch.device("cpu"))  # type: ignore[no-any-return]


def describe(model: nn.Module) -> dict[str, Any]:
    """What a reader of a pattern wants to know of the model it came from (JSON-able)."""
    causal = unwrap(model)
    config = causal.config
    adapters = getattr(model, "peft_config", None) or getattr(causal, "peft_config", {})
    return {
        "id": str(getattr(config, "_name_or_path", "") or type(causal).__name__),
        "revision": getattr(config, "_commit_hash", None),
        "family": config.model_type,
        "class": type(causal).__name__,
        "parameters": sum(p.numel() for p in causal.parameters()),
        "adapters": list(adapters),
    }


def kernel(model: nn.Module) -> str:
    """The attention kernel in use, as transformers names it."""
    return str(getattr(unwrap(model).config, "_attn_implementation", None) or "eager")


def dtype_name(model: nn.Module) -> str:
    """The dtype of the model's floating-point weights, such as ``"bfloat16"``."""
    floating = (p.dtype for p in model.parameters() if p.is_floating_point())
    return str(next(floating, torch.float32)).removeprefix("torch.")


def input_device(model: nn.Module) -> torch.device:
    """Where token ids go: the device on which the input embedding runs."""
    embedding = unwrap(model).get_input_embeddings()
    where = getattr(
        getattr(embedding, "_hf_hook", None), "execution_device", None
    )  # accelerate's, if it keeps weights away
    if where is not None:
        return torch.device(where)
    weight = getattr(embedding, "weight", None)
    return weight.device if weight is not None else next(model.parameters()).device


def _configs(config: Any) -> Iterator[Any]:
    """A config and those of its parts, which may name kernels of their own."""
    yield config
    for name in getattr(config, "sub_configs", {}):
        if (part := getattr(config, name, None)) is not None:
            yield from _configs(part)


@contextmanager
def using_kernel(model: nn.Module, attn_implementation: str | None) -> Iterator[None]:
    """Lend the model another attention kernel, and give its own back.

    Raises:
        InputError: The model or this machine does not have that kernel.
    """
    if attn_implementation in (None, kernel(model)):
        yield
        return
    causal = unwrap(model)
    owners = [module.config for module in causal.modules() if hasattr(module, "set_attn_implementation")]
    before = {id(c): (c, c._attn_implementation) for owner in owners for c in _configs(owner)}
    try:
        causal.set_attn_implementation(attn_implementation)
    except (ValueError, ImportError) as error:
        raise InputError(
            f"{type(causal).__name__} cannot use attention kernel {attn_implementation!r}: {error}"
        ) from error
    try:
        yield
    finally:
        for config, own in before.values():
            config._attn_implementation = {"": own}  # of this config alone, its parts keep theirs


@contextmanager
def computing_in(model: nn.Module, dtype: str | None) -> Iterator[None]:
    """Matrix products in a lower precision by autocast; what happens between them, such as the sums along the residual
    stream, in float32. The weights are float32 or of that precision already, and stay as they are.

    Raises:
        InputError: The dtype is unknown, the weights are of another, or the model's own code mixes the two up.
    """
    own = dtype_name(model)
    if dtype is None:
        yield
        return
    if dtype not in _LOWER:
        raise InputError(f"compute_dtype is {dtype!r}: it wants one of {', '.join(_LOWER)}")
    if own not in ("float32", dtype):
        raise InputError(f"the model's weights are {own}: load it in float32 or {dtype} to compute in {dtype}")
    try:
        stream = nullcontext() if own == "float32" else _wide_stream(model)
        with stream, torch.autocast(input_device(model).type, DTYPES[dtype]):
            yield
    except RuntimeError as error:
        if not re.search("dtype|scalar type|convert", str(error)):
            raise
        raise InputError(
            f"{type(unwrap(model)).__name__} does not compute in {dtype} by autocast ({str(error).splitlines()[0]}): "
            f"load it in {dtype} or float32, without compute_dtype"
        ) from error


@contextmanager
def _wide_stream(model: nn.Module) -> Iterator[None]:
    """Autocast keeps float32 what is float32: here the embeddings' output and, for the norms, the weights that are
    vectors. Matrices, which are nearly all of a model, are not copied."""
    vectors = [(p, p.data) for p in model.parameters() if p.ndim < 2 and p.is_floating_point()]
    hook = unwrap(model).get_input_embeddings().register_forward_hook(lambda _, __, embedded: embedded.float())
    try:
        for parameter, data in vectors:
            parameter.data = data.float()
        yield
    finally:
        hook.remove()
        for parameter, data in vectors:
            parameter.data = data
