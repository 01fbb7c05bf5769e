"""Decomposition by head gradients: against plain loops, planted truths, the two nulls, and wrong input."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest
from scipy.optimize import nnls

from headprint.analysis.bootstrap import Bootstrap
from headprint.analysis.decomposition import decompose, discover
from headprint.analysis.decomposition.gradients import of_gradients
from headprint.analysis.mixture import load_weights
from headprint.base.errors import InputError
from headprint.base.options import DecompositionOptions
from headprint.cli.app import run
from headprint.patterns import PatternSet

LAYERS, HEADS, K = 3, 4, 6
FEW = Bootstrap(draws=30)
NAMES = ("math", "code", "facts", "coref")


def gradients(mean: np.ndarray, n: int, seed: int, noise: float = 1.0, absent: int | None = None) -> PatternSet:
    """Rows whose sketches scatter around a mean (L, H, K), in heads of very different sizes."""
    rng = np.random.default_rng(seed)
    scale = np.exp(np.random.default_rng(99).normal(size=(LAYERS, HEADS, 1)) * 2)
    sketches = (mean + noise * rng.standard_normal((n, LAYERS, HEADS, K))) * scale
    values = rng.standard_normal((n, LAYERS, HEADS))
    if absent is not None:
        sketches[:, absent], values[:, absent] = np.nan, np.nan
    origin = {"placement": "example", "sketch_seed": 0, "model": {"id": "m", "weights": "ab"}}
    return PatternSet(values, [f"{seed}-{i}" for i in range(n)], np.ones(n), np.ones(n), origin, sketches)


def planted(shares=(0.6, 0.4), names=NAMES, n=40, noise=1.0, absent=None) -> tuple[PatternSet, dict[str, PatternSet]]:
    """A target that is made of the first tasks, and all of them."""
    rng = np.random.default_rng(7)
    means = {name: rng.standard_normal((LAYERS, HEADS, K)) for name in names}
    target = sum(share * means[name] for share, name in zip(shares, names, strict=False))
    sets = {name: gradients(mean, n + i, i, noise, absent) for i, (name, mean) in enumerate(means.items())}
    return gradients(target, n, 50, noise, absent), sets


def plain_columns(target: PatternSet, basics: dict[str, PatternSet], weights: dict[str, np.ndarray] | None = None):
    """Means of norm 1 in units of each head's r.m.s., one number at a time; y, then x (P, K)."""
    sets = {"target": target, **basics}
    columns = {name: [] for name in sets}
    for layer in range(LAYERS):
        for head in range(HEADS):
            numbers = [float(x) for each in sets.values() for row in each.sketches for x in row[layer, head]]
            if np.isnan(numbers).any():
                continue
            unit = np.sqrt(sum(x**2 for x in numbers) / len(numbers))
            for k in range(K):
                for name, each in sets.items():
                    share = np.full(len(each), 1 / len(each)) if weights is None else weights[name]
                    columns[name].append(
                        sum(float(row[layer, head, k]) * s for row, s in zip(each.sketches, share, strict=True)) / unit
                    )
    y, *x = (np.array(column) / np.linalg.norm(column) for column in columns.values())
    return y, np.stack(x, axis=-1)


@pytest.mark.parametrize("absent", [None, 1])
def test_the_fit_is_non_negative_least_squares_of_plain_columns(absent) -> None:
    target, basics = planted(absent=absent)
    found = decompose(target, basics, by="gradients", permutations=5, bootstrap=FEW)
    y, x = plain_columns(target, basics)
    expected, residual = nnls(x, y)
    np.testing.assert_allclose([weight.value for weight in found.weights.values()], expected, atol=1e-12)
    np.testing.assert_allclose([share.value for share in found.shares.values()], expected / expected.sum(), atol=1e-12)
    assert found.r2.value == pytest.approx(1 - residual**2, abs=1e-12)
    assert found.heads == HEADS * (LAYERS - (absent is not None))
    assert found.mirrors_before == dict.fromkeys(["target", *NAMES])
    assert found.warnings == []


def test_draws_and_random_tasks_are_those_of_resampled_rows() -> None:
    """What the fit sees of each draw, inner products, against means over rows that are formed one by one."""
    target, basics = planted(n=6)
    options, bootstrap = DecompositionOptions(by="gradients", permutations=4), Bootstrap(draws=4)
    problem = of_gradients({"target": target, **basics}, options, bootstrap)
    for draw in range(4):
        weights = {}
        for name, each in {"target": target, **basics}.items():
            rng = np.random.default_rng([0, zlib.crc32(name.encode())])
            counts = rng.multinomial(len(each), np.full(len(each), 1 / len(each)), size=4)
            weights[name] = counts[draw] / len(each)
        y, x = plain_columns(target, basics, weights)
        columns = np.column_stack([x, y])
        triangle = problem.drawn.triangle[draw]
        np.testing.assert_allclose(triangle.T @ triangle, columns.T @ columns, atol=1e-12)
    order = np.argsort(np.random.default_rng(0).random((4, sum(map(len, basics.values())))), axis=1)
    unit = {name: len(each) for name, each in basics.items()}
    everything = basics["math"].merge(*(basics[name] for name in NAMES[1:]))
    for draw in range(4):
        dealt, start = {}, 0
        for name, size in unit.items():
            chosen = everything[order[draw, start : start + size]]
            dealt[name], start = chosen, start + size
        y, x = plain_columns(target, dealt)  # the same rows in all, so the same units
        columns = np.column_stack([x, y])
        triangle = problem.random_tasks.triangle[draw]
        np.testing.assert_allclose(triangle.T @ triangle, columns.T @ columns, atol=1e-12)


