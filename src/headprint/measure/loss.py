"""Per-example losses from the labelled positions only, a chunk of logits at a time.

The logits of a batch, (B, T, V), are by far the largest tensor of a language model's loss, and most rows of them are
not wanted: prompt and padding carry no label. So the body runs alone, the labelled rows of its last hidden state are
gathered, and the model's *own* head code (projection, soft-capping, logit scale, whatever it does) maps them to
logits chunk by chunk, each chunk's gradient taken at once (as in Liger Kernel's fused linear cross-entropy,
arXiv 2410.10989). What remains is one backward through the body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from headprint.base.options import Objective
from headprint.data.tokenization import IGNORE
from headprint.models.heads import unwrap

_asks_body: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()
"""Of each body, whether its model's forward calls it: one small trial of the head, not one for every batch."""

LEAST_DOUBT = 1e-3
"""The least 1 - p by which the gradient of a token's loss is divided, for that of its log odds."""

_LOGITS = {"cpu": 2**22}
_LOGITS_ELSEWHERE = 2**27
_ROWS = 64
"""Elements of one chunk of logits, a few of which are alive at a time; but rows enough to use the projection well."""


def split_head(model: nn.Module) -> tuple[nn.Module, Callable[[Tensor], Tensor]] | None:
    """A causal language model as its body and its head.

    Args:
        model: A transformers causal language model, bare or wrapped (PEFT, DDP).

    Returns:
        The body, and a function from hidden states (n, d) to logits (n, V) that runs the model's own forward with the
        body's place taken by those hidden states; it raises :class:`BodyNotCalled` if that forward does not call the
        body. None if the model does not name its body.
    """
    causal = unwrap(model)
    named = causal.get_decoder() if hasattr(causal, "get_decoder") else None
    candidates = (named, getattr(causal, "base_model", None), *causal.children())
    body = next((c for c in candidates if isinstance(c, PreTrainedModel) and c is not causal), None)
    if body is None:
        return None

    def head(hidden: Tensor) -> Tensor:
        stand_in = _StandIn(hidden[None])
        own_forward = body.__dict__.get("forward")
        body.forward = stand_in.take_the_place
        try:
            token = torch.zeros(1, 1, dtype=torch.long, device=hidden.device)
            logits = causal(input_ids=token, use_cache=False).logits
        finally:
            if own_forward is None:
                del body.forward
            else:  # accelerate puts its device moves there
                body.forward = own_forward
        if not stand_in.taken:
            raise BodyNotCalled
        return logits[0]  # type: ignore[no-any-return]

    return body, head


class BodyNotCalled(RuntimeError):
    """The model's forward computed its logits without calling what it names as its body."""


class _StandIn(tuple[Any, ...]):
    """What a body returns, as far as heads look: the hidden state by position or by name, nothing else."""

    last_hidden_state: Tensor
    taken: bool

    def __new__(cls, hidden: Tensor) -> _StandIn:
        self = super().__new__(cls, (hidden,))
        self.last_hidden_state, self.taken = hidden, False
        return self

    def take_the_place(self, *_: Any, **__: Any) -> _StandIn:
        self.taken = True
        return self

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


def backward(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    labels: Tensor,
    weights: Tensor,
    *,
    objective: Objective = "loss",
    chunk_rows: int | None = None,
) -> Tensor:
    """Run the model on a batch and the backward of Σ weight · (token loss) through its body.

    Args:
        model: A causal language model with frozen weights and something in its graph that requires a gradient.
        inputs: ``input_ids`` (B, T) and what else the forward takes.
        labels: (B, T), unshifted as in transformers; -100 where no loss.
        weights: What one token's loss counts, (B, T); read where ``labels`` are set.
        objective: ``"margin"``: the backward of the negative log odds, -log(p / (1 - p)), instead of the loss, -log p.
            Their gradient is the loss's over 1 - p, which counts as :data:`LEAST_DOUBT` at least.
        chunk_rows: Labelled rows whose logits are held at a time; None chooses.

    Returns:
        The negative log-likelihood of every labelled token in nats, (B, T), zero elsewhere; no graph.
    """
    where = F.pad(supervised_mask(labels), (1, 0))
    targets, token_weights = labels[where], weights[where]
    rows, head = labelled_rows(model, inputs, where[:, 1:])
    targets = targets.to(rows.device)
    gradient = torch.empty_like(rows)
    nll = rows.new_empty(len(rows), dtype=torch.promote_types(rows.dtype, torch.float32))
    token_weights = token_weights.to(nll)
    step = chunk_rows or rows_per_chunk(model, rows.device)
    for start in range(0, len(rows), step):
        chunk = slice(start, start + step)
        part = rows[chunk].detach().requires_grad_()
        with torch.enable_grad():
            loss = F.cross_entropy(head(part).to(nll.dtype), targets[chunk], reduction="none")
        nll[chunk] = loss.detach()
        if objective == "margin":
            token_weights[chunk] /= (-torch.expm1(-nll[chunk])).clamp_min(LEAST_DOUBT)
        (gradient[chunk],) = torch.autograd.grad(loss, part, token_weights[chunk])
    rows.backward(gradient)  # type: ignore[no-untyped-call]
    return torch.zeros(labels.shape, dtype=nll.dtype, device=nll.device).masked_scatter_(where.to(nll.device), nll)


def supervised_mask(labels: Tensor) -> Tensor:
    """Which tokens carry loss, (B, T-1) booleans: entry t is about token t+1, as nothing predicts the first token.

    Args:
        labels: (B, T), unshifted; -100 where no loss.
    """
    return labels[:, 1:] != IGNORE


def labelled_rows(
    model: nn.Module, inputs: Mapping[str, Tensor], where: Tensor
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """What predicts each labelled token, (n, width), and the function that makes logits (n, V) of it."""
    parts = split_head(model)
    if parts is not None and _asks_body.get(parts[0], True):
        body, head = parts
        hidden = body(**inputs, use_cache=False)[0]
        rows = hidden[:, :-1][where.to(hidden.device)]
        if body not in _asks_body:
            _asks_body[body] = _works(head, rows[:1].detach())
        if _asks_body[body]:
            return rows, head
    logits = model(**inputs, use_cache=False).logits
    return logits[:, :-1][where.to(logits.device)], lambda rows: rows


def _works(head: Callable[[Tensor], Tensor], row: Tensor) -> bool:
    try:
        with torch.no_grad():
            head(row)
    except BodyNotCalled:
        return False
    return True


def rows_per_chunk(model: nn.Module, device: torch.device) -> int:
    """Labelled rows whose logits are made at a time."""
    vocabulary = int(unwrap(model).config.get_text_config().vocab_size)
    return max(_ROWS, _LOGITS.get(device.type, _LOGITS_ELSEWHERE) // vocabulary)
