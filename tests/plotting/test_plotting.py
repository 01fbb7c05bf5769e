"""Heat maps: the right colour and character for each head, at any size, on any terminal; equal files."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from headprint.base.errors import InputError
from headprint.patterns.pattern import Pattern
from headprint.plotting import Scale, unit
from headprint.plotting import figures as plot
from headprint.plotting import terminal as render

SIZES = [(1, 1), (2, 3), (6, 8), (40, 40), (61, 128), (3, 300)]


def random_pattern(layers: int, heads: int, *, seed: int = 0, **provenance) -> Pattern:
    values = np.random.default_rng(seed).gamma(0.7, 0.02, (layers, heads))
    return Pattern(values, {"placement": "example", "examples": 1234, **provenance})


def with_gaps(pattern: Pattern, layer: int) -> Pattern:
    values = pattern.values.copy()
    values[layer] = np.nan
    return Pattern(values, pattern.provenance, pattern.kind)


def printed(renderable, *, width: int = 80) -> list[str]:
    """What a pipe gets."""
    file = io.StringIO()
    Console(file=file, width=width, highlight=False).print(renderable, crop=False)
    return file.getvalue().splitlines()


def rows_of(lines: list[str], layers: int) -> list[str]:
    """The lines of layers 0, 1, …, in order, without their labels; of several blocks all."""
    return [line[5:] for line in lines if line[:4].strip().isdigit() and int(line[:4]) < layers]


def backgrounds(renderable, *, width: int = 80) -> list[list[tuple[int, int, int]]]:
    """The coloured cells of each line, on a true-colour terminal."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="truecolor")
    lines = console.render_lines(renderable, console.options.update(width=width), pad=False)
    coloured = [[segment for segment in line if segment.style and segment.style.bgcolor] for line in lines]
    return [
        [tuple(segment.style.bgcolor.triplet) for segment in line for _ in segment.text] for line in coloured if line
    ]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("width", [40, 80, 200])
