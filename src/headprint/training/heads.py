"""Training some attention heads alone: which ones, and everything else frozen to the bit.

Of a chosen head, its queries, the keys and values that it reads, and its part of the output projection are trained
(:mod:`headprint.models.head_slices`); under grouped-query attention a key and a value are trained if any head that
reads them is chosen. A projection is one tensor: its gradient is set to 0 outside the chosen heads, and what weight
decay does to the rest, whatever the gradient, is undone after each step of the optimizer. Of an adapter, the rows of B
that make queries, keys and values, and the columns of A that read the heads' outputs, are 0 outside the chosen heads
and stay 0, and so is the update there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from headprint.base.errors import InputError
from headprint.base.files import read_json
from headprint.models import locate
from headprint.models.head_slices import Slice, head_slices
from headprint.models.heads import unwrap
from headprint.patterns import Pattern, PatternSet, load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peft import LoraConfig

    from headprint.base.shapes import Values

HeadId: TypeAlias = tuple[int, int]
"""Layer and head, both counted from 0."""

_SHARE = re.compile(r"(top|random):(\d+(?:\.\d+)?)(%?)")
_HEAD = re.compile(r"(\d+)\.(\d+)")
_HOW = "write top:10%, top:N, random:10%, random:N, a JSON file of heads, or heads such as 3.1,3.2 (LAYER.HEAD)"
# What LoRA can do beside adding B·A, each of which changes more than the chosen heads; and the values that do not.
_PLAIN_LORA: Mapping[str, tuple[Any, ...]] = {
    "use_dora": (False, None),
    "bias": ("none", None),
    "modules_to_save": (None, []),
    "init_lora_weights": (True, "gaussian"),
    "target_parameters": (None, []),
    "trainable_token_indices": (None,),
}


def chosen_heads(
    heads: str | Sequence[str | Sequence[int]],
    source: str | Path | Pattern | PatternSet | None = None,
    *,
    seed: int = 0,
) -> list[HeadId]:
    """Read which heads are meant.

    Args:
        heads: ``"top:10%"`` or ``"top:N"``: the first of the ranking by ``source``; ``"random:10%"`` or ``"random:N"``:
            as many heads of each layer as those have, others where the layer has others; a JSON file with a list of
            heads; or the heads themselves, ``"3.1,3.2"`` or a list of layers and heads.
        source: What ranks the heads: a pattern or a change, by its size in each head; or a pattern set, by the size of
            the mean head gradient if it has sketches, which is what a step in that head gains to first order, else
            by its pattern.
        seed: Of random heads.

    Returns:
        Layers and heads in ascending order, each once.

    Raises:
        InputError: It is none of these, names no head, or there is no ranking.
    """
    if isinstance(heads, str) and (found := _SHARE.fullmatch(heads)):
        how, number, percent = found.groups()
        if source is None:
            raise InputError(f"{heads} needs a ranking of heads: give a pattern file or a pattern set (--heads-from)")
        return _ranked(how, float(number), bool(percent), _ranking(source), seed)
    if isinstance(heads, str) and heads.endswith(".json"):
        content = read_json(heads)
        heads = content.get("heads", content) if isinstance(content, dict) else content
    named = heads.split(",") if isinstance(heads, str) else heads
    if not isinstance(named, list | tuple) or not named:
        raise InputError(f"{heads!r} names no heads: {_HOW}")
    return sorted({_head(each) for each in named})


def spelled(heads: Sequence[HeadId]) -> list[str]:
    """Heads as a configuration has them, such as ``["3.1", "3.2"]``."""
    return [f"{layer}.{head}" for layer, head in heads]


def _head(text: Any) -> HeadId:
    if isinstance(text, str) and (found := _HEAD.fullmatch(text.strip())):
        return int(found[1]), int(found[2])
    if isinstance(text, list | tuple) and len(text) == 2 and all(isinstance(part, int) for part in text):
        return int(text[0]), int(text[1])
    raise InputError(f"{text!r} is not a head: {_HOW}")


def _ranking(source: str | Path | Pattern | PatternSet) -> Values:
    """(L, H) how much each head matters; NaN for those that have no number."""
    found = load(source) if isinstance(source, str | Path) else source
    if isinstance(found, PatternSet) and found.directions:
        total = sum(block.sum(axis=0, dtype=np.float64) for block in found.iter_sketches())
        return np.asarray(np.linalg.norm(total, axis=-1))
    return np.asarray(np.abs((found.pattern() if isinstance(found, PatternSet) else found).values))


def _ranked(how: str, number: float, percent: bool, sizes: Values, seed: int) -> list[HeadId]:
    order = np.argsort(-sizes.ravel(), kind="stable")  # NaN last
    known = order[np.isfinite(sizes.ravel()[order])]
    count = max(round(number / 100 * len(known)), 1 if number else 0) if percent else number
    if count % 1 or not 1 <= count <= len(known):
        asked = f"{how}:{number:g}{'%' if percent else ''}"
        raise InputError(f"{asked} of {len(known)} heads: choose 1 to {len(known)} of them")
    every = [divmod(int(each), sizes.shape[1]) for each in known]
    top = every[: int(count)]
    if how == "top":
        return sorted(top)
    rng, drawn = np.random.default_rng(seed), []
    for layer in sorted({layer for layer, _ in top}):
        own = [head for head in top if head[0] == layer]
        others = [head for head in sorted(every) if head[0] == layer and head not in own]
        drawn += [part[i] for part in (others, own) for i in rng.permutation(len(part))][: len(own)]
    return sorted(drawn)


def slices_of(model: nn.Module, heads: Sequence[HeadId]) -> list[Slice]:
    """The weights of some heads of a model.

    Raises:
        InputError: There is no such head, or headprint does not know its weights.
    """
    found = locate(model)
    sites = {site.layer: site for site in found.sites}
    for layer, head in heads:
        if layer not in sites or head >= sites[layer].heads:
            raise InputError(
                f"there is no attention head {layer}.{head}: the model has {found.layers} layers of up to "
                f"{found.heads} heads, counted from 0" + (f" ({found.absent[layer]})" if layer in found.absent else "")
            )
    layers = sorted({layer for layer, _ in heads})
    return [part for layer in layers for part in head_slices(sites[layer], {h for at, h in heads if at == layer})]


def adapter_on(slices: Sequence[Slice], config: LoraConfig) -> LoraConfig:
    """The same adapter on the chosen heads' projections alone.

    Raises:
        InputError: It would change more than these.
    """
    for name, allowed in _PLAIN_LORA.items():
        if (value := getattr(config, name, None)) not in allowed:
            raise InputError(f"an adapter with {name}={value!r} changes more than the chosen heads: leave it out")
    config.target_modules = {each.name for each in slices}
    return config


@contextmanager
def training_only(model: nn.Module, slices: Sequence[Slice]) -> Iterator[TrainerCallback]:
    """Freeze a model but for some heads; what required a gradient does so again afterwards.

    Args:
        model: Bare, or with a new adapter on the slices' projections (:func:`adapter_on`).
        slices: Of :func:`slices_of` the bare model.

    Yields:
        A callback that the trainer has to call.
    """
    parts = [part for each in slices for part in _parts(model, each)]
    flags = {parameter: parameter.requires_grad for parameter in model.parameters()}
    hooks = []
    try:
        for parameter in flags:
            parameter.requires_grad_(False)
        for part in parts:
            part.parameter.requires_grad_(True)
            hooks.append(part.parameter.register_hook(part.masked))  # type: ignore[no-untyped-call]
        yield _PuttingBack(parts)
    finally:
        for hook in hooks:
            hook.remove()
        for parameter, flag in flags.items():
            parameter.requires_grad_(flag)


class _Part:
    """The trained part of one parameter, and what the rest of it has to remain."""

    def __init__(self, parameter: nn.Parameter, mask: Tensor) -> None:
        self.parameter, self.mask = parameter, mask.to(parameter.device)
        self.before = parameter.detach().clone()

    def masked(self, gradient: Tensor) -> Tensor:
        return gradient * self.mask

    def put_back(self) -> None:
        with torch.no_grad():
            self.parameter.copy_(torch.where(self.mask, self.parameter, self.before))


class _PuttingBack(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Undoes what an optimizer's step did to frozen parts."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        self.parts = parts

    def on_optimizer_step(self, *_: Any, **__: Any) -> None:
        for part in self.parts:
            part.put_back()


def _parts(model: nn.Module, part: Slice) -> Iterator[_Part]:
    module: Any = unwrap(model).get_submodule(part.name)
    if hasattr(module, "lora_A"):
        (name,) = module.lora_A
        inner, outer = module.lora_A[name].weight, module.lora_B[name].weight  # (rank, in) and (out, rank)
        masked, whole, axis = (outer, inner, 0) if part.side == "out" else (inner, outer, 1)
        with torch.no_grad():
            masked.mul_(_mask(masked, part.features, axis))
        yield _Part(masked, _mask(masked, part.features, axis))
        yield _Part(whole, torch.ones_like(whole, dtype=torch.bool))
        return
    transposed = hasattr(module, "nf")  # a Conv1D's weight is (in, out)
    yield _Part(module.weight, _mask(module.weight, part.features, int((part.side == "in") != transposed)))
    if part.side == "out" and module.bias is not None:
        yield _Part(module.bias, _mask(module.bias, part.features, 0))


def _mask(parameter: Tensor, features: Sequence[int], axis: int) -> Tensor:
    mask = torch.zeros_like(parameter, dtype=torch.bool)
    mask.index_fill_(axis, torch.tensor(features, device=parameter.device), True)
    return mask
