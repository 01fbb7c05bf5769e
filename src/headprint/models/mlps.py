"""Where each layer's MLP writes to the residual stream: its down projection, or those of its experts.

Found by structure, like heads (:mod:`headprint.models.heads`): outside attention, a module of one of the few leaf names
in use for the last projection of an MLP; or a module that holds its experts' down projections in one parameter, as
transformers does for every mixture of experts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from headprint.models.heads import HeadMap, UnsupportedModel, unwrap

_DOWN = re.compile(r"^(down_proj|dense_4h_to_h|fc2|fc_out|c_proj|w2|w_?out|wo|output_linear)$", re.I)
_BESIDE = ("output", "dense")  # of BERT's family: the layer's own, beside attention
_NOT_MLP = re.compile(r"norm|gate$|router|adapter|cross|enc.*attn|hyper|_hc$|mamba|conv", re.I)
EXPERTS = "down_proj"
"""The parameter of a module of experts that holds their down projections, (experts, out, in) or (experts, in, out)."""


@dataclass(frozen=True)
class MlpSite:
    """One down projection, or all experts' down projections of a layer.

    Attributes:
        layer: Row of the pattern whose layer it is in.
        place: Its place among the down projections of the layer.
        name: Path of ``module`` inside the model.
        module: Its input is a, (B, T, inner width), or, of experts, what they all read; its output is y, (B, T, width).
        experts: How many experts' projections it holds; 0 for a projection of its own.
    """

    layer: int
    place: int
    name: str
    module: nn.Module
    experts: int


def locate_mlps(model: nn.Module, heads: HeadMap) -> tuple[MlpSite, ...]:
    """Find the down projections of a causal language model's MLPs.

    Args:
        model: The model that ``heads`` were found in.
        heads: Its heads, whose rows its layers have.

    Returns:
        The sites, in the order of their layers; a projection that layers share is in the first of them.

    Raises:
        UnsupportedModel: There are none, or some whose input and output are not those of a down projection.
    """
    model = unwrap(model)
    names = {id(module): name for name, module in model.named_modules()}
    attention = {id(site.attention) for site in heads.sites}
    sites: list[MlpSite] = []
    taken: set[int] = set()
    for row, layer in heads.decoder.items():
        found = [module for module in _down_projections(layer, attention) if id(module) not in taken]
        taken |= {id(module) for module in found}
        sites += [
            MlpSite(row, place, names[id(module)], module, _experts(model, names[id(module)], module))
            for place, module in enumerate(found)
        ]
    if not sites:
        raise UnsupportedModel(
            f"{type(model).__name__}: no down projection of an MLP found; sketch the heads alone (blocks='heads')"
        )
    return tuple(sites)


def _down_projections(layer: nn.Module, attention: set[int]) -> Iterator[nn.Module]:
    for name, child in layer.named_children():
        if id(child) in attention or _NOT_MLP.search(name):
            continue
        if _DOWN.match(name) or isinstance(child._parameters.get(EXPERTS), nn.Parameter):
            yield child
        elif name == _BESIDE[0] and isinstance(dense := getattr(child, _BESIDE[1], None), nn.Module):
            yield dense
        else:
            yield from _down_projections(child, attention)


def _experts(model: nn.Module, name: str, module: nn.Module) -> int:
    """How many experts a module has, 0 if it is a projection itself.

    Raises:
        UnsupportedModel: It is one of a list of experts, or its experts are more than their down projections.
    """
    refused = None
    down = module._parameters.get(EXPERTS)
    if down is None:
        if re.search(r"experts\.\d+\.", name):
            refused = "each expert is a module that reads tokens of its own"
    elif any(len(part) != len(down) for part in module.parameters()):
        refused = "some experts have no down projection"
    elif not down.is_floating_point() or down.itemsize < 2:
        refused = f"its experts are stored as {down.dtype}"
    if refused:
        raise UnsupportedModel(f"{type(model).__name__}, {name}: {refused}; sketch the heads alone (blocks='heads')")
    return 0 if down is None else len(down)
