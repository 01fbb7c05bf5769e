"""Claim 2: what a complex task changes is a combination of what basic tasks change (Figures 3 and 4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic.dataclasses import dataclass

from headprint.base.errors import InputError
from headprint.base.files import write_json
from headprint.study.bounds import Count, CountOrNone, Distinct
from headprint.study.chapters.chapter import Chapter, Claim, Jobs, Planned, View
from headprint.study.chapters.common import BY_MODEL, MODEL, groups, over, qualified, where
from headprint.study.chapters.fits import Decomposition, Fit, MeanFit, Method, Subset
from headprint.study.chapters.mirrors import Mirror, mirror_table, mirror_warning
from headprint.study.chapters.spread import patterns_of
from headprint.study.estimates import Estimate, average, ends_of, mean_of, number, values_of, written
from headprint.study.groundwork import BaseConfig, Run
from headprint.study.groundwork.training import before_and_after, bootstrap
from headprint.study.pipeline import Cache, Job, Needs, stage
from headprint.study.records import STRICT, Matrix, parsed
from headprint.study.verdicts import CHANCE, Check, Evidence, judged, judged_share, sentence
from headprint.study.views import (
    Cell,
    Chooser,
    Column,
    Dots,
    Drawing,
    Figure,
    HeatMap,
    Panel,
    Scale,
    Series,
    Table,
    Text,
)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Fits:
    """Figure 4, and the weights of the mixtures.

    Attributes:
        targets: Tasks to decompose; None: all complex ones.
        basis: Tasks to compose them of; None: all basic ones.
        methods: ``nnls``, ``lstsq``.
        relative: Fit change rates instead of changes.
        permutations: Targets with permuted heads, beside which a fit stands.
        draws: Of the bootstrap, here and in every other exhibit.
    """

    targets: list[str] | None = None
    basis: list[str] | None = None
    methods: Distinct[Method] = field(default_factory=lambda: ["nnls", "lstsq"])
    relative: bool = False
    permutations: CountOrNone = 1000
    draws: Count = 1000

    def check(self, config: BaseConfig) -> None:
        """Refuse names of tasks that the config does not have, and a target that is part of its own basis.

        Raises:
            InputError: With the place in the config.
        """
        config.check_tasks("fits.targets", self.targets)
        config.check_tasks("fits.basis", self.basis)
        for name in self.targets or ():
            self.check_target(config, name)

    def check_target(self, config: BaseConfig, name: str) -> None:
        """Refuse a target that is part of its own basis.

        Raises:
            InputError: With the task.
        """
        if name in self.basis_of(config):
            raise InputError(f"fits.basis: {name} cannot be composed of itself; name a basis without it")

    def basis_of(self, config: BaseConfig) -> list[str]:
        """The tasks that others are composed of."""
        return self.basis or [name for name, task in config.tasks.items() if task.kind == "basic"]

    def targets_of(self, config: BaseConfig) -> list[str]:
        """The tasks that are decomposed."""
        if self.targets is not None:
            return self.targets
        return [name for name, task in config.tasks.items() if task.kind == "complex"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Equation:
    """A complex task beside the weighted changes of the basic tasks that it is made of, in the first run that has both.

    Attributes:
        model: Name in the config.
        seed: Of the run.
        target: The complex task.
        parts: The basic tasks.
        weights: Of each part, in the fit of these parts alone.
        r2: Of that fit.
        maps: Change by task, layers × heads: of the parts, and of the target.
        fitted: The parts' changes, weighted and added up.
    """

    model: str
    seed: int
    target: str
    parts: list[str]
    weights: dict[str, float]
    r2: float | None
    maps: dict[str, Matrix]
    fitted: Matrix


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Fig3:
    """The idea, on this run's numbers: one equation for each model that has one."""

    title: str = "The idea"
    caption: str = "A complex task needs the skills, and the heads, of basic ones."
    equations: list[Equation] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PublishedFit:
    """The paper's own best pair."""

    target: str
    best: list[str]
    r2: float


