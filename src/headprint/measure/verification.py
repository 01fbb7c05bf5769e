"""Whether the activation levels of a model are exact: measured, not assumed.

A tiny batch goes through the path that extraction takes (:mod:`headprint.measure.levels`) and through the slow
reference (:mod:`headprint.measure.oracle`), and the numbers are compared. Extraction does this by itself for a model
whose code headprint's own tests have not covered, and refuses with the reason.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from importlib.resources import files
from inspect import isfunction
from math import inf
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from headprint.data.tokenization import IGNORE
from headprint.measure.levels import Batch, measure
from headprint.measure.oracle import materialised_levels
from headprint.measure.tap import Tap
from headprint.models import frozen, input_device, kernel, resolve, using_kernel
from headprint.models.heads import HeadMap, UnsupportedModel, locate, unwrap

_KERNELS = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flash_attention_4", "flex_attention")

_LIBRARIES = {"torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes", "headprint"}
"""Whose modules, forwards and hooks leave a known model known."""

_PRECISIONS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)

TOLERANCE = dict(zip(_PRECISIONS, (1e-6, 1e-5, 5e-2, 5e-2), strict=True))
"""Largest error within one kernel that is rounding, as a share of the largest level. Typical are 1e-15, 2e-7, 3e-4 and
2e-3; some models compute in float32 inside whatever their dtype. A wrong formula is wrong by 1e-2 at the very least."""

ACROSS = dict(zip(_PRECISIONS, (1e-5, 1e-3, inf, inf), strict=True))
"""The same between kernels and shapes, which round differently: eager attention's softmax is float32 even in a float64
model. In half precision another rounding may send a token to another expert, so there the error is only reported."""

IN_BATCH = dict(zip(_PRECISIONS, (1e-6, 1e-5, 5e-2, 5e-2), strict=True))
"""How much the other rows and the padding of a batch may change an example's levels; most models: not a bit."""


