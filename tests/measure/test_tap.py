"""The tap: what it reads of a pass, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from headprint.measure.batching import collate
from headprint.measure.levels import measure
from headprint.measure.tap import Tap
from headprint.models import frozen
from headprint.models.heads import HeadSite, locate
from support.numerics import FLOAT64, error
from support.plain import random_examples
from support.toy_models import toy_model


def test_packed_rows_give_each_examples_levels() -> None:
    """Two segments of one row are summed apart, whatever the model: here the model is one projection."""
    torch.manual_seed(0)
    projection = nn.Linear(12, 5, dtype=torch.float64)
    z = torch.randn(1, 7, 12, dtype=torch.float64, requires_grad=True)
    site = HeadSite(0, "o_proj", projection, 3, 4, nn.Identity())
    segments = torch.tensor([[0, 0, 0, 1, 1, 1, 1]])
    with Tap((site,)) as tap:
        tap.open(1, 7)
        projection(z).square().sum().backward()
        packed = tap.levels(segments=segments)
        for index, part in enumerate((slice(0, 3), slice(3, 7))):
            tap.open(1, part.stop - part.start)
            projection(z[:, part]).square().sum().backward()
            assert error(packed[index], tap.levels()[0]) <= FLOAT64


def test_a_site_that_the_pass_does_not_use_is_an_error_not_a_zero() -> None:
    model, other = toy_model("llama"), toy_model("llama")
    with frozen(model), Tap(locate(other).sites) as tap, pytest.raises(RuntimeError, match=r"o_proj|require grad"):
        measure(model, tap, collate(random_examples((6,))))
