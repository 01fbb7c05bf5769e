"""What each chapter says of its claim, on exhibits built of its own types, and what it shows of recorded studies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from headprint.study.chapters import (
    CHAPTERS,
    EXPERIMENTS,
    ablation,
    base_rates,
    composition,
    early_change,
    mixture,
    selection,
    spread,
)
from headprint.study.chapters.ablation import Ablated, AblationRow
from headprint.study.chapters.arms import ArmRow, Gain, gap
from headprint.study.chapters.composition_figures import Fig3, Fig4
from headprint.study.chapters.early_change import Fig5, Path
from headprint.study.chapters.fits import Decomposition, Fit, Gap, MeanFit, Null, Subset
from headprint.study.chapters.mirrors import mirror
from headprint.study.chapters.mixture import Table2
from headprint.study.chapters.selection import Table3
from headprint.study.chapters.spread import Fig1, Maps, MeanShape, Shape, Table1
from headprint.study.estimates import Estimate, mean_of, written
from headprint.study.verdicts import Finding
from headprint.study.views import Figure, Text
from support import recorded

SEEDS = [0, 1, 2, 3, 4]


def interval(value: float, half: float = 0.01) -> Estimate:
    return Estimate(value, value - half, value + half)


def finding(chapter: Any, exhibit: Any, seeds: Sequence[int] = SEEDS) -> Finding:
    found = chapter.CHAPTER.finding(exhibit, seeds)
    assert found is not None
    assert "None" not in f"{found.here} {found.number or ''}"
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("chapter", [chapter for chapter in CHAPTERS if chapter.claim], ids=lambda each: each.name)
def test_nothing_is_tested_without_an_exhibit(chapter: Any) -> None:
    found = chapter.finding(None, SEEDS)
    assert (found.key, found.verdict, found.checks) == (chapter.name, "not tested", [])
    assert found.here == "Not tested in this run."


@pytest.mark.parametrize("name", ["lab", "real"])
def test_every_claim_of_a_recorded_study_has_checks_and_a_meaning(name: str) -> None:
    found = recorded.results(name).findings
    assert [each.key for each in found] == [
        chapter.name for chapter in CHAPTERS if chapter.claim and chapter.name not in EXPERIMENTS
    ]
    for each in found:
        assert each.checks
        assert each.here.endswith(".")
        assert each.meaning.endswith(".")
        assert "None" not in f"{each.here} {each.number}"
        assert (each.verdict == "one seed") == (name == "real")


def test_several_models_are_told_apart() -> None:
    found = {each.key: each for each in recorded.results("real", recorded.models("one", "two")).findings}
    assert "sgsm (one)" in found["mixture"].here
    assert "sgsm (two)" in found["composition"].here


# Spread


def spreading(gini: Sequence[float], cv: Sequence[float] | None = None, half: float = 0.01) -> spread.Exhibit:
    def shape(of_gini: float, of_cv: float) -> Shape:
        return Shape(gini=interval(of_gini, half), cv=interval(of_cv, half), kurtosis=interval(of_gini, half))

    cells = [
        MeanShape(
            model="lab",
            task=f"task{i}",
            seeds=5,
            before=shape(0.5, 1.0),
            after=shape(0.5 + x, 1.0 + y),
            change=shape(x, y),
        )
        for i, (x, y) in enumerate(zip(gini, cv or gini, strict=True))
    ]
    return spread.Exhibit(table1=Table1(rows=[], summary=cells, paper=spread.PUBLISHED), fig1=Fig1(maps=[]))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([-0.1, -0.12, -0.08, -0.11], "replicates"),
        ([0.1, 0.12, 0.08, 0.11], "does not"),
        ([-0.1, -0.12, 0.11, 0.1], "unclear"),
        ([-0.1, -0.12, -0.08, 0.3], "mixed"),  # falls in most tasks, and not on average
        ([-0.1], "replicates"),  # a single task is judged by its own interval
        ([0.005], "does not"),  # rises, and in none of the tasks it falls
    ],
)
def test_spreading(changes: list[float], expected: str) -> None:
    found = finding(spread, spreading(changes))
    assert found.verdict == expected
    assert f"fell in {sum(x < 0 for x in changes)} of {len(changes)} tasks" in found.here


def test_a_gini_that_fell_in_every_task_is_not_called_a_matter_of_chance() -> None:
    """One task falls by so much that the mean's interval reaches 0: the count is what was found."""
    found = finding(spread, spreading([-0.01, -0.02, -0.01, -0.5]))
    assert found.verdict == "mixed"
    assert "The Gini coefficient fell in 4 of 4 tasks" in found.here
    assert (
        found.meaning == "Activation spread in most tasks here, but by amounts too uneven to tell a change on average."
    )
    assert [check.holds for check in found.checks] == [True, None, True, None]
    other = finding(spread, spreading([-0.1, -0.12, -0.08, -0.11], [0.1, 0.12, 0.08, 0.11]))
    assert "in others it does not" in other.meaning


