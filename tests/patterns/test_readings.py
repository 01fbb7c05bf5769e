"""Readings of a pattern: against loops over examples and heads, in memory and from files."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headprint.analysis.bootstrap import Bootstrap, resample
from headprint.base.errors import InputError
from headprint.measure.extraction import extract
from headprint.patterns import Pattern, PatternSet, load, reading_of
from support.numerics import FLOAT64, STORED, error
from support.pattern_sets import of_levels, stored
from support.plain import losses, oracle, random_examples, rows
from support.toy_models import toy_model


def random_levels(n: int = 7, **provenance) -> PatternSet:
    levels = np.random.default_rng(0).standard_normal((n, 3, 4))
    levels[:, 1] = np.nan  # no attention there
    levels[:, 2, 3] = np.nan  # fewer heads
    return of_levels(levels, **provenance)


def by_loop(levels: PatternSet, reading: str) -> np.ndarray:
    """The definition, example by example and head by head."""
    n, layers, heads = levels.shape
    pattern = np.zeros((layers, heads))
    for x in range(n):
        example = levels.values[x].astype(float).tolist()
        total = sum(abs(v) for row in example for v in row if v == v)
        loss = float(levels.losses[x]) * (int(levels.tokens[x]) if levels.provenance.get("loss") == "sum" else 1)
        for layer in range(layers):
            for head in range(heads):
                v = example[layer][head]
                part = {"signed": v, "share": abs(v) / total, "elasticity": abs(v) / loss}.get(reading, abs(v))
                pattern[layer, head] += part / n
    return pattern


@pytest.mark.parametrize("reading", ["level", "signed", "share", "elasticity"])
@pytest.mark.parametrize("loss", ["mean", "sum"])
def test_a_reading_is_the_mean_of_what_each_example_adds(tmp_path, reading, loss) -> None:
    levels = random_levels(loss=loss)
    expected = by_loop(levels, reading)
    assert error(levels.readings(reading).mean(0), expected) <= FLOAT64
    for each in (levels, stored(levels, tmp_path / "set"), load(tmp_path / "set", reading=reading)):
        pattern = each.pattern(reading)
        assert error(pattern.values, expected) <= STORED
        assert (pattern.provenance["reading"], reading_of(pattern.provenance)) == (reading, reading)
    assert load(tmp_path / "set", reading=reading).pattern().provenance == pattern.provenance
    if reading == "share":
        assert np.nansum(expected) == pytest.approx(1)


def test_a_set_that_is_read_otherwise_is_resampled_and_subtracted_so() -> None:
    levels = random_levels()
    shares = levels.read_as("share")
    assert (levels.reading, shares.reading, shares[:3].reading) == ("level", "share", "share")
    assert error(resample([shares], Bootstrap(draws=2)).values[0], by_loop(levels, "share")) <= FLOAT64
    change = shares.pattern() - shares[:4].pattern()
    assert reading_of(change.provenance) == "share"
    with pytest.raises(InputError, match="reading is 'level' in one and 'share' in the other"):
        resample([levels, shares], Bootstrap(draws=2))


def test_margins_are_levels_of_the_log_odds(in_float64) -> None:
    """A level is linear in the objective: a token's margin has the gradient of its loss over 1 - p."""
    model = toy_model("llama", dtype=torch.float64)
    examples = random_examples((9, 12, 5))
    expected = []
    for example in examples:
        labelled = [t for t, label in enumerate(example.labels) if t and label != -100]
        alone = [
            type(example)("x", example.input_ids, [y if i == t else -100 for i, y in enumerate(example.labels)])
            for t in labelled
        ]
        doubts = 1 - losses(model, alone).neg().exp()
        expected.append((oracle(model, alone) / doubts[:, None, None]).mean(0))
    found = extract(model, None, rows(examples), objective="margin")
    assert error(found.values, torch.stack(expected)) <= STORED
    assert error(found.losses, losses(model, examples)) <= STORED  # still nats
    assert error(found.pattern().values, torch.stack(expected).abs().mean(0)) <= STORED
    assert found.reading == found.pattern().provenance["reading"] == "margin"
    assert error(found.pattern("signed").values, torch.stack(expected).mean(0)) <= STORED
    assert np.nansum(found.pattern("share").values) == pytest.approx(1)
    with pytest.raises(InputError, match="objective is margin in one set and loss in another"):
        found.merge(extract(model, None, rows(examples)))


@pytest.mark.parametrize(
    ("reading", "provenance", "message"),
    [
        ("rate", {}, "unknown reading 'rate'.*signed"),
        ("signed", {"placement": "token"}, "extract with another"),
        ("margin", {}, "extract again with objective 'margin'"),
        ("level", {"objective": "margin"}, "extract again with objective 'loss'"),
        ("elasticity", {"objective": "margin"}, "extract again with objective 'loss'"),
        ("elasticity", {"loss": "batch-mean"}, "extract again with loss 'mean'"),
    ],
)
def test_a_reading_that_the_levels_do_not_permit_is_refused(reading, provenance, message) -> None:
    levels = random_levels(**provenance)
    for read in (levels.pattern, levels.read_as, levels.readings):
        with pytest.raises(InputError, match=message):
            read(reading)


def test_an_example_without_a_loss_or_levels_is_named() -> None:
    values, losses = np.ones((4, 1, 2)), [1, 1, 1, 0]
    values[2] = 0
    levels = PatternSet(values, ["a", "b", "c", "d"], losses, [1, 1, 1, 1])
    with pytest.raises(InputError, match=r"example 'd' .* its loss is 0"):
        levels.pattern("elasticity")
    with pytest.raises(InputError, match=r"example 'c' .* its levels are all 0"):
        levels.pattern("share")


def test_a_pattern_file_has_the_reading_that_it_was_made_with(tmp_path) -> None:
    levels = random_levels()
    change = levels.pattern("share") - levels[:3].pattern("share")
    for name, pattern in (("pattern", levels.pattern("share")), ("change", change)):
        pattern.save(tmp_path / name)
        assert isinstance(load(tmp_path / name, reading="share"), Pattern)
        with pytest.raises(InputError, match="reading 'share', which cannot be turned into 'level'"):
            load(tmp_path / name, reading="level")
