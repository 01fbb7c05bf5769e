"""What a model is: its weights' hash, its kernel, dtype and device, and how much it can read."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypedDict

import torch
from torch import nn

from headprint.models.heads import unwrap


class Limits(TypedDict):
    """What the rows that a model reads may hold, as keyword arguments of :class:`headprint.data.ExampleStream`.

    Attributes:
        context: Tokens of a row at most; None where the model sets no limit.
        vocabulary: Token ids and labels are below this.
    """

    context: int | None
    vocabulary: int


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


def limits(model: nn.Module) -> Limits:
    """How long a row the model reads, and which token ids it knows.

    A longer row runs out of learned positions in the middle of a batch, or, with rotary ones, is read at positions
    that the model never saw in training, without a word. The context is ``max_position_embeddings`` of the config, or
    what its YaRN, linear or dynamic scaling stretches that to.
    """
    causal = unwrap(model)
    config = causal.config.get_text_config(decoder=True)
    sizes = [config.vocab_size]
    for embedding in (causal.get_input_embeddings(), causal.get_output_embeddings()):
        weight = getattr(embedding, "weight", None)
        if weight is not None and weight.ndim == 2 and weight.is_floating_point():  # not packed by a quantisation
            sizes.append(len(weight))
    return {"context": _context(config), "vocabulary": min(sizes)}


def _context(config: Any) -> int | None:
    length = getattr(config, "max_position_embeddings", None) or getattr(config, "max_seq_len", None)
    if not isinstance(length, int) or getattr(config, "alibi", False):
        return None
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") in ("yarn", "linear", "dynamic") and rope.get("factor"):
        trained = rope.get("original_max_position_embeddings") or length
        return max(length, int(trained * rope["factor"]))
    return length