def test_the_mean_change_is_that_of_the_tasks_with_students_interval() -> None:
    changes = [-0.2, -0.1, -0.05]
    half = float(stats.t.ppf(0.975, 2) * np.std(changes, ddof=1) / math.sqrt(3))
    text = finding(spread, spreading(changes)).here
    assert written(interval(float(np.mean(changes)), half), signed=True) in text


def test_exceptions_are_named() -> None:
    assert "not in task3" in finding(spread, spreading([-0.1, -0.1, -0.1, 0.2])).here


def test_a_statistic_that_does_not_exist_is_left_out() -> None:
    exhibit = spreading([-0.1, -0.12])
    cells = [replace(cell, change=replace(cell.change, cv=Estimate(None))) for cell in exhibit.table1.summary]
    found = finding(spread, replace(exhibit, table1=replace(exhibit.table1, summary=cells)))
    assert len(found.checks) == 2
    assert "variation" not in found.here


def heat_maps(before: list[list[float | None]], change: list[list[float | None]]) -> Maps:
    return Maps(model="lab", task="math", seed=0, n=10, before=before, after=before, change=change)


def test_a_change_that_is_only_the_negated_pattern_before_is_called_its_mirror() -> None:
    before: list[list[float | None]] = [[0.9, 0.4, None], [0.1, 0.7, 0.2]]
    taken = heat_maps(before, [[None if x is None else -0.8 * x for x in row] for row in before])
    assert mirror(taken.change, taken.before) == pytest.approx(1.0)
    grown = heat_maps(before, [[0.1, 0.3, None], [-0.2, 0.1, 0.3]])
    expected = np.corrcoef([0.1, 0.3, -0.2, 0.1, 0.3], [-0.9, -0.4, -0.1, -0.7, -0.2])[0, 1]
    assert mirror(grown.change, grown.before) == pytest.approx(expected)
    for maps, r, warned in ((taken, 1.0, True), (grown, expected, False)):
        exhibit = replace(spreading([-0.1]), fig1=Fig1(maps=[maps]))
        figure = spread.CHAPTER.views(exhibit, SEEDS)[1]
        assert isinstance(figure, Figure)
        assert [row[2].value for row in figure.tables[0].rows] == [pytest.approx(r)]  # type: ignore[union-attr]
        warnings = [note.text for note in figure.notes if note.is_warning]
        assert len(warnings) == warned
        assert not warned or "In 1 of 1 tasks the change is little more than the level before" in warnings[0]


def test_the_laboratorys_changes_mirror_the_pattern_before_in_seven_tasks_of_nine() -> None:
    """Measured when the study was run; see the correlations in the report."""
    (figure,) = [figure for figure in recorded.results("lab").figures() if figure.name == "fig1"]
    assert any("In 7 of 9 tasks" in note.text for note in figure.notes if note.is_warning)


# Composition


def fits(
    best: list[str], above: Estimate, p: float, *, gaps: Sequence[Gap] = (), pairs: Sequence[str] = ("code", "facts")
) -> composition.Exhibit:
    null = {"code": Null(mean=0.0, high=0.2, p_value=p), "facts": Null(mean=0.0, high=0.2, p_value=1.0)}
    subsets = [
        Subset(tasks=["math", other], weights={}, r2=0.8, adjusted=None, cross_validated=None, null=null[other])
        for other in pairs
    ]
    decomposition = Decomposition(
        target="math_code",
        weights={},
        intercept=Estimate(None),
        r2=interval(0.8),
        adjusted=None,
        cross_validated=None,
        null=None,
        subsets=subsets,
        gaps=list(gaps),
        heads=4,
        examples={},
        intervals=True,
        options={},
    )
    fit = Fit(
        model="lab",
        seed=0,
        target="math_code",
        method="nnls",
        named=["code", "math"],
        named_rank=1,
        decomposition=decomposition,
        discovery=None,
    )
    cell = MeanFit(
        model="lab",
        target="math_code",
        method="nnls",
        seeds=5,
        best=best,
        best_in=1.0,
        named_rank=interval(1.0),
        r2_named=interval(0.8),
        r2_best_pair=interval(0.81),
        r2_median_pair=interval(0.5),
        above_median=above,
        null_r2=interval(0.1),
    )
    figure = Fig4(fits=[fit], summary=[cell], paper=composition.PUBLISHED)
    return composition.Exhibit(fig3=Fig3(), fig4=figure)