PUBLISHED = PublishedFit(target="SGSM", best=["CodeSearchNet", "GSM8K"], r2=0.97)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Fig4:
    """Every decomposition."""

    title: str = "A complex task's change as a combination of basic tasks' changes"
    caption: str = (
        "R² of least-squares fits by every subset of the basic tasks, with R² on held-out heads and of "
        "targets whose heads were permuted beside it. What tells is how far the best pair stands above the median one."
    )
    fits: list[Fit]
    summary: list[MeanFit]
    paper: PublishedFit


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results; None where there is nothing to fit."""

    fig3: Fig3
    fig4: Fig4 | None


@stage(version=1)
def fit(
    out: Path,
    needs: Needs,
    *,
    target: str,
    basis: list[str],
    method: Method,
    relative: bool,
    permutations: int,
    seed: int,
    draws: int,
) -> None:
    """Compose a target's change of those of the basis, rank all subsets, and discover a basis.

    Writes ``fit.json``.
    """
    from headprint.analysis.decomposition import MOST_RANKED, DecompositionOptions, decompose, discover

    pairs = {task: before_and_after(folder) for task, folder in needs.items()}
    options = DecompositionOptions(method=method, relative=relative, permutations=permutations, seed=seed)
    common: dict[str, Any] = {"name": target, "options": options, "bootstrap": bootstrap(seed, draws)}
    found = decompose(pairs[target], {task: pairs[task] for task in basis}, subsets=len(basis) <= MOST_RANKED, **common)
    discovered = None
    if method == "nnls":
        catalogue = {task: pair for task, pair in pairs.items() if task != target}
        discovered = discover(pairs[target], catalogue, **common).to_dict()
    write_json(out / "fit.json", {"decomposition": found.to_dict(), "discovery": discovered})


def fit_of(run: Run, fits: Fits, target: str, method: Method) -> Job:
    """A decomposition of one target in one run."""
    return fit.job(
        run.label(target, method),
        run.tuned,
        **run.drawing,
        target=target,
        basis=fits.basis_of(run.config),
        method=method,
        relative=fits.relative,
        permutations=fits.permutations,
    )


def plan(run: Run) -> Jobs:
    """Fits, if there is a basis, and the patterns whose changes they are of."""
    fits = run.config.block(Fits) or Fits()
    jobs: dict[tuple[str, ...], Job] = {}
    for target in fits.targets_of(run.config) if fits.basis_of(run.config) else ():
        for method in fits.methods:
            jobs["fit", target, method] = fit_of(run, fits, target, method)
        jobs |= {("patterns", task): patterns_of(run, task) for task in run.tuned}
    return jobs


def collect(planned: Sequence[Planned], cache: Cache) -> Exhibit:
    """All fits, and the equations that they make."""
    fits: list[Fit] = []
    changes: dict[tuple[str, int], dict[str, Matrix]] = {}
    for each in planned:
        own = changes.setdefault((each.run.name, each.run.seed), {})
        for (what, *of), job in each.jobs.items():
            if what == "fit":
                fits.append(_fit(each.run, of[0], of[1], cache.json(job)))
            else:
                own[of[0]] = cache.json(job)["maps"]["change"]
    return Exhibit(fig3=Fig3(equations=equations(fits, changes)), fig4=_fig4(fits) if fits else None)


def equations(fits: Sequence[Fit], changes: Mapping[tuple[str, int], Mapping[str, Matrix]]) -> list[Equation]:
    """For each model, the first fit whose target's parts are known, written out with the changes.

    Args:
        fits: Those by ``nnls`` come first.
        changes: Change by task, layers × heads, by model and seed.
    """
    found: dict[str, Equation] = {}
    for each in sorted(fits, key=lambda fit: fit.method != "nnls"):
        maps = changes[each.model, each.seed]
        parts = each.named or []
        subset = next((s for s in each.decomposition.subsets or [] if parts and set(s.tasks) == set(parts)), None)
        if each.model in found or subset is None:
            continue
        weights = {task: subset.weights[task] for task in parts}
        fitted = sum(weights[task] * np.array(maps[task], dtype=np.float64) for task in parts)
        found[each.model] = Equation(
            model=each.model,
            seed=each.seed,
            target=each.target,
            parts=parts,
            weights=weights,
            r2=subset.r2,
            maps={task: maps[task] for task in (*parts, each.target)},
            fitted=[[x if np.isfinite(x) else None for x in row] for row in np.asarray(fitted).tolist()],
        )
    return list(found.values())


def _fit(run: Run, target: str, method: str, found: Mapping[str, Any]) -> Fit:
    """A fit, with the place of the pair that the target is said to be made of."""
    fits = run.config.block(Fits) or Fits()
    parts = run.config.tasks[target].parts
    named = parts if parts and set(parts) <= set(fits.basis_of(run.config)) else None
    decomposition = parsed(Decomposition, found["decomposition"], f"{run.label(target, method)}: fit")
    ranked = decomposition.of_size(len(named or ()))
    return Fit(
        model=run.name,
        seed=run.seed,
        target=target,
        method=method,  # type: ignore[arg-type]
        named=named,
        named_rank=next((i for i, subset in enumerate(ranked, 1) if set(subset.tasks) == set(named or ())), None),
        decomposition=decomposition,
        discovery=found["discovery"],
    )


def _fig4(fits: list[Fit]) -> Fig4:
    summary = [_mean_fit(own) for own in groups(fits, "model", "target", "method").values()]
    return Fig4(fits=fits, summary=summary, paper=PUBLISHED)


def _mean_fit(fits: Sequence[Fit]) -> MeanFit:
    """What seeds agree on: the pairs."""
    pairs = [ranked for each in fits if (ranked := each.decomposition.of_size(2))]
    best = Counter(tuple(sorted(ranked[0].tasks)) for ranked in pairs).most_common(1)
    named = set(fits[0].named or ())
    own = [subset for ranked in pairs for subset in ranked if named and set(subset.tasks) == named]
    gaps = [gap.value for each in fits for gap in each.decomposition.gaps or [] if gap.size == 2]
    nulls = [each.decomposition.null for each in fits]
    return MeanFit(
        model=fits[0].model,
        target=fits[0].target,
        method=fits[0].method,
        seeds=len(fits),
        best=list(best[0][0]) if best else None,
        best_in=best[0][1] / len(pairs) if best else None,
        named_rank=_mean(each.named_rank for each in fits),
        r2_named=_mean(subset.r2 for subset in own),
        r2_best_pair=_mean(ranked[0].r2 for ranked in pairs),
        r2_median_pair=_mean(_median(subset.r2 for subset in ranked) for ranked in pairs),
        above_median=average(gaps) if gaps else None,
        null_r2=_mean(null.mean if null else None for null in nulls),
    )


def _mean(values: Iterable[float | None]) -> Estimate:
    return mean_of(float(value) for value in values if value is not None)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


_CHANGE = Scale(label="change ΔAP (nats)", diverging=True)
_ABOUT = (MODEL, Column("Target"), Column("Fit"))


def _views(exhibit: Exhibit, seeds: Sequence[int]) -> list[View]:
    views: list[View] = [*mirror_warning(_mirrors(exhibit.fig4.fits))] if exhibit.fig4 else []
    if exhibit.fig3.equations:
        views.append(_idea(exhibit.fig3.equations))
    if exhibit.fig4:
        views.append(_fits(exhibit.fig4, seeds))
    return views


def _idea(equations: Sequence[Equation]) -> Figure:
    panels = []
    for each in equations:
        terms = {f"{number(each.weights[task])} × {task}": each.maps[task] for task in each.parts}
        terms = {("+ " if place else "") + title: values for place, (title, values) in enumerate(terms.items())}
        fit = f" (R² {number(each.r2)})" if each.r2 is not None else ""
        terms |= {"= fit": each.fitted, f"≈ {each.target}{fit}": each.maps[each.target]}
        plots = [HeatMap(title=title, values=values, scale=_CHANGE) for title, values in terms.items()]
        panels.append(Panel(plots=plots, at=(each.model,)))
    return Figure(
        name="fig3",
        title="The idea on this run's numbers",
        caption="The basic tasks' changes, weighted and added up, beside the complex task's change; all on one scale.",
        drawing=Drawing(panels=panels, choosers=[BY_MODEL]),
        notes=[Text(f"Seed {equations[0].seed}.")],
    )


def _fits(figure: Fig4, seeds: Sequence[int]) -> Figure:
    choosers = [
        BY_MODEL,
        Chooser(label="Complex task", on_paper="all"),
        Chooser(label="Fit"),
        Chooser(label="Basic tasks in the basis"),
    ]
    intervals = (
        "Intervals: Student's t over seeds, 95 %." if len(seeds) > 1 else "One seed: no intervals in the drawing."
    )
    panels = _subset_panels(figure.fits)
    return Figure(
        name="fig4",
        title=figure.title,
        caption=figure.caption,
        drawing=Drawing(panels=panels, choosers=choosers) if panels else None,
        tables=[*_summaries(figure), mirror_table(_mirrors(figure.fits)), *_details(figure.fits)],
        notes=[Text(intervals), Text("● marks the tasks that the target is made of.")],
    )


def _subset_panels(fits: Sequence[Fit]) -> list[Panel]:
    """A panel for each target, method and size of the basis: pairs fitted without negative weights come first."""
    panels = []
    for (model, target, method), of in groups(
        sorted(fits, key=lambda fit: fit.method != "nnls"), "model", "target", "method"
    ).items():
        named = _named(of)
        subsets: dict[tuple[str, ...], list[Subset]] = {}
        for fit in of:
            for subset in fit.decomposition.subsets or []:
                subsets.setdefault(tuple(sorted(subset.tasks)), []).append(subset)
        for size in sorted(set(map(len, subsets)), key=lambda size: (size != 2, size)):
            found = [(tasks, members, mean_of(values_of(x.r2 for x in members))) for tasks, members in subsets.items()]
            found = [each for each in found if len(each[0]) == size]
            found.sort(key=lambda each: -(each[2].value if each[2].value is not None else float("-inf")))
            rows = {tasks: " + ".join(members[0].tasks) for tasks, members, _ in found}
            held_out = [mean_of(values_of(x.cross_validated for x in members)).value for _, members, _ in found]
            nulls = [mean_of(values_of(x.null.high for x in members if x.null)).value for _, members, _ in found]
            plot = Dots(
                title="R²",
                rows=list(rows.values()),
                series=[
                    Series(name="R²", points=[r2 for _, _, r2 in found]),
                    Series(name="R² on held-out heads", points=held_out),
                    Series(name="95 % of permuted heads", points=nulls),
                ],
                marked=[row for tasks, row in rows.items() if set(tasks) == set(named or ())],
                joined=True,
                limits=(-0.5, 1.05),
            )
            panels.append(Panel(plots=[plot], at=(model, target, method, str(size))))
    return panels


def _named(fits: Sequence[Fit]) -> list[str] | None:
    """The basic tasks that people say a target is made of."""
    return next((fit.named for fit in fits if fit.named), None)


def _mirrors(fits: Sequence[Fit]) -> list[Mirror]:
    """How far the changes mirror the patterns before: of each run's targets and of their bases."""
    found = {
        (fit.model, task, fit.seed): Mirror(model=fit.model, task=task, seed=fit.seed, r=r)
        for fit in fits
        for task, r in fit.decomposition.mirrors_before.items()
    }
    return list(found.values())


