"""Losses from labelled rows: equal to full logits, whatever the chunk and whatever a family does to its logits."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from headprint.data.tokenization import IGNORE
from headprint.measure import loss
from headprint.measure.batching import collate
from headprint.measure.levels import token_weights
from headprint.measure.loss import backward, split_head
from support.numerics import FLOAT64, error
from support.plain import random_examples
from support.toy_models import toy_model

pytestmark = pytest.mark.usefixtures("in_float64")


def double(family: str = "llama", **extra):
    return toy_model(family, dtype=torch.float64, **extra)


def gradient_of_embeddings(model, batch, **options):
    """Token losses (B, T), and ∂L/∂embeddings of the latest forward as a witness of the backward."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    embeddings = []
    handle = model.get_input_embeddings().register_forward_hook(
        lambda _, __, out: embeddings.append(out.requires_grad_()) or out
    )
    nll = backward(model, batch.inputs(), batch.labels, token_weights(batch.labels, "mean"), **options)
    handle.remove()
    return nll, embeddings[-1].grad


@pytest.mark.parametrize("family", ["llama", "gemma2", "cohere", "granite", "gptj", "opt", "bert", "deepseek_v3"])
@pytest.mark.parametrize("chunk_rows", [1, 3, None])
def test_equal_to_full_logits(family, chunk_rows) -> None:
    """gemma2 soft-caps, cohere and granite scale, gptj has a bias, bert has a whole transform before its vocabulary."""
    extra = {"is_decoder": True} if family == "bert" else {}
    model, batch = double(family, **extra), collate(random_examples((9, 13, 6)))
    nll, gradient = gradient_of_embeddings(model, batch, chunk_rows=chunk_rows)

    embedded = model.get_input_embeddings()(batch.input_ids).detach().requires_grad_()
    handle = model.get_input_embeddings().register_forward_hook(lambda *_: embedded)
    logits = model(**batch.inputs(), use_cache=False).logits
    handle.remove()
    plain = F.cross_entropy(logits[:, :-1].transpose(1, 2), batch.labels[:, 1:], reduction="none")
    (plain.sum(1) / (batch.labels[:, 1:] != -100).sum(1)).sum().backward()

    assert error(nll[:, 1:], plain) <= FLOAT64
    assert error(gradient, embedded.grad) <= FLOAT64


@pytest.mark.parametrize("chunk_rows", [2, None])
def test_margins_are_differentiated_as_log_odds(chunk_rows) -> None:
    """Of tokens that the model is sure of the loss, over the least doubt that is divided by."""
    model, batch = double(), collate(random_examples((9, 13, 6)))
    with torch.no_grad():
        likeliest = model(batch.input_ids).logits.argmax(-1)[:, :-1]
        model.lm_head.weight.mul_(100)
    batch.labels[:, 1::2] = batch.labels[:, 1::2].where(batch.labels[:, 1::2] == IGNORE, likeliest[:, ::2][:, :7])
    _, gradient = gradient_of_embeddings(model, batch, objective="margin", chunk_rows=chunk_rows)

    embedded = model.get_input_embeddings()(batch.input_ids).detach().requires_grad_()
    handle = model.get_input_embeddings().register_forward_hook(lambda *_: embedded)
    logits = model(**batch.inputs(), use_cache=False).logits
    handle.remove()
    objective, sure = 0.0, 0
    for row, labels in enumerate(batch.labels):
        labelled = [t for t in range(1, len(labels)) if labels[t] != IGNORE]
        for t in labelled:
            log_p = logits[row, t - 1].log_softmax(-1)
            others = torch.arange(len(log_p)) != labels[t]
            doubt = log_p[others].logsumexp(0)  # log(1 - p)
            own = log_p[labels[t]]
            margin = own / 1e-3 if doubt.exp() < 1e-3 else own - doubt
            sure += bool(doubt.exp() < 1e-3)
            objective = objective - margin / len(labelled)
    objective.backward()
    assert 0 < sure < int((batch.labels[:, 1:] != IGNORE).sum())
    assert error(gradient, embedded.grad) <= FLOAT64


def test_a_model_without_a_named_body_takes_full_logits(monkeypatch) -> None:
    model, batch = double(), collate(random_examples((9, 6)))
    expected = gradient_of_embeddings(model, batch)
    monkeypatch.setattr(loss, "split_head", lambda model: None)
    found = gradient_of_embeddings(model, batch)
    assert error(found[0], expected[0]) <= FLOAT64
    assert error(found[1], expected[1]) <= FLOAT64


def test_a_forward_that_bypasses_its_body_takes_full_logits(monkeypatch) -> None:
    model, batches = double(), [collate(random_examples(lengths)) for lengths in ((9, 6), (5, 7))]
    expected = [gradient_of_embeddings(model, batch) for batch in batches]
    body, bodies = model.model, []

    def forward(**inputs):
        """The same numbers from the body's forward itself, which nothing can take the place of."""
        hidden = type(body).forward(body, **inputs)[0]
        return type("Output", (), {"logits": model.lm_head(hidden)})

    monkeypatch.setattr(model, "forward", forward)
    loss._asks_body.pop(body)
    body.register_forward_hook(lambda *_: bodies.append(1))
    for batch, (nll, gradient) in zip(batches, expected, strict=True):
        found = gradient_of_embeddings(model, batch)
        assert error(found[0], nll) <= FLOAT64
        assert error(found[1], gradient) <= FLOAT64
    assert len(bodies) == 1  # the second batch knows


def test_the_head_is_tried_once() -> None:
    model, batch = double(), collate(random_examples((9, 6)))
    rows = []
    model.lm_head.register_forward_hook(lambda _, args, __: rows.append(args[0].shape[1]))
    for _ in range(3):
        gradient_of_embeddings(model, batch)
    labelled = int((batch.labels[:, 1:] != -100).sum())
    assert rows == [1] + [labelled] * 3


def test_the_bodys_forward_is_put_back_also_after_an_error() -> None:
    model = double()
    body, head = split_head(model)
    body.forward = body.forward  # as accelerate does: a forward of the instance's own
    own = body.forward
    with pytest.raises(RuntimeError):
        head(torch.randn(2, 7, dtype=torch.float64))  # not the model's width
    assert body.__dict__["forward"] is own
    del body.forward
    with pytest.raises(RuntimeError):
        head(torch.randn(2, 7, dtype=torch.float64))
    assert "forward" not in body.__dict__