@dataclass(frozen=True)
class Verification:
    """What was found out about one model.

    Attributes:
        exact: Whether levels are those of the definition, up to rounding.
        reason: Why not, or what was compared.
        family: ``model_type`` of the config.
        model_class: Class of the causal language model.
        dtype: In which the comparison ran.
        kernel: The model's own attention kernel.
        tolerance: Largest error that counts as exact within one kernel.
        error_within_kernel: Largest |ours - oracle| over the largest |oracle|, both under eager attention and one
            example at a time.
        error_across_kernels: Likewise, ours under the model's own kernel and in one padded batch.
        error_in_batch: How far an example's levels move when the rest of its batch and its padding are other tokens.
        layer_errors: Row of the pattern -> the largest error of that layer over its largest level.
        absent: Row of the pattern -> why it has no heads.
    """

    exact: bool
    reason: str
    family: str
    model_class: str
    dtype: str
    kernel: str
    tolerance: float
    error_within_kernel: float | None = None
    error_across_kernels: float | None = None
    error_in_batch: float | None = None
    layer_errors: dict[int, float] = field(default_factory=dict)
    absent: dict[int, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def verify(
    model: nn.Module | str | os.PathLike[str],
    examples: Sequence[tuple[Tensor, Tensor]] | None = None,
    *,
    tolerance: float | None = None,
    **loading: Any,
) -> Verification:
    """Compare a model's activation levels with the materialised attention times its gradient.

    Args:
        model: A causal language model, bare or wrapped, or the name of one (:func:`headprint.load_model`).
        examples: Token ids (T,) and labels (T,) of a few short examples of different lengths; random ones if None.
        tolerance: Largest relative error that counts as exact; by the model's dtype (:data:`TOLERANCE`) if None.
        loading: ``dtype``, ``device``, ``attn_implementation`` and ``trust_remote_code`` of a model given by name.

    Returns:
        The verdict with its numbers. An unsupported model is a verdict too, not an error.
    """
    model, _ = resolve(model, **loading)
    causal: Any = unwrap(model)
    dtype = next(p.dtype for p in causal.parameters() if p.is_floating_point())
    limit = TOLERANCE[dtype] if tolerance is None else tolerance
    about: dict[str, Any] = {
        "family": causal.config.model_type,
        "model_class": type(causal).__name__,
        "dtype": str(dtype).removeprefix("torch."),
        "kernel": kernel(model),
        "tolerance": limit,
    }
    examples = [(ids.to(input_device(model)), labels) for ids, labels in examples or random_examples(causal)]
    try:
        heads = locate(model)
        reference = materialised_levels(model, examples, heads=heads)
        with using_kernel(causal, "eager"):
            alone = torch.cat([_tapped(model, heads, [example]) for example in examples])
        batch = _tapped(model, heads, examples)
        shortest = min(examples, key=lambda example: len(example[0]))
        beside_others = [_beside_others(model, heads, shortest, seed) for seed in (1, 2)]
    except UnsupportedModel as error:
        return Verification(exact=False, reason=str(error), **about)
    except Exception as error:  # whatever a model does on a plain batch, it is not known to be exact
        return Verification(exact=False, reason=f"the check itself failed: {type(error).__name__}: {error}", **about)

    within, across, in_batch = _error(alone, reference), _error(batch, reference), _error(*beside_others)
    if not within <= limit:
        reason = f"differs from the materialised attention times its gradient by {within:.1e} of the largest level"
    elif not in_batch <= IN_BATCH[dtype]:
        reason = f"an example's levels depend on other rows or on its padding, by {in_batch:.1e}: "
        reason += _without_mask(causal) or "not a causal model, or one that needs left padding"
    elif not across <= ACROSS[dtype]:
        reason = f"kernel {kernel(model)} on a padded batch differs from eager attention on single rows by {across:.1e}"
    else:
        reason = ""
    return Verification(
        exact=not reason,
        reason=reason or "equal to the materialised attention times its gradient",
        error_within_kernel=within,
        error_across_kernels=across,
        error_in_batch=in_batch,
        layer_errors={s.layer: _error(alone[:, s.layer], reference[:, s.layer]) for s in heads.sites},
        absent=heads.absent,
        **about,
    )


def _without_mask(causal: Any) -> str:
    """Whether the attention function has no mask function, without which transformers gives it no causal mask."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS as MASKS

    name = causal.config.get_text_config(decoder=True)._attn_implementation
    if name in MASKS:
        return ""
    return (
        f"attention function {name!r} is registered without its mask function, so it runs without a causal mask; "
        f"register one: transformers.AttentionMaskInterface.register({name!r}, …), such as masking_utils.sdpa_mask"
    )


def ensure_exact(model: nn.Module) -> None:
    """Refuse a model whose levels would not be exact; silent and nearly free for code that the tests cover.

    Raises:
        UnsupportedModel: With the reason.
    """
    if known_exact(model):
        return
    verdict = verify(model)
    if not verdict.exact:
        why = f" (checked because {changed})" if (changed := altered(model)) else ""
        raise UnsupportedModel(f"{verdict.model_class}: levels would not be exact: {verdict.reason}{why}")


def known_exact(model: nn.Module) -> bool:
    """Whether headprint's tests found this very code exact.

    That is a class of transformers in the version that was tested, with nothing about the model that its class did not
    put there (:func:`altered`), under a kernel of transformers' own. A class that can be causal or not is known only if
    nothing in its config says that it is not.
    """
    import transformers

    causal, table = unwrap(model), coverage()
    return (
        kernel(causal) in _KERNELS
        and all(getattr(causal.config, flag, True) is not False for flag in ("is_decoder", "causal"))
        and (
            type(causal).__module__.startswith("transformers.models.")
            and transformers.__version__ == table["transformers"]
            and type(causal).__name__ in table["classes"]
        )
        and not altered(causal)
    )


def altered(model: nn.Module) -> str:
    """What about a model is not the tested code of its class, in a few words; empty if nothing is.

    Looks at the class and the forward of every module, at hooks, at the kernel, and at the source file of the model's
    class. It costs milliseconds, so that it can be done for every model.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    causal = unwrap(model)
    for name, module in causal.named_modules():
        where = name or type(causal).__name__
        if not _of_a_library(type(module)):
            return f"{where} is of {type(module).__module__}"
        if not _of_a_library(module.forward):
            return f"the forward of {where} was replaced"
        hooks = (*module._forward_pre_hooks.values(), *module._forward_hooks.values(), *module._backward_hooks.values())
        if not all(_of_a_library(hook) for hook in hooks):
            return f"{where} has a hook"
    for site in locate(causal).sites:
        if getattr(site.attention, "is_causal", True) is False:
            return f"is_causal is False on the attention of layer {site.layer}"
    if (function := ALL_ATTENTION_FUNCTIONS.get(kernel(causal))) and not _of_a_library(function):
        return f"attention function {kernel(causal)!r} was replaced"
    code = sys.modules[type(causal).__module__]
    if replaced := [n for n, value in vars(code).items() if isfunction(value) and not _of_a_library(value)]:
        return f"{replaced[0]} of {code.__name__} was replaced"
    if source_hash(code.__name__) != coverage()["code"].get(code.__name__):
        return f"the source of {code.__name__} is not that of transformers {coverage()['transformers']}"
    return ""


def _of_a_library(thing: Any) -> bool:
    """Whether a class, a function, a method, a partial or a callable object comes from one of the known libraries."""
    while isinstance(thing, partial):
        thing = thing.func
    module = getattr(thing, "__module__", None) or type(thing).__module__
    return module.partition(".")[0] in _LIBRARIES | sys.stdlib_module_names


@cache
def source_hash(module: str) -> str:
    """A hash of the source file of a module that is imported already."""
    return hashlib.sha256(Path(str(sys.modules[module].__file__)).read_bytes()).hexdigest()[:16]


@cache
def coverage() -> dict[str, Any]:
    """The shipped table: which classes headprint's tests found exact in which version of transformers."""
    table: dict[str, Any] = json.loads(files("headprint.measure").joinpath("coverage.json").read_text())
    return table


def random_examples(
    model: nn.Module, *, lengths: Sequence[int] = (12, 7), seed: int = 0
) -> list[tuple[Tensor, Tensor]]:
    """Random token ids with a supervised second half.

    Args:
        model: Gives the vocabulary; ids that its config names as special are left out.
        lengths: Tokens of each example.
        seed: Of the random ids.
    """
    causal: Any = model
    config = causal.config.get_text_config(decoder=True)
    special = {
        v for c in (causal.config, config) for k, v in vars(c).items() if k.endswith("_token_id") and isinstance(v, int)
    }
    words = torch.tensor([i for i in range(min(config.vocab_size, 1000)) if i not in special])
    generator = torch.Generator().manual_seed(seed)
    examples = []
    for length in lengths:
        ids = words[torch.randint(len(words), (length,), generator=generator)]
        examples.append((ids, ids.masked_fill(torch.arange(length) < length // 2, IGNORE)))
    return examples


def _tapped(model: nn.Module, heads: HeadMap, examples: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Levels by the fast path, one right-padded batch: (B, L, H)."""
    pad = nn.utils.rnn.pad_sequence
    ids, labels = zip(*examples, strict=True)
    batch = Batch(
        pad(list(ids), batch_first=True), pad(list(labels), batch_first=True, padding_value=IGNORE).to(ids[0].device)
    )
    with frozen(model), Tap(heads.sites) as tap:
        levels, _ = measure(model, tap, batch)
    out = levels.new_full((len(examples), heads.layers, heads.heads), float("nan"))
    out[:, [site.layer for site in heads.sites]] = levels
    return out


def _beside_others(model: nn.Module, heads: HeadMap, example: tuple[Tensor, Tensor], seed: int) -> Tensor:
    """Levels of one example whose padding and whose batch mate are random tokens, (1, L, H)."""
    ids, labels = example
    length = len(ids) + 3
    mate, padding = random_examples(unwrap(model), lengths=(length, length), seed=seed)
    padded = torch.cat([ids, padding[0][len(ids) :].to(ids.device)])
    unlabelled = torch.full((3,), IGNORE, device=labels.device)
    rows = [(padded, torch.cat([labels, unlabelled])), (mate[0].to(ids.device), mate[1])]
    return _tapped(model, heads, rows)[:1]


def _error(ours: Tensor, reference: Tensor) -> float:
    """Largest difference over the largest magnitude; NaN if one has a number where the other has none."""
    there = ~reference.isnan()
    if not there.any() or not torch.equal(there, ~ours.isnan()):
        return float("nan")
    return float((ours - reference)[there].abs().max() / reference[there].abs().max())