def test_every_line_fits_and_every_head_has_a_cell(size, width) -> None:
    pattern = random_pattern(*size)
    layers, heads = size
    lines = printed(render.pattern_view(pattern, title="a title"), width=width)
    assert max(map(len, lines)) <= width
    blocks = -(-heads // (width - 5))
    rows = rows_of(lines, layers)
    assert len(rows) == blocks * layers
    widths = [sum(len(row) for row in rows[layer::layers]) for layer in range(layers)]
    assert {total % heads for total in widths} == {0}
    assert min(widths) >= heads


@pytest.mark.parametrize("seed", range(3))
def test_more_ink_for_a_larger_head(seed) -> None:
    pattern = random_pattern(7, 20, seed=seed)
    cells = np.array([list(row[::3]) for row in rows_of(printed(render.HeatMap(pattern, Scale.of(pattern))), 7)])
    ink = np.vectorize(" ░▒▓█".index)(cells)
    order = np.argsort(pattern.values.ravel())
    assert (np.diff(ink.ravel()[order]) >= 0).all()
    assert ink.max() == 4
    assert len(np.unique(ink)) >= 4


def test_lowered_and_raised_heads_look_different_without_colour() -> None:
    change = Pattern([[-1.0, -0.3, 0.0, 0.3, 1.0]], {}, "change")
    (row,) = rows_of(printed(render.HeatMap(change, Scale.of(change))), 1)
    assert row[::4] == "#= ▒█"


@pytest.mark.parametrize("kind", ["pattern", "change"])
def test_colours_are_those_of_matplotlibs_map(kind) -> None:
    values = np.random.default_rng(1).normal(size=(5, 6)) if kind == "change" else random_pattern(5, 6).values
    pattern = Pattern(values, {}, kind)
    scale = Scale.of(pattern)
    found = np.array(backgrounds(render.HeatMap(pattern, scale)))[:, ::4]
    span = np.abs(pattern.values).max()
    position = (pattern.values / span + 1) / 2 if kind == "change" else pattern.values / span
    wanted = mpl.colormaps["RdBu_r" if kind == "change" else "viridis"](position)[..., :3] * 255
    assert np.abs(found - wanted).max() < 12  # nine colours stand for 256
    assert np.abs(found - wanted).mean() < 3


@given(st.floats(-1e30, 1e30), st.floats(0, 1e30), st.booleans())
def test_a_position_is_between_the_ends(value, high, diverging) -> None:
    scale = Scale(high, diverging)
    position = scale.position(value)
    assert 0 <= position <= 1
    assert all(0 <= channel <= 255 for channel in scale.color(position))
    assert len(scale.shade(position)) == 1
    assert scale.position(0.0) == (0.5 if diverging else 0.0)


@pytest.mark.parametrize("variable", ["NO_COLOR", None])
def test_no_colour_where_it_is_not_wanted(variable, monkeypatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if variable:
        monkeypatch.setenv(variable, "1")
    file = io.StringIO()
    Console(file=file, width=80, force_terminal=True, color_system="truecolor").print(
        render.pattern_view(random_pattern(4, 4))
    )
    assert ("48;2" in file.getvalue()) == (variable is None)
    assert any(shade in file.getvalue() for shade in "░▒▓█") == (variable is not None)


def test_layers_without_attention_are_dots_and_said_so() -> None:
    pattern = with_gaps(random_pattern(6, 8), 2)
    lines = printed(render.pattern_view(pattern))
    rows = rows_of(lines, 6)
    assert set(rows[2]) == {"·", " "}
    assert rows[2].count("·") == 8
    assert "·" not in "".join(rows[:2] + rows[3:])
    assert any("· no attention" in line for line in lines)
    assert not any("· no attention" in line for line in printed(render.pattern_view(random_pattern(6, 8))))


@pytest.mark.parametrize("size", SIZES)
def test_the_head_axis_stands_over_its_heads(size) -> None:
    pattern = random_pattern(*size)
    heads = size[1]
    lines = printed(render.HeatMap(pattern, Scale.of(pattern)))
    axes = [line for line in lines if line.startswith("head")]
    cell = max(1, min(4, 75 // heads))
    for block, axis in enumerate(axes):
        found = axis[5:]
        for label in found.split():
            at = f" {found} ".index(f" {label} ")
            assert at == (int(label) - 75 * block) * cell
        assert found.split()[0] == str(75 * block)


@pytest.mark.parametrize("values", [np.zeros((2, 3)), np.full((2, 3), np.nan)])
def test_nothing_to_see_is_no_error_for_a_heat_map(values) -> None:
    for kind in ("pattern", "change"):
        pattern = Pattern(values, {}, kind)
        assert len(rows_of(printed(render.HeatMap(pattern, Scale.of(pattern))), 2)) == 2


def test_before_and_after_stand_beside_the_change_where_they_fit() -> None:
    before, after = random_pattern(6, 8), random_pattern(6, 8, seed=1)
    lines = printed(render.change_view(before, after, after - before))
    assert lines[0].split() == ["before", "after", "change"]
    assert sum(line.rstrip().endswith("(nats)") for line in lines) == 2  # the legends
    assert max(map(len, lines)) <= 80
    before, after = random_pattern(6, 32), random_pattern(6, 32, seed=1)
    lines = printed(render.change_view(before, after, after - before))
    assert lines[0].split() == ["change"]
    assert sum(line.rstrip().endswith("(nats)") for line in lines) == 1
    assert len(rows_of(lines, 6)) == 6


def test_before_and_after_share_a_scale() -> None:
    before = random_pattern(6, 8)
    after = before * 2.0
    lines = backgrounds(render.change_view(before, after, after - before))[:6]
    found = np.array([line[: 2 * 8 * 2 : 2] for line in lines])  # 2 columns a cell: 3 × 8 heads fit in 80
    scale = Scale(float(after.values.max()), diverging=False)
    for half, pattern in ((found[:, :8], before), (found[:, 8:], after)):
        assert half.tolist() == [[list(scale.color(scale.position(value))) for value in row] for row in pattern.values]


def test_statistics_and_heads_are_the_patterns_own() -> None:
    pattern = random_pattern(6, 8)
    text = "\n".join(printed(render.pattern_view(pattern, top=3)))
    for value in (pattern.gini(), pattern.cv(), pattern.kurtosis()):
        assert f" {value:.3f} " in text
    assert "1,234" in text
    for layer, head, value in pattern.top(3):
        assert any(f"layer {layer} head {head} " in line and f"{value:#.3g}" in line for line in text.splitlines())
    assert text.count("layer ") == 3


def test_only_raised_heads_are_called_raised() -> None:
    change = Pattern([[1.0, -2.0, 3.0], [0.0, -0.5, np.nan]], {}, "change")
    raised, lowered = render.most_changed(change, 5)
    assert [head.value for head in raised] == [3.0, 1.0]
    assert lowered == [(0, 1, -2.0), (1, 1, -0.5)]
    assert [head.value for head in render.most_active(change, 2)] == [3.0, -2.0]


def test_a_change_has_no_gini() -> None:
    pattern = random_pattern(3, 4)
    assert render.statistics_of(pattern)["gini"] == pattern.gini()
    assert render.statistics_of(pattern - random_pattern(3, 4, seed=1))["gini"] is None
    signed = Pattern([[1.0, -1.0, 2.0]], {"placement": "none"})
    assert render.statistics_of(signed)["gini"] is None


def test_units_say_what_was_summed() -> None:
    before, after = random_pattern(2, 2), random_pattern(2, 2, seed=1)
    assert unit(before) == "|Σ A·∂L/∂A| (nats)"
    assert unit(random_pattern(2, 2, placement="none")) == "Σ A·∂L/∂A (nats)"
    assert unit(random_pattern(2, 2, placement="token")) == "Σ |z·∂L/∂z| (nats)"
    assert unit(after - before) == "change (nats)"
    assert unit((after - before) / before) == "relative change"
    assert unit(random_pattern(2, 2, objective="margin")) == "|Σ A·∂ℓ/∂A| (log odds)"
    for reading, label, change in (
        ("share", "share of all heads", "change (share of all heads)"),
        ("elasticity", "|Σ A·∂L/∂A| / L (per nat of loss)", "change (per nat of loss)"),
    ):
        read = random_pattern(2, 2, reading=reading)
        assert (unit(read), unit(read - read)) == (label, change)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_same_patterns_give_the_same_file(tmp_path, suffix) -> None:
    before, after = random_pattern(6, 8), random_pattern(6, 8, seed=1)
    files = [tmp_path / f"{name}.{suffix}" for name in "abc"]
    for file in files[:2]:
        plot.heat_maps([before, after, after - before], file, titles=["before", "after", "change"])
    plot.heat_maps([before, after, before - after], files[2], titles=["before", "after", "change"])
    first, second, other = (file.read_bytes() for file in files)
    assert first == second != other
    assert len(first) > 5000


def test_panels_share_scales_and_name_their_axes() -> None:
    before, after = with_gaps(random_pattern(6, 8), 2), random_pattern(6, 8, seed=1)
    figure = plot._figure([before, after, after - before], ["before", "after", "change"])
    *panels, levels, changes = figure.axes
    assert [ax.get_title() for ax in panels] == ["before", "after", "change"]
    assert {ax.get_xlabel() for ax in panels} == {"head"}
    assert [ax.get_ylabel() for ax in panels] == [
        "layer (grey: no attention)",
        "layer",
        "layer (grey: no attention)",
    ]
    assert levels.get_ylabel() == "|Σ A·∂L/∂A| (nats)"
    assert changes.get_ylabel() == "change (nats)"
    images = [ax.images[0] for ax in panels]
    highest = max(np.nanmax(before.values), after.values.max())
    assert images[0].get_clim() == images[1].get_clim() == (0, pytest.approx(highest))
    low, high = images[2].get_clim()
    assert low == -high < 0
    assert np.array_equal(images[0].get_array().filled(np.nan), before.values, equal_nan=True)
    assert images[0].get_array().mask[2].all()


@pytest.mark.parametrize("name", ["picture.gif", "picture"])
def test_an_unknown_suffix_is_refused(tmp_path, name) -> None:
    with pytest.raises(InputError, match=r"\.png, \.svg, \.pdf"):
        plot.heat_maps([random_pattern(2, 2)], tmp_path / name)


def test_a_picture_that_cannot_be_written_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        plot.heat_maps([random_pattern(2, 2)], tmp_path / "missing" / "picture.png")


def test_the_change_of_statistics_is_their_difference() -> None:
    before, after = random_pattern(6, 8), random_pattern(6, 8, seed=1)
    found = render.statistics_change(before, after)
    assert found["gini"] == pytest.approx(after.gini() - before.gini())
    assert found["cv"] == pytest.approx(after.cv() - before.cv())
    assert found["kurtosis"] == pytest.approx(after.kurtosis() - before.kurtosis())
    (row,) = [line for line in printed(render.change_view(before, after, after - before)) if "after - before" in line]
    assert row.split()[-5:] == [*(f"{found[name]:.3f}" for name in ("gini", "cv", "kurtosis")), "–", "–"]
    before, after = (Pattern(before.values, {"mean_loss": loss}) for loss in (2.5, 1.25))
    assert render.statistics_change(before, after)["loss"] == -1.25
    shown = printed(render.change_view(before, after, after - before))
    (row,) = [line for line in shown if "after - before" in line]
    assert row.split()[-2:] == ["-1.250", "–"]
    signed = Pattern([[1.0, -1.0]], {"placement": "none"})
    assert render.statistics_change(signed, signed)["gini"] is None


@pytest.mark.parametrize("width", [30, 80, 200])
def test_a_wide_table_continues_below_and_breaks_no_word(width) -> None:
    names = [f"a-task-with-a-long-name-{i}" for i in range(9)]
    rows = [[name, *(f"0.{i}{j}\n-0.10 … 0.90" for j in range(9))] for i, name in enumerate(names)]
    lines = printed(render.WideTable(["", *names], rows), width=width)
    text = "\n".join(lines)
    assert max(len(line.rstrip()) for line in lines) <= max(width, 2 * len(names[0]) + 2)
    assert all(text.count(f"0.{i}{j} ") >= 1 for i in range(9) for j in range(9))
    assert text.count("-0.10 … 0.90") == 81
    assert all(name in text for name in names)
    assert len([line for line in lines if not line.strip()]) == {30: 8, 80: 4, 200: 1}[width]


def test_a_line_is_broken_between_words_only() -> None:
    path = "/a/path/that-is-longer-than/the-console/is-wide/and_has_no_spaces"
    assert printed(render.Line(f"before: {path} on data"), width=40) == ["before:", path, "on data"]
    assert printed(render.Line(""), width=40) == [""]
