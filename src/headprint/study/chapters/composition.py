"""Claim 2: what a complex task changes is a combination of what basic tasks change (Figures 3 and 4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic.dataclasses import dataclass

from headprint.study.chapters.chapter import Chapter, Claim, Jobs, Planned, View
from headprint.study.chapters.common import groups, qualified, where
from headprint.study.chapters.composition_figures import (
    PUBLISHED,
    Equation,
    Fig3,
    Fig4,
    fits_figure,
    idea_figure,
    mirrors_of,
    named_in,
)
from headprint.study.chapters.fits import READINGS, Decomposition, Fit, Fits, MeanFit, fit_of
from headprint.study.chapters.mirrors import mirror_warning
from headprint.study.chapters.spread import patterns_of
from headprint.study.estimates import Estimate, average, ends_of, mean_of, number, value_of, values_of, written
from headprint.study.groundwork import Run
from headprint.study.pipeline import Cache, Job
from headprint.study.records import STRICT, Matrix, parsed
from headprint.study.verdicts import CHANCE, Check, Evidence, judged, judged_share, sentence


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results; None where there is nothing to fit."""

    fig3: Fig3
    fig4: Fig4 | None


def plan(run: Run) -> Jobs:
    """Fits, if there is a basis, and the patterns whose changes they are of."""
    fits = run.config.block(Fits) or Fits()
    jobs: dict[tuple[str, ...], Job] = {}
    for target in fits.targets_of(run.config) if fits.basis_of(run.config) else ():
        for method in fits.methods:
            for reading in fits.readings:
                jobs["fit", target, method, reading] = fit_of(run, fits, target, method, reading)
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
                fits.append(_fit(each.run, job.settings, cache.json(job)))
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
    for each in sorted(where(fits, reading="change"), key=lambda fit: fit.method != "nnls"):
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


def _fit(run: Run, settings: Mapping[str, Any], found: Mapping[str, Any]) -> Fit:
    """A fit, with the place of the pair that the target is said to be made of."""
    fits = run.config.block(Fits) or Fits()
    target, method, reading = (settings[name] for name in ("target", "method", "reading"))
    parts = run.config.tasks[target].parts
    named = parts if parts and set(parts) <= set(fits.basis_of(run.config)) else None
    decomposition = parsed(Decomposition, found["decomposition"], f"{run.label(target, method, reading)}: fit")
    ranked = decomposition.of_size(len(named or ()))
    return Fit(
        model=run.name,
        seed=run.seed,
        target=target,
        method=method,
        reading=reading,
        named=named,
        named_rank=next((i for i, subset in enumerate(ranked, 1) if set(subset.tasks) == set(named or ())), None),
        decomposition=decomposition,
        discovery=found["discovery"],
    )


def _fig4(fits: list[Fit]) -> Fig4:
    summary = [_mean_fit(own) for own in groups(fits, "model", "target", "reading", "method").values()]
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
        reading=fits[0].reading,
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


def _views(exhibit: Exhibit, seeds: Sequence[int]) -> list[View]:
    views: list[View] = [*mirror_warning(mirrors_of(exhibit.fig4.fits))] if exhibit.fig4 else []
    if exhibit.fig3.equations:
        views.append(idea_figure(exhibit.fig3.equations))
    if exhibit.fig4:
        views.append(fits_figure(exhibit.fig4, seeds))
    return views


def _evidence(exhibit: Exhibit) -> Evidence:
    """For each complex task: is the best pair far above the median one, the one it should be, and beyond chance?"""
    figure = exhibit.fig4
    if figure is None:
        return Evidence()
    paper = f"{figure.paper.target} from {' + '.join(figure.paper.best)}: R² {figure.paper.r2:.2f}, the best pair"
    # Weights that become numbers of rows cannot be negative, so this is the fit that the applications use.
    fitted = where(figure.summary, method="nnls") or figure.summary
    cells = [cell for cell in fitted if cell.reading != "gradient"]  # the claim is on changes
    checks: list[Check] = []
    sentences, numbers, chance = [], [], []
    for cell in cells:
        if cell.r2_best_pair.value is None or not cell.best:
            continue
        fits = where(figure.fits, model=cell.model, target=cell.target, method=cell.method, reading=cell.reading)
        target, named = qualified(cell, cells, "target"), named_in(fits)
        target += "" if cell.reading == "change" else f" by {READINGS[cell.reading]}"
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
    end = f" {chance.count(True)} of {len(chance)} fits are better than those of permuted heads." if chance else ""
    end += _by_gradients(figure)
    return Evidence(
        checks=checks, here=sentence("; ".join(sentences)) + end, number="; ".join(numbers) or None, paper=paper
    )


def _by_gradients(figure: Fig4) -> str:
    """How often head gradients give the largest weights to the tasks that a target is made of."""
    fits = [fit for fit in where(figure.fits, method="nnls", reading="gradient") if fit.named]
    if not fits:
        return ""
    found = 0
    for fit in fits:
        weights = {task: value_of(weight) or 0.0 for task, weight in fit.decomposition.weights.items()}
        found += {*sorted(weights, key=lambda task: -weights[task])[: len(fit.named or ())]} == {*(fit.named or ())}
    return (
        " By head gradients before any fine-tuning the largest weights are those of the tasks that a target is made of "
        f"in {found} of {len(fits)} fits."
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