def _summaries(figure: Fig4) -> list[Table]:
    return [_pairs(figure), _weights(figure), _discoveries(figure)]


def _pairs(figure: Fig4) -> Table:
    columns = [
        Column("Best pair"),
        Column("Best in", percent=True),
        Column("R² of the best pair"),
        Column("R² of the median pair"),
        Column("Best above median"),
        Column("Permuted heads"),
        Column("Made of"),
        Column("R² of what it is made of"),
        Column("Rank of what it is made of", 1),
    ]
    rows = []
    for row in figure.summary:
        named = _named(where(figure.fits, model=row.model, target=row.target, method=row.method))
        best = [row.best, row.best_in, row.r2_best_pair, row.r2_median_pair, row.above_median, row.null_r2]
        rows.append([row.model, row.target, row.method, *best, named, row.r2_named, row.named_rank])
    return Table(
        title="Pairs of basic tasks",
        columns=[*_ABOUT, *columns],
        rows=rows,
        keys=3,
        note="R² is measured against the best constant, so it can be negative. “Permuted heads” is the mean R² of "
        "targets whose heads were permuted, fitted by all basic tasks.",
    )


def _weights(figure: Fig4) -> Table:
    tasks = list(dict.fromkeys(task for fit in figure.fits for task in fit.decomposition.weights))
    rows: list[list[Cell]] = [
        [*about, *(over(fit.decomposition.weights.get(task) for fit in of) for task in tasks)]
        for about, of in groups(figure.fits, "model", "target", "method").items()
    ]
    title = "Weights α, all basic tasks in the basis"
    return Table(title=title, columns=[*_ABOUT, *map(Column, tasks)], rows=rows, keys=3)


