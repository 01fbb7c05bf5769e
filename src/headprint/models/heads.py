"""Where each layer's attention heads meet their output projection.

The places are found by structure, not by a table of model families: a layer's attention module is one that is called
attention and owns query weights; its output projection is its child (or, in BERT's family, its neighbour) with one of
the few leaf names in use. What the projection reads is ``(B, T, heads · head_dim)``. Whether that reading is exact for
a family is not believed but measured: see :mod:`headprint.measure.verification`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from headprint.base.errors import InputError

# Called attention, but not softmax attention of a token over its past: no matrix A, or another sequence's.
_LINEAR = re.compile(r"linear|lightning|delta|mamba|rwkv|lstm|conv|retention|ssm|mixer", re.I)
_CROSS = re.compile(r"cross|encoder_?attn|encdec|residual|indexer|compressor", re.I)
# Towers that read something else than the text's tokens.
_TOWER = re.compile(r"vision|visual|image|img|audio|speech|video|patcher", re.I)
_ATTENTION = re.compile(r"attention|attn|MLA$", re.I)
# KimiLinearForCausalLM -> KimiLinear: what a family is called says nothing about one of its layers.
_FAMILY = re.compile(r"(For[A-Z]|LMHead|Model).*$")
_QUERY = re.compile(
    r"^(q|query|q_?proj|q_?[ab]_proj|q_lin|wq|w?_?qkv|qkv_?proj|query_key_value|c_attn|q_attn|in_proj|project_q)$",
    re.I,
)
# In the order of trust: the first that exists is the projection.
_OUTPUT = ("o_proj", "out_proj", "dense", "c_proj", "wo", "Wo", "o_a_proj", "out_lin", "attention_out", "out", "o")
_NEIGHBOUR = "output.dense"
# A norm between A·V and the projection mixes heads, so the tap goes before it (BitNet).
_SUB_NORM = ("attn_sub_norm", "inner_attn_ln", "sub_norm")
_HEADS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "num_q_heads", "attention_heads")
_CONFIG_HEADS = (*_HEADS, "num_query_heads", "decoder_attention_heads")
_HEAD_DIM = ("v_head_dim", "head_dim", "head_size", "attention_head_size")
_REFUSED = {
    "DiffLlamaAttention": "differential attention subtracts two attention matrices, so no single A belongs to a head",
    "LSHSelfAttention": "hashed attention sorts keys into buckets: there is no T×T matrix per head",
    "LocalSelfAttention": "chunked attention: there is no T×T matrix per head",
    "BigBirdBlockSparseAttention": "block-sparse attention draws blocks at random: set attention_type='original_full'",
    "JetMoeAttention": "a mixture of attention heads: which head a slot of A belongs to changes from token to token",
    "ProphetNetNgramSelfAttention": "n-gram attention: every head has several matrices, one per predicted token",
    "XLNetRelativeAttention": "permutation attention projects by an einsum with a bare parameter: no module reads z",
}


class UnsupportedModel(InputError):
    """The activation level cannot be exact for this model; the message says why."""


@dataclass(frozen=True)
class HeadSite:
    """One layer's heads, at the module that reads their concatenated outputs.

    Attributes:
        layer: Row of the pattern, counted from 0.
        name: Path of ``module`` inside the model.
        module: Its first positional input is z, (B, T, heads · head_dim).
        heads: Heads of this layer.
        head_dim: Width of one head's output (the value's width, which is not always hidden / heads).
        attention: The module that computes the attention.
    """

    layer: int
    name: str
    module: nn.Module
    heads: int
    head_dim: int
    attention: nn.Module


@dataclass(frozen=True)
class HeadMap:
    """All heads of a model.

    Attributes:
        sites: Layers with softmax self-attention, in the order of their rows.
        layers: L, rows of the pattern, with those that have no site.
        heads: H, columns of the pattern: the most heads that any layer has.
        absent: Row without a site -> the reason. Its levels are NaN, never zero.
        decoder: First row of each of the decoder's layers -> the layer.
    """

    sites: tuple[HeadSite, ...]
    layers: int
    heads: int
    absent: dict[int, str]
    decoder: dict[int, nn.Module] = field(default_factory=dict)


def unwrap(model: nn.Module) -> Any:  # a PreTrainedModel, which transformers leaves untyped
    """The model below ``torch.compile``, data-parallel and PEFT wrappers; its modules are the same objects.

    Raises:
        UnsupportedModel: A PEFT method that adds virtual tokens, which are lost below the wrapper.
    """
    while True:
        inner: Any = getattr(model, "_orig_mod", None)
        if inner is None and not hasattr(model, "config"):
            inner = getattr(model, "module", None)
        if inner is None and hasattr(model, "get_base_model"):
            wrapper: Any = model
            if any(config.is_prompt_learning for config in wrapper.peft_config.values()):
                raise UnsupportedModel("prompt and prefix tuning add tokens that are not in the data: use LoRA")
            inner = wrapper.get_base_model()
        if not isinstance(inner, nn.Module) or inner is model:
            return model
        model = inner


def locate(model: nn.Module) -> HeadMap:
    """Find every self-attention head of a causal language model.

    Vision and audio towers, encoders and cross-attention are not measured: the level is a statement about the
    decoder's attention over its own tokens.

    Args:
        model: A transformers model, bare or wrapped by PEFT, ``torch.compile`` or DDP, quantised or not.

    Returns:
        The sites and the shape of the pattern.

    Raises:
        UnsupportedModel: There is no softmax attention, or a form of it for which no exact level exists.
    """
    model = unwrap(model)
    for module in model.modules():
        if reason := _REFUSED.get(type(module).__name__):
            raise UnsupportedModel(f"{type(model).__name__}: {reason}")
    names = {id(module): name for name, module in model.named_modules()}
    sites: list[HeadSite] = []
    absent: dict[int, str] = {}
    decoder: dict[int, nn.Module] = {}
    row = 0
    taken: dict[int, int] = {}
    family = _FAMILY.sub("", type(model).__name__)
    for layer in _layers(model, family):
        decoder[row] = layer
        found = list(_attentions(layer, family))
        for parent, attention in found:
            if id(attention) in taken:
                absent[row] = f"shares the attention of row {taken[id(attention)]}, where its levels are summed"
            else:
                sites.append(_site(model, row, parent, attention, names))
                taken[id(attention)] = row
            row += 1
        if not found:
            absent[row] = f"{_mixer_name(layer, family)}: no softmax attention over the text's own tokens"
            row += 1
    if not sites:
        raise UnsupportedModel(
            f"{type(model).__name__} has no softmax attention heads that headprint can find: "
            "use a model with softmax attention layers"
        )
    return HeadMap(tuple(sites), row, max(site.heads for site in sites), absent, decoder)


def _layers(model: nn.Module, family: str) -> list[nn.Module]:
    """The decoder's layers: the members of every outermost ModuleList that holds a self-attention module."""

    def stacks(module: nn.Module) -> Iterator[nn.ModuleList]:
        for name, child in module.named_children():
            if _TOWER.search(name):
                continue
            if not isinstance(child, nn.ModuleList):
                yield from stacks(child)
            elif any(True for layer in child for _ in _attentions(layer, family)):
                yield child

    causal: Any = model
    decoder = causal.get_decoder() if hasattr(model, "get_decoder") else model
    return [layer for stack in list(stacks(decoder)) or stacks(model) for layer in stack]