@pytest.mark.parametrize(
    ("best", "above", "p", "expected"),
    [
        (["math", "code"], interval(0.3), 0.001, "replicates"),
        (["math", "facts"], interval(0.3), 0.001, "mixed"),
        (["math", "code"], interval(0.3), 0.4, "mixed"),
        (["math", "facts"], interval(0.3, 0.5), 0.4, "does not"),
    ],
)
def test_composition(best: list[str], above: Estimate, p: float, expected: str) -> None:
    found = finding(composition, fits(best, above, p))
    assert found.verdict == expected
    assert ("the pair it is made of" in found.here) == (set(best) == {"math", "code"})


def test_the_rates_are_judged_too_and_head_gradients_are_told() -> None:
    given = fits(["math", "code"], interval(0.3), 0.001)
    assert given.fig4 is not None
    (fit,), (cell,) = given.fig4.fits, given.fig4.summary
    weights = {"math": interval(0.5), "code": interval(0.4), "facts": interval(0.1)}
    gradient = replace(fit, reading="gradient", decomposition=replace(fit.decomposition, weights=weights))
    figure = replace(
        given.fig4,
        fits=[fit, replace(fit, reading="rate"), gradient],
        summary=[cell, replace(cell, reading="rate", best=["math", "facts"]), replace(cell, reading="gradient")],
    )
    found = finding(composition, replace(given, fig4=figure))
    assert found.verdict == "mixed"
    assert len(found.checks) == 6
    assert "the best pair for math_code by ΔAP / AP is math + facts" in found.here
    assert "the largest weights are those of the tasks that a target is made of in 1 of 1 fits" in found.here


def test_a_single_fit_is_judged_by_its_own_gap_over_examples() -> None:
    above = Estimate(0.3)
    assert finding(composition, fits(["math", "code"], above, 0.001)).checks[0].holds is None
    gaps = [
        Gap(size=size, best=[], value=interval(value), best_in=None, p_value=None)
        for size, value in ((3, -1.0), (2, 0.3))
    ]
    assert finding(composition, fits(["math", "code"], above, 0.001, gaps=gaps)).verdict == "replicates"


def test_a_single_pair_is_not_called_the_best() -> None:
    found = finding(composition, fits(["math", "code"], interval(0.3), 0.5, pairs=["code"]))
    assert [check.holds for check in found.checks] == [False]
    assert found.verdict == "does not"


def test_a_decomposition_of_changes_that_mirror_the_pattern_before_says_so() -> None:
    exhibit = fits(["math", "code"], interval(0.3), 0.001)
    assert exhibit.fig4 is not None
    (fit,) = exhibit.fig4.fits
    mirrors = {"math": 0.95, "code": 0.99, "math_code": 0.5, "arith": None}
    mirrored = replace(fit, decomposition=replace(fit.decomposition, mirrors_before=mirrors))
    of = [mirrored, replace(mirrored, method="lstsq"), replace(mirrored, seed=1)]
    shown = composition.CHAPTER.views(replace(exhibit, fig4=replace(exhibit.fig4, fits=of)), SEEDS)
    warning = shown[0]
    assert isinstance(warning, Text)
    assert warning.is_warning
    assert warning.text.startswith("In 2 of 4 tasks")
    (figure,) = [each for each in shown if isinstance(each, Figure) and each.name == "fig4"]
    (table,) = [each for each in figure.tables if each.title == "Does the change only mirror the pattern before?"]
    assert [row[1] for row in table.rows] == list(mirrors)
    assert not any(isinstance(each, Text) for each in composition.CHAPTER.views(exhibit, SEEDS))


# Early change


def path(way: Sequence[float]) -> early_change.Exhibit:
    steps = [0, 1, 2, 4, 8, 16, 32, 64][: len(way)]
    run = Path(
        model="lab",
        task="math",
        seed=0,
        n=10,
        steps=steps,
        rows_seen=steps,
        correlation=[interval(1 - x) for x in way],
        mse=[interval(x) for x in way],
        gini=[interval(0.5) for _ in way],
        half_way=1,
        loss=[None] * len(way),
        train_loss=[],
        patterns=None,
    )
    return early_change.Exhibit(fig5=Fig5(runs=[run], summary=[]))