def _discoveries(figure: Fig4) -> Table:
    rows: list[list[Cell]] = []
    for about, of in groups(figure.fits, "model", "target", "method").items():
        searches = [fit.discovery for fit in of if fit.discovery]
        bases = Counter(tuple(sorted(search.tasks)) for search in searches)
        for basis, count in bases.most_common(1):
            fitted = over(search.fit.r2 for search in searches if search.fit)
            rows.append([*about, basis or "nothing", count, len(searches), fitted])
    columns = [Column("Most frequent basis"), Column("Found in"), Column("of"), Column("R² of its fit")]
    title = "The basis that a search finds when nobody names it"
    return Table(title=title, columns=[*_ABOUT, *columns], rows=rows, keys=3)


def _details(fits: Sequence[Fit]) -> list[Table]:
    about = [Column(name) for name in ("Model", "Seed", "Target", "Fit")]
    every: list[list[Cell]] = []
    weights: list[list[Cell]] = []
    subsets: list[list[Cell]] = []
    gaps: list[list[Cell]] = []
    for fit in fits:
        own: list[Cell] = [fit.model, fit.seed, fit.target, fit.method]
        of, null = fit.decomposition, fit.decomposition.null
        found = fit.discovery.tasks if fit.discovery else None
        tested = [null.mean, null.high, null.p_value] if null else [None] * 3
        every.append(
            [
                *own,
                fit.named,
                fit.named_rank,
                of.r2,
                of.adjusted,
                of.cross_validated,
                *tested,
                of.intercept,
                of.heads,
                found,
            ]
        )
        weights += [[*own, task, weight] for task, weight in of.weights.items()]
        for rank, subset in enumerate(of.subsets or [], start=1):
            tested = [subset.null.mean, subset.null.high, subset.null.p_value] if subset.null else [None] * 3
            subsets.append(
                [
                    *own,
                    rank,
                    len(subset.tasks),
                    subset.tasks,
                    subset.r2,
                    subset.adjusted,
                    subset.cross_validated,
                    *tested,
                ]
            )
        gaps += [[*own, gap.size, gap.best, gap.value, gap.best_in, gap.p_value] for gap in of.gaps or []]
    null_names = ("Null mean", "Null high", "p")
    fit_names = (
        "Named",
        "Named rank",
        "R²",
        "Adjusted",
        "Cross-validated",
        *null_names,
        "Intercept",
        "Heads",
        "Discovered",
    )
    parts = {
        "Every fit": (fit_names, every),
        "Every weight": (("Task", "Weight"), weights),
        "Every subset": (("Rank", "Size", "Tasks", "R²", "Adjusted", "Cross-validated", *null_names), subsets),
        "Every gap": (("Size", "Best", "Gap", "Best in", "p"), gaps),
    }
    return [
        Table(title=title, columns=[*about, *map(Column, names)], rows=rows, is_detail=True)
        for title, (names, rows) in parts.items()
    ]


