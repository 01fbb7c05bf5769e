"""Whether complex tasks' changes are combinations of basic tasks' changes: the paper's second finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headprint.study.checks import CHANCE, Check, Finding, judged, judged_share, named, sentence
from headprint.study.estimates import ends_of, number, value_of, values_of, written
from headprint.study.gather import those

Fits = Sequence[Mapping[str, Any]]


def composition(exhibits: Mapping[str, Any]) -> Finding:
    """Fig. 4: is the best pair far above the median one, is it the one it should be, is it beyond chance?"""
    figure = exhibits.get("fig4") or {}
    known = figure.get("paper") or {}
    paper = (
        f"{known['target']} from {' + '.join(known['best'])}: R² {known['r2']:.2f}, the best pair" if known else None
    )
    summary = figure.get("summary") or []
    # Weights that become numbers of rows cannot be negative, so this is the fit that the applications use.
    cells = those(summary, method="nnls") or summary
    checks, told, numbers = [], [], []
    for cell in cells:
        if value_of(cell.get("r2_best_pair")) is None or not cell.get("best"):
            continue
        fits = those(figure.get("fits"), **{key: cell[key] for key in ("model", "target", "method")})
        target = named(cell, cells, "target")
        parts = next((list(fit["named"]) for fit in fits if fit.get("named")), None)
        if any(len(_pairs(fit)) > 1 for fit in fits):
            checks += _best_pair(target, cell, parts, fits)
        checks += _beyond_chance(target, parts or cell["best"], fits)
        told.append(_told(target, cell, parts))
        if parts:
            numbers.append(f"{target} from {' + '.join(parts)}: R² {number(value_of(cell.get('r2_named')))}")
    if not checks:
        return Finding(paper=paper)
    chance = [check.holds for check in checks if "permuted" in check.text]
    end = f" {chance.count(True)} of {len(chance)} targets are fitted better than permuted heads." if chance else ""
    return Finding(paper, sentence("; ".join(told)) + end, "; ".join(numbers) or None, checks)


def _told(target: str, cell: Mapping[str, Any], parts: Sequence[str] | None) -> str:
    best, median, own = (number(value_of(cell.get(key))) for key in ("r2_best_pair", "r2_median_pair", "r2_named"))
    text = f"the best pair for {target} is {' + '.join(cell['best'])} (R² {best}; median pair {median})"
    if parts is None:
        return text
    if set(parts) == set(cell["best"]):
        return f"{text}, the pair it is made of"
    return f"{text}, not {' + '.join(parts)} (R² {own}, rank {number(value_of(cell.get('named_rank')), 1)})"


def _best_pair(target: str, cell: Mapping[str, Any], parts: Sequence[str] | None, fits: Fits) -> list[Check]:
    above = _above_median(cell, fits)
    checks = [Check(f"{target}: the best pair stands above the median pair by {written(above)}", judged(above))]
    if parts:
        rank = number(value_of(cell.get("named_rank")), 1)
        text = f"{target}: {' + '.join(parts)} is the best pair (mean rank {rank})"
        checks.append(Check(text, set(parts) == set(cell["best"])))
    return checks


def _above_median(cell: Mapping[str, Any], fits: Fits) -> Any:
    """Over seeds; of a single one over examples."""
    if ends_of(cell.get("above_median")) or len(fits) != 1:
        return cell.get("above_median")
    gaps = fits[0]["decomposition"].get("gaps") or []
    return next((gap["value"] for gap in gaps if gap["size"] == 2), cell.get("above_median"))


def _beyond_chance(target: str, tasks: Sequence[str], fits: Fits) -> list[Check]:
    chances = []
    for fit in fits:
        for subset in fit["decomposition"].get("subsets") or []:
            if set(subset["tasks"]) == set(tasks) and subset.get("null"):
                chances += values_of([subset["null"].get("p_value")])
    if not chances:
        return []
    passed = sum(p <= CHANCE for p in chances)
    cases = f"{passed} of {len(chances)} fits"
    text = f"{target}: {' + '.join(tasks)} fits better than permuted heads (p ≤ {CHANCE}) in {cases}"
    return [Check(text, judged_share(passed, len(chances)))]


def _pairs(fit: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [subset for subset in fit["decomposition"].get("subsets") or [] if len(subset["tasks"]) == 2]