def test_r2_on_held_out_heads_against_a_loop() -> None:
    target, basics = planted()
    found = decompose(target, basics, by="gradients", hold_out="layers", permutations=0, bootstrap=Bootstrap(draws=0))
    y, x = plain_columns(target, basics)
    layer = np.repeat(np.arange(LAYERS), HEADS * K)
    left = sum(((y - x @ nnls(x[layer != part], y[layer != part])[0])[layer == part] ** 2).sum() for part in range(3))
    assert found.cross_validated == pytest.approx(1 - left, abs=1e-12)
    assert found.null is None
    assert found.random_tasks is None
    assert not found.intervals


def test_a_planted_target_is_taken_apart_whatever_the_sizes_of_heads_and_tasks() -> None:
    target, basics = planted()
    found = decompose(target, basics, name="math_code", by="gradients", subsets=True, permutations=60, bootstrap=FEW)
    assert found.shares["math"].value == pytest.approx(0.6, abs=0.1)
    assert found.shares["code"].low < found.shares["code"].value < found.shares["code"].high < 0.5
    assert found.null.p_value == found.random_tasks.p_value == pytest.approx(1 / 61)
    assert next(subset.tasks for subset in found.subsets if len(subset.tasks) == 2) == ("math", "code")
    factor = np.exp(np.random.default_rng(3).normal(size=(LAYERS, HEADS, 1)) * 3)
    again = [
        PatternSet(each.values, each.ids, each.losses, each.tokens, each.provenance, each.sketches * factor * size)
        for each, size in zip((target, *basics.values()), (5, 1, 1, 1, 1), strict=True)
    ]
    scaled = decompose(again[0], dict(zip(basics, again[1:], strict=True)), by="gradients", permutations=0)
    assert scaled.shares["math"].value == pytest.approx(found.shares["math"].value, abs=0.1)
    json.dumps(found.to_dict(), allow_nan=False)


def test_random_tasks_fit_as_well_where_tasks_do_not_differ() -> None:
    """All tasks have one mean gradient: permuted heads cannot say so, rows that change their tasks do."""
    rng = np.random.default_rng(0)
    mean, p = rng.standard_normal((LAYERS, HEADS, K)), []
    for seed in range(20):
        basics = {name: gradients(mean, 20, 10 * seed + i) for i, name in enumerate(NAMES)}
        found = decompose(gradients(mean, 20, 10 * seed + 9), basics, by="gradients", permutations=30, bootstrap=FEW)
        assert found.null.p_value == pytest.approx(1 / 31)
        p.append(found.random_tasks.p_value)
    assert 0.2 < np.mean(p) < 0.8


def test_discovery_finds_a_planted_pair_among_many() -> None:
    target, catalogue = planted(names=("math", "code", *(f"other-{i}" for i in range(6))), noise=0.3)
    found = discover(target, catalogue, by="gradients", most=4, permutations=20, bootstrap=FEW)
    assert set(found.tasks) == set(found.fit.shares) == {"math", "code"}
    assert found.selection_frequency["math"] > 0.9


def test_of_a_pair_the_set_before_counts() -> None:
    target, basics = planted()
    pairs = {name: (each, gradients(np.zeros((LAYERS, HEADS, K)), len(each), 80)) for name, each in basics.items()}
    one, other = (decompose(target, sets, by="gradients", permutations=0).to_dict() for sets in (basics, pairs))
    assert one == other


def test_command(tmp_path, monkeypatch, capsys) -> None:
    target, basics = planted(names=("math", "code"))
    for name, each in {"target": target, **basics}.items():
        each.save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    command = ["decompose", "--target=t=target", "--basic=math=math", "--basic=code=code", "--bootstrap=20"]
    assert run([*command, "--by=gradients", "--permutations=20", "--out=d.json"]) == 0
    shown = capsys.readouterr().out
    assert "head gradients, 12 heads" in shown
    assert "mixture" in shown
    assert "rows shuffled among" in shown
    assert max(map(len, shown.splitlines())) <= 80
    found = json.loads((tmp_path / "d.json").read_text())
    assert found["options"]["by"] == "gradients"
    assert found["shares"]["math"]["value"] == pytest.approx(0.6, abs=0.1)
    assert load_weights("d.json").keys() == {"math", "code"}
    assert run(command) == 2
    assert "--by gradients" in capsys.readouterr().err


def test_wrong_input() -> None:
    target, basics = planted()
    bare = PatternSet(target.values, target.ids, target.losses, target.tokens, target.provenance)
    other = PatternSet(
        target.values,
        target.ids,
        target.losses,
        target.tokens,
        {**target.provenance, "sketch_seed": 1},
        target.sketches,
    )
    foreign = PatternSet(
        target.values,
        target.ids,
        target.losses,
        target.tokens,
        {"model": {"id": "n", "weights": "cd"}},
        target.sketches,
    )
    for given, message in (
        (bare, "target has no head gradients: extract it with sketch=K"),
        (other, "directions of target and math differ .6 with seed 1 and 6 with seed 0"),
        (foreign, "target and math are of different models"),
        (target.pattern(), "target: gradients are of examples"),
    ):
        with pytest.raises(InputError, match=message):
            decompose(given, basics, by="gradients")
    for option in ("relative", "intercept"):
        with pytest.raises(InputError, match=f"--{option} belongs to changes"):
            decompose(target, basics, by="gradients", **{option: True})
    with pytest.raises(InputError, match="by is 'gradient': choose from levels, gradients; did you mean"):
        decompose(target, basics, by="gradient")
