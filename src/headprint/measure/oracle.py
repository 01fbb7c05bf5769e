"""The slow, plain reference: attention matrices materialised, multiplied by their gradients, one example at a time.

This is the paper's Eq. 2 (arXiv 2409.15820) as it is written: Σ_ij A_ij · ∂L/∂A_ij, with eager attention, the very
matrices that the model multiplies with its values, full logits and a plain cross-entropy. It shares no arithmetic with
the fast path (:mod:`headprint.measure.tap`, :mod:`headprint.measure.loss`), no batching and no padding, and exists to
check that path. Memory is O(T²) per head.

Compare within one kernel: eager attention takes its softmax in float32 even in a float64 model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from headprint.data.tokenization import IGNORE
from headprint.models import kernel, using_kernel
from headprint.models.heads import HeadMap, HeadSite, UnsupportedModel, locate, unwrap


def materialised_levels(
    model: nn.Module, examples: Sequence[tuple[Tensor, Tensor]], *, heads: HeadMap | None = None
) -> Tensor:
    """Signed activation levels by the definition.

    Args:
        model: A causal language model; its parameters' flags, mode and kernel are restored.
        examples: Token ids (T,) and labels (T,) of each, labels -100 where no loss; unshifted, unpadded.
        heads: The heads, if they are located already.

    Returns:
        (B, L, H) in the model's dtype, float32 at least, NaN where a layer has no softmax attention or no such head.

    Raises:
        UnsupportedModel: The model does not return its attention matrices.
    """
    model = unwrap(model)
    heads = heads or locate(model)
    out = []
    with using_kernel(model, "eager"), _differentiable(model), torch.enable_grad():
        for input_ids, labels in examples:
            logits, attentions = _forward(model, input_ids, heads.sites)
            wide = torch.promote_types(logits.dtype, torch.float32)
            loss = F.cross_entropy(logits[:-1].to(wide), labels[1:].to(logits.device), ignore_index=IGNORE)
            used = [(site, a) for site in heads.sites for a in attentions[site.layer]]
            gradients = torch.autograd.grad(loss, [a for _, a in used], allow_unused=True)
            levels = torch.full((heads.layers, heads.heads), float("nan"), dtype=wide)
            for site in heads.sites:
                levels[site.layer, : site.heads] = 0
            for (site, a), gradient in zip(used, gradients, strict=True):
                if gradient is None:
                    raise UnsupportedModel(
                        f"{site.name}: the attention it returns is not what its values are multiplied with"
                    )
                levels[site.layer, : site.heads] += (a.detach().to(wide) * gradient.to(wide)).sum((0, 2, 3)).cpu()
            out.append(levels)
    return torch.stack(out)


def _forward(model: nn.Module, input_ids: Tensor, sites: Sequence[HeadSite]) -> tuple[Tensor, dict[int, list[Tensor]]]:
    """Logits (T, V), and by layer the attention matrices, (1, heads, T, S) each; an attention used twice has two."""
    ways: list[dict[str, Any]] = [{}]
    # Modules of today return what they have; older ones want to be asked. Under another kernel than eager, which some
    # models cannot leave, asking makes them forget their causal mask.
    if kernel(model) == "eager":
        ways.append({"output_attentions": True})
    for way in ways:
        with _Attentions(sites) as seen:
            logits = model(input_ids=input_ids[None], use_cache=False, **way).logits[0]
        missing = [site for site in sites if not seen.by_layer.get(site.layer)]
        if not missing:
            return logits, seen.by_layer
    raise UnsupportedModel(f"{missing[0].name}: its attention module returns no attention matrix under eager attention")


@contextmanager
def _differentiable(model: nn.Module) -> Iterator[None]:
    """Every floating-point weight in the graph, and no dropout; flags and modes are put back."""
    flags = [(p, p.requires_grad) for p in model.parameters() if p.is_floating_point()]
    training = [m for m in model.modules() if m.training]
    try:
        for parameter, _ in flags:
            parameter.requires_grad_(True)
        model.eval()
        yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        for module in training:
            module.training = True


class _Attentions(TorchFunctionMode):
    """Keeps the attention matrices of one forward, by site.

    They are what the attention modules return. A module that returns none calls
    ``torch.nn.functional.scaled_dot_product_attention`` itself: the textbook formula takes its place.
    """

    def __init__(self, sites: Sequence[HeadSite]) -> None:
        super().__init__()
        self._sites = sites
        self.by_layer: dict[int, list[Tensor]] = {}
        self._textbook: list[Tensor] = []
        self._hooks = ExitStack()

    def __enter__(self) -> _Attentions:
        for site in self._sites:
            # What other attentions left (a tower's, say) is not this site's.
            enter = site.attention.register_forward_pre_hook(lambda *_: self._textbook.clear())
            leave = site.attention.register_forward_hook(partial(self._keep, site))
            self._hooks.callback(enter.remove)
            self._hooks.callback(leave.remove)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._hooks.close()

    def _keep(self, site: HeadSite, _module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        returned = [item for item in output if _is_attention(item, site)] if isinstance(output, (tuple, list)) else []
        matrices = returned or self._textbook
        # What runs without a gradient (early cycles of a recurrent-depth model) has no part in the differentiated loss.
        self.by_layer.setdefault(site.layer, []).extend(a for a in matrices if a.requires_grad)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        output, attention = textbook_attention(*args, **(kwargs or {}))
        self._textbook.append(attention)
        return output


def _is_attention(item: Any, site: HeadSite) -> bool:
    return isinstance(item, Tensor) and item.ndim == 4 and item.shape[1] == site.heads


def textbook_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> tuple[Tensor, Tensor]:
    """``scaled_dot_product_attention`` by its documented formula, and the attention matrix.

    Args: as in ``torch.nn.functional.scaled_dot_product_attention``; dropout is not applied.

    Returns:
        Output (..., H, T, D) and attention (..., H, T, S).
    """
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), float("-inf"))
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, float("-inf")) if attn_mask.dtype == torch.bool else scores + attn_mask
    attention = scores.softmax(-1)
    return attention @ value, attention