@pytest.mark.parametrize(
    ("way", "expected", "share"),
    [
        ([0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0], "replicates", "6.2 %"),
        ([0, 0.0, 0.0, 0.1, 0.1, 0.2, 0.4, 1.0], "does not", "100.0 %"),
        ([0, 0.0, 0.0, 0.1, 0.1, 0.5, 0.8, 1.0], "replicates", "25.0 %"),
    ],
)
def test_early_change(way: list[float], expected: str, share: str) -> None:
    found = finding(early_change, path(way))
    assert found.verdict == expected
    assert share in str(found.number)


def test_patterns_that_never_move_test_nothing() -> None:
    assert finding(early_change, path([0.0] * 8)).verdict == "not tested"


def test_training_may_be_too_short_to_tell() -> None:
    found = finding(early_change, path([0, 0.9, 1.0, 1.0]))
    assert found.verdict == "not tested"
    assert found.here == "Training of 4 steps is too short to tell early from late."


# Mixture and selection


def arm_rows(accuracies: Mapping[str, Sequence[float]], *, accuracy: bool = True) -> list[ArmRow]:
    return [
        ArmRow(
            model="lab",
            target="math_code",
            arm=arm,
            seed=seed,
            accuracy=interval(x, 0.05) if accuracy else None,
            loss=interval(2 - x),
            n=100,
            over={},
        )
        for arm, values in accuracies.items()
        for seed, x in enumerate(values)
    ]


def mixed(rows: list[ArmRow]) -> mixture.Exhibit:
    return mixture.Exhibit(table2=Table2(arms={}, rows=rows, summary=[], paper=mixture.PUBLISHED))


def test_arms_are_compared_seed_by_seed() -> None:
    """The arms differ less than the seeds do, so only paired differences can tell."""
    rng = np.random.default_rng(0)
    of_seed = rng.uniform(0.1, 0.9, 5)
    better = of_seed + rng.uniform(0.01, 0.02, 5)
    found = gap(arm_rows({"target": of_seed.tolist(), "mixture": better.tolist()}), "mixture", "target", "accuracy")
    expected = stats.ttest_rel(better, of_seed).confidence_interval()
    np.testing.assert_allclose([found.low, found.high], expected)
    assert found.low is not None
    assert found.low > 0
    assert stats.ttest_ind(better, of_seed).confidence_interval().low < 0


def test_seeds_that_only_one_arm_has_are_left_out() -> None:
    rows = arm_rows({"target": [0.1, 0.2], "mixture": [0.3, 0.5, 0.9]})
    assert gap(rows, "mixture", "target", "accuracy").value == pytest.approx(0.25)


def test_one_seed_has_an_interval_over_examples_paired_where_the_pairs_are_known() -> None:
    target, own = arm_rows({"target": [0.2], "mixture": [0.5]})
    found = gap([target, own], "mixture", "target", "accuracy")
    half = math.hypot(0.05, 0.05)
    assert [found.value, found.low, found.high] == pytest.approx([0.3, 0.3 - half, 0.3 + half])
    paired = replace(own, over={"target": Gain(accuracy=interval(0.3, 0.02), log_loss=None)})
    assert gap([target, paired], "mixture", "target", "accuracy") == interval(0.3, 0.02)


def test_draws_of_one_seed_count_as_their_mean() -> None:
    rng = np.random.default_rng(1)
    rows, expected = [], []
    for seed in range(3):
        alone, *draws = rng.uniform(0.5, 2.0, 4)
        made = arm_rows({"mixture": [2 - alone], "permuted": [2 - x for x in draws]})
        rows += [replace(row, seed=seed, draw=row.seed) for row in made]
        expected.append(math.log(alone) - np.mean(np.log(draws)))
    found = gap(rows, "mixture", "permuted", "log_loss")
    assert found.value == pytest.approx(np.mean(expected))
    assert [found.low, found.high] == pytest.approx(list(stats.t.interval(0.95, 2, found.value, stats.sem(expected))))