def _attentions(layer: nn.Module, family: str) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Softmax self-attention modules of one layer, each after the module that holds it."""

    def walk(parent: nn.Module, name: str, module: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
        kind = type(module).__name__.removeprefix(family)
        if _CROSS.search(name) or _CROSS.search(kind):
            return
        owns_query = any(_QUERY.match(child) for child, _ in module.named_children())
        if _ATTENTION.search(kind) and not _LINEAR.search(kind) and owns_query:
            yield parent, module
            return
        for child_name, child in module.named_children():
            yield from walk(module, child_name, child)

    yield from walk(layer, "", layer)


def _mixer_name(layer: nn.Module, family: str) -> str:
    """What a layer without softmax attention has instead: the name of its mixer, or else its own."""
    for module in layer.modules():
        kind = type(module).__name__
        if not type(module).__module__.startswith("torch.") and _LINEAR.search(kind.removeprefix(family)):
            return kind
    return type(layer).__name__


def _site(model: nn.Module, row: int, parent: nn.Module, attention: nn.Module, names: dict[int, str]) -> HeadSite:
    where = f"{type(model).__name__}, {names[id(attention)]} ({type(attention).__name__})"
    module = _projection(parent, attention)
    if module is None:
        raise UnsupportedModel(f"{where}: no output projection found among its children")
    width = _input_width(module)
    heads, head_dim = _split(model, attention, row, width, where)
    return HeadSite(row, names[id(module)], module, heads, head_dim, attention)


def _projection(parent: nn.Module, attention: nn.Module) -> nn.Module | None:
    for name in (*_SUB_NORM, *_OUTPUT):
        if isinstance(child := getattr(attention, name, None), nn.Module):
            return child
    try:
        return parent.get_submodule(_NEIGHBOUR)
    except AttributeError:
        return None


def _input_width(module: nn.Module) -> int | None:
    """Width of what the projection reads, where it says so: linear (quantised, LoRA-wrapped), Conv1D, or a norm."""
    for name in ("in_features", "nx"):
        if isinstance(width := getattr(module, name, None), int):
            return width * int(getattr(module, "n_groups", 1))  # a grouped projection counts one group's inputs
    weight = getattr(module, "weight", None)
    return len(weight) if isinstance(weight, nn.Parameter) and weight.ndim == 1 else None


def _split(model: nn.Module, attention: nn.Module, row: int, width: int | None, where: str) -> tuple[int, int]:
    """Heads and head width of one layer, checked against each other where both are known."""
    heads = _first_int(attention, _HEADS, row)
    if heads is None:
        causal: Any = model
        config = getattr(attention, "config", None) or causal.config.get_text_config(decoder=True)
        heads = _first_int(config, _CONFIG_HEADS, row)
    if heads is None:
        raise UnsupportedModel(f"{where}: the number of heads is neither on the module nor in the config")
    if width is None:
        head_dim = _first_int(attention, _HEAD_DIM, row)
        if head_dim is None:
            raise UnsupportedModel(f"{where}: the width of the projection's input is unknown")
        return heads, head_dim
    if width % heads:
        raise UnsupportedModel(f"{where}: {width} inputs do not divide into {heads} heads")
    return heads, width // heads


def _first_int(owner: Any, names: tuple[str, ...], row: int) -> int | None:
    for name in names:
        value = getattr(owner, name, None)
        if isinstance(value, (list, tuple)) and row < len(value):
            value = value[row]
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None