def _evidence(exhibit: Exhibit) -> Evidence:
    """For each complex task: is the best pair far above the median one, the one it should be, and beyond chance?"""
    figure = exhibit.fig4
    if figure is None:
        return Evidence()
    paper = f"{figure.paper.target} from {' + '.join(figure.paper.best)}: R² {figure.paper.r2:.2f}, the best pair"
    # Weights that become numbers of rows cannot be negative, so this is the fit that the applications use.
    cells = where(figure.summary, method="nnls") or figure.summary
    checks: list[Check] = []
    sentences, numbers, chance = [], [], []
    for cell in cells:
        if cell.r2_best_pair.value is None or not cell.best:
            continue
        fits = where(figure.fits, model=cell.model, target=cell.target, method=cell.method)
        target, named = qualified(cell, cells, "target"), _named(fits)
        if any(len(fit.decomposition.of_size(2)) > 1 for fit in fits):
            checks += _best_pair(target, cell, named, fits)
        beyond = _beyond_chance(target, named or cell.best, fits)
        checks += beyond
        chance += [check.holds for check in beyond]
        sentences.append(_told(target, cell, named))
        if named:
            numbers.append(f"{target} from {' + '.join(named)}: R² {number(cell.r2_named.value)}")
    if not checks:
        return Evidence(paper=paper)
    end = f" {chance.count(True)} of {len(chance)} targets are fitted better than permuted heads." if chance else ""
    return Evidence(
        checks=checks, here=sentence("; ".join(sentences)) + end, number="; ".join(numbers) or None, paper=paper
    )


