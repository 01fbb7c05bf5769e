"""Which weights belong to which attention head: slices of the projections around one layer's attention.

A head's query, key and value are some outputs of a projection, and what the output projection reads of a head are some
of its inputs. Under grouped-query attention several heads share a key and a value.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, NamedTuple

from torch import nn

from headprint.models.heads import HeadSite, UnsupportedModel

_SEPARATE = (
    ("q_proj", "query", "q_lin", "wq"),
    ("k_proj", "key", "k_lin", "wk"),
    ("v_proj", "value", "v_lin", "wv"),
)
_FUSED = {
    "GPT2Attention": ("c_attn", "blocks"),
    "MptAttention": ("Wqkv", "blocks"),
    "Phi3Attention": ("qkv_proj", "blocks"),
    "BloomAttention": ("query_key_value", "heads"),
    "GPTNeoXAttention": ("query_key_value", "heads"),
}
"""How a fused projection's outputs lie: all queries, then all keys, then all values; or these three for each head."""


class Slice(NamedTuple):
    """A part of one projection.

    Attributes:
        name: Path of the projection inside the model.
        module: The projection.
        side: Whether the features are outputs or inputs of it.
        features: Which of them, in ascending order.
    """

    name: str
    module: nn.Module
    side: Literal["out", "in"]
    features: tuple[int, ...]


def head_slices(site: HeadSite, chosen: Collection[int]) -> list[Slice]:
    """The weights of some heads of a layer: their queries, the keys and values that they read, and their outputs.

    Args:
        site: The layer.
        chosen: Heads, counted from 0. A key and a value belong to every head that reads them.

    Raises:
        UnsupportedModel: It is not known how the projections are laid out.
    """
    children: dict[str, Any] = dict(site.attention.named_children())
    path, _, leaf = site.name.rpartition(".")
    if children.get(leaf) is not site.module or _width(site.module, "in") != site.heads * site.head_dim:
        raise _unknown(site)
    separate = [next((name for name in names if name in children), None) for names in _SEPARATE]
    fused, layout = _FUSED.get(type(site.attention).__name__, ("", ""))
    outputs: list[tuple[str, set[int]]]
    if all(separate):
        query, key, value = (str(name) for name in separate)
        shared = _shared(site, _width(children[value], "out"))
        read = {head * shared // site.heads for head in chosen}
        outputs = [(query, _parts(site, chosen, site.heads, _width(children[query], "out")))]
        outputs += [(name, _parts(site, read, shared, _width(children[name], "out"))) for name in (key, value)]
    elif fused in children:
        outputs = [(fused, _of_fused(site, chosen, _width(children[fused], "out"), layout))]
    else:
        raise _unknown(site)
    slices = [Slice(f"{path}.{name}", children[name], "out", tuple(sorted(of))) for name, of in outputs]
    inputs = _parts(site, chosen, site.heads, site.heads * site.head_dim)
    return [*slices, Slice(site.name, site.module, "in", tuple(sorted(inputs)))]


def _of_fused(site: HeadSite, chosen: Collection[int], width: int, layout: str) -> set[int]:
    queries = site.heads * site.head_dim
    if layout == "heads":
        if width != 3 * queries:
            raise _unknown(site)
        return _parts(site, chosen, site.heads, width)
    keys, rest = divmod(width - queries, 2)
    if rest:
        raise _unknown(site)
    shared = _shared(site, keys)
    read = _parts(site, {head * shared // site.heads for head in chosen}, shared, keys)
    both = {start + feature for start in (queries, queries + keys) for feature in read}
    return _parts(site, chosen, site.heads, queries) | both


def _shared(site: HeadSite, width: int) -> int:
    """How many values there are, of a projection of this width: as many as heads, or fewer that heads share."""
    count, rest = divmod(width, site.head_dim)
    if rest or count < 1 or site.heads % count:
        raise _unknown(site)
    return count


def _parts(site: HeadSite, chosen: Collection[int], count: int, width: int) -> set[int]:
    """The features of some of ``count`` equal parts of a projection."""
    each, rest = divmod(width, count)
    if rest or not each:
        raise _unknown(site)
    return {part * each + feature for part in chosen for feature in range(each)}


def _width(module: Any, side: Literal["out", "in"]) -> int:
    """Features of a linear layer or a Conv1D; 0 of anything else."""
    names = ("out_features", "nf") if side == "out" else ("in_features", "nx")
    return next((width for name in names if isinstance(width := getattr(module, name, None), int)), 0)


def _unknown(site: HeadSite) -> UnsupportedModel:
    return UnsupportedModel(
        f"{site.name.rpartition('.')[0]} ({type(site.attention).__name__}): headprint does not know which weights of "
        "its projections belong to which head, so heads cannot be trained alone: train the whole model"
    )