@pytest.mark.parametrize(
    ("target", "random", "mixture_", "expected"),
    [
        ([0.1, 0.12, 0.11], [0.2, 0.21, 0.22], [0.5, 0.51, 0.52], "replicates"),
        ([0.5, 0.51, 0.52], [0.2, 0.21, 0.22], [0.3, 0.31, 0.32], "mixed"),
        ([0.5, 0.51, 0.52], [0.4, 0.41, 0.42], [0.1, 0.12, 0.11], "does not"),
    ],
)
@pytest.mark.parametrize("accuracy", [True, False])
def test_mixture(
    target: list[float], random: list[float], mixture_: list[float], expected: str, accuracy: bool
) -> None:
    given = {"base": [0.0] * 3, "target": target, "random": random, "mixture": mixture_}
    found = finding(mixture, mixed(arm_rows(given, accuracy=accuracy)))
    assert found.verdict == expected
    assert len(found.checks) == 2
    assert all(("accuracy by" in check.text) == accuracy for check in found.checks)


def test_one_seed_does_not_replicate_however_clear_its_rows_are() -> None:
    rows = arm_rows({"target": [0.1], "random": [0.2], "mixture": [0.6]})
    found = finding(mixture, mixed(rows), seeds=[0])
    assert [check.holds for check in found.checks] == [True, True]
    assert found.verdict == "one seed"


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ([0.7, 0.71, 0.72], "replicates"),
        ([0.1, 0.5, 0.1], "cannot be decided"),
        ([0.0, 0.01, 0.02], "cannot be decided"),
    ],
)
def test_a_mixture_is_decided_only_where_the_named_parts_beat_random_rows(named: list[float], expected: str) -> None:
    given = {"target": [0.1, 0.12, 0.11], "random": [0.2, 0.21, 0.22], "mixture": [0.5, 0.51, 0.52], "named": named}
    found = finding(mixture, mixed(arm_rows(given)))
    assert found.verdict == expected
    assert "; the positive control: the parts that people name " in found.here
    assert ("undecided" in found.checks[0].text) == (expected != "replicates")


def test_a_target_whose_control_fails_leaves_the_others_to_decide() -> None:
    given = {"target": [0.1, 0.12, 0.11], "random": [0.2, 0.21, 0.22], "mixture": [0.5, 0.51, 0.52]}
    works = arm_rows({**given, "named": [0.7, 0.71, 0.72]})
    fails = [replace(row, target="facts_coref") for row in arm_rows({**given, "named": [0.2, 0.21, 0.1]})]
    found = finding(mixture, mixed([*works, *fails]))
    assert [check.holds for check in found.checks] == [True, True, None, None]
    assert found.verdict == "mixed"


def test_a_control_of_our_own_is_reported_and_not_judged() -> None:
    given = {"target": [0.1, 0.12], "random": [0.2, 0.21], "mixture": [0.5, 0.51], "permuted": [0.8, 0.81]}
    found = finding(mixture, mixed(arm_rows(given)))
    assert len(found.checks) == 2
    assert "against the shares by ΔAP permuted over the tasks" in found.here


def test_the_log_loss_decides_whatever_the_accuracy_says() -> None:
    rows = arm_rows({"target": [0.1, 0.12], "random": [0.2, 0.21], "mixture": [0.5, 0.51]})
    rows = [replace(row, accuracy=interval(1 - row.accuracy.value)) for row in rows if row.accuracy]
    found = finding(mixture, mixed(rows))
    assert found.verdict == "replicates"
    assert "on math_code: the mixture by ΔAP first −0.23" in found.here  # ln 1.495 - ln 1.89
    assert "accuracy by −39.5 points" in found.checks[0].text
    assert found.number == "math_code: loss target 1.89, random 1.79, mixture 1.50"


def test_every_way_to_select_is_compared_with_random_rows() -> None:
    given = {
        "target": [0.9, 0.91],
        "random": [0.3, 0.31],
        "raw-correlation": [0.5, 0.51],
        "change-cosine": [0.1, 0.11],
        "head-gradient": [0.7, 0.71],
    }

    def judged(more: Mapping[str, Sequence[float]]) -> Finding:
        rows = arm_rows({**given, **more})
        return finding(selection, selection.Exhibit(table3=Table3(arms={}, rows=rows, summary=[])))

    found = judged({})
    assert found.verdict == "mixed"
    assert [check.holds for check in found.checks] == [True, False, True]
    assert "Of 3 comparisons 2 are clearly better and 1 clearly worse" in found.here
    assert judged({"control": [0.6, 0.61]}).verdict == "mixed"
    undecided = judged({"control": [0.2, 0.5]})
    assert undecided.verdict == "cannot be decided"
    assert "the positive control: rows with the target's skills " in undecided.here


# Ablation