def _told(target: str, cell: MeanFit, named: Sequence[str] | None) -> str:
    best, median, own = (number(of.value) for of in (cell.r2_best_pair, cell.r2_median_pair, cell.r2_named))
    text = f"the best pair for {target} is {' + '.join(cell.best or [])} (R² {best}; median pair {median})"
    if named is None:
        return text
    if set(named) == set(cell.best or []):
        return f"{text}, the pair it is made of"
    return f"{text}, not {' + '.join(named)} (R² {own}, rank {number(cell.named_rank.value, 1)})"


def _best_pair(target: str, cell: MeanFit, named: Sequence[str] | None, fits: Sequence[Fit]) -> list[Check]:
    above = _above_median(cell, fits)
    checks = [Check(f"{target}: the best pair stands above the median pair by {written(above)}", judged(above))]
    if named:
        rank = number(cell.named_rank.value, 1)
        text = f"{target}: {' + '.join(named)} is the best pair (mean rank {rank})"
        checks.append(Check(text, set(named) == set(cell.best or [])))
    return checks


def _above_median(cell: MeanFit, fits: Sequence[Fit]) -> Estimate | None:
    """Over seeds; of a single one over examples."""
    if ends_of(cell.above_median) or len(fits) != 1:
        return cell.above_median
    return next((gap.value for gap in fits[0].decomposition.gaps or [] if gap.size == 2), cell.above_median)


def _beyond_chance(target: str, tasks: Sequence[str], fits: Sequence[Fit]) -> list[Check]:
    subsets = [subset for fit in fits for subset in fit.decomposition.subsets or [] if set(subset.tasks) == set(tasks)]
    chances = values_of(subset.null.p_value for subset in subsets if subset.null)
    if not chances:
        return []
    passed = sum(p <= CHANCE for p in chances)
    cases = f"{passed} of {len(chances)} fits"
    text = f"{target}: {' + '.join(tasks)} fits better than permuted heads (p ≤ {CHANCE}) in {cases}"
    return [Check(text, judged_share(passed, len(chances)))]


CHAPTER = Chapter(
    name="composition",
    exhibit=Exhibit,
    plan=plan,
    collect=collect,
    title="Finding 2: complex tasks are made of basic ones",
    question="Is what fine-tuning on a complex task changes a weighted sum of what its basic tasks change? Nearly all "
    "pairs of tasks fit each other somewhat, so look at how far the best one stands above the rest.",
    views=_views,
    claim=Claim(
        text="What fine-tuning on a complex task changes is a linear combination of what its basic tasks change.",
        evidence=_evidence,
        meanings={
            "replicates": "Here too, the fit points at the skills that the complex task was built from.",
            "mixed": "The fit knows something of the skills behind a complex task, but not enough to be trusted alone.",
            "does not": "Here the fit does not single out the skills that the complex task was built from.",
        },
    ),
)