def ablated(active: Sequence[float], changed: Sequence[float], draws: int = 20) -> ablation.Exhibit:
    of_choice: dict[str, Sequence[float | None]] = {
        "active": active,
        "changed": changed,
        "random": [None] * len(active),
    }
    rows = [
        AblationRow(
            model="lab",
            task="math",
            seed=0,
            mode="zero",
            choice=choice,
            k=k,
            draws=draws if choice == "random" else 1,
            loss=interval(0.1),
            accuracy=None,
            p=p,
            p_layer_matched=None,
        )
        for choice, chances in of_choice.items()
        for k, p in enumerate(chances)
    ]
    return ablation.Exhibit(ablation=Ablated(rows=rows, intact=[], summary=[]))


@pytest.mark.parametrize(
    ("active", "changed", "expected"),
    [([0.01] * 4, [0.02] * 4, "replicates"), ([0.5] * 4, [0.9] * 4, "does not"), ([0.01] * 4, [0.9] * 4, "mixed")],
)
def test_ablation(active: list[float], changed: list[float], expected: str) -> None:
    found = finding(ablation, ablated(active, changed))
    assert found.verdict == expected
    assert f"in {sum(p <= 0.05 for p in active)} of 4 comparisons" in found.here


@pytest.mark.parametrize(("draws", "expected"), [(18, "not tested"), (19, "does not")])
def test_too_few_random_heads_cannot_tell(draws: int, expected: str) -> None:
    found = finding(ablation, ablated([0.06] * 4, [0.06] * 4, draws))
    assert found.verdict == expected
    assert ("Too few random sets of heads" in found.here) == (draws == 18)


# Views


@pytest.mark.parametrize("name", ["lab", "real"])
def test_figures_have_unique_names_tables_unique_titles_and_rows_as_wide_as_their_columns(name: str) -> None:
    figures = recorded.results(name).figures()
    names = [figure.name for figure in figures]
    assert len(names) == len(set(names))
    assert {"base_rates", "table1", "fig1", "fig2", "fig4", "fig5", "patterns", "table2", "table3", "ablation"} <= set(
        names
    )
    for figure in figures:
        titles = [table.title for table in figure.tables]
        assert len(titles) == len(set(titles))
        for table in figure.tables:
            columns = [column.name for column in table.columns]
            assert len(columns) == len(set(columns))
            assert {len(row) for row in table.rows} <= {len(columns)}
            keys = [tuple(map(str, row[: table.keys])) for row in table.rows]
            assert not table.keys or len(keys) == len(set(keys))
        for panel in figure.drawing.panels if figure.drawing else ():
            assert len(panel.at) == len(figure.drawing.choosers if figure.drawing else ())
            assert len({type(plot) for plot in panel.plots}) == 1


def test_subsets_are_averaged_over_seeds_best_first() -> None:
    results = recorded.results("lab")
    exhibit = results.of(composition.CHAPTER)
    assert exhibit is not None
    assert exhibit.fig4 is not None
    figure = next(figure for figure in results.figures() if figure.name == "fig4")
    assert figure.drawing is not None
    panel = figure.drawing.panels[0]
    model, target, reading, method, size = panel.at
    assert reading == "ΔAP"
    (plot,) = panel.plots
    means = [point.value for point in plot.series[0].points]  # type: ignore[union-attr]
    assert means == sorted(means, reverse=True)
    assert set(plot.marked[0].split(" + ")) == {"math", "code"}  # type: ignore[union-attr]
    of = [
        subset.r2
        for fit in exhibit.fig4.fits
        if (fit.model, fit.target, fit.method) == (model, target, method)
        for subset in fit.decomposition.of_size(int(size))
        if " + ".join(subset.tasks) == plot.rows[0]  # type: ignore[union-attr]
    ]
    assert means[0] == pytest.approx(mean_of(x for x in of if x is not None).value)


def test_tasks_that_show_nothing_are_named() -> None:
    def half_right(content: dict[str, Any]) -> None:
        for row in content["exhibits"]["base_rates"]["summary"]:
            right = 0.1 if row["stage"] == "before" else 0.25 if row["task"] == "arc" else 0.8
            row["accuracy"] = {"value": right, "low": right, "high": right}

    results = recorded.results("real", half_right)
    text = results.views(base_rates.CHAPTER)[0]
    assert "Here that holds for 6 of 7 tasks" in text.text  # type: ignore[union-attr]
    assert "not in arc (10.0 % → 25.0 %)" in text.text  # type: ignore[union-attr]
