"""What a study found beside what the paper claims (arXiv 2409.15820): sentences and verdicts of the exhibits' numbers.

Each finding is a list of checks. A check **holds**, **fails**, or is **unclear**, and::

    replicates    every check holds
    does not      no check holds, and at least one fails
    not tested    there is no check: the exhibit is absent or has no numbers
    mixed         anything else

A check on a number holds if its 95% interval lies on the claimed side of 0, fails if it lies on the other side, and is
unclear if it reaches across, or if there is no interval. Intervals are Student's over seeds, or over tasks where the
text says so; of a single seed they are the exhibit's own, over examples. A check on a share of cases holds from 3/4
of them and fails up to 1/4. No correction for many comparisons is made: their number is told. By finding::

    spreading    Gini, and CV, of the pattern fall: in at least 3/4 of the tasks, and on average over the tasks.
    composition  For each complex task: the best pair of basic tasks stands above the median pair; the pair that the
                 task is made of, if known, is the best one; and it fits better than permuted heads (p ≤ 0.05).
    few_samples  In at least 3/4 of the tasks the pattern is half-way to where training leaves it before a third of the
                 steps are over: by MSE, and by 1 - correlation (at steady speed under a linearly decaying learning rate
                 it would be near the middle). Runs with fewer than three measured steps in that third are not counted.
    mixture      Training on the pattern mixture first beats target rows only, and a random mixture first, per target.
    selection    For each method: rows selected by patterns beat random rows of the pool, per target.
    causal       Switching off the most active (and the most changed) heads raises the loss more than as many random
                 heads do (p ≤ 0.05), in at least 3/4 of the comparisons with 19 random sets or more. The paper leaves
                 this open.

Mixture and selection are judged by accuracy; where there is none, or it is the same in all seeds (nothing solved by
either), by held-out loss. Both are told. With a single pair of basic tasks nothing is said of the best one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from headprint.study import applications
from headprint.study.checks import (
    CHANCE,
    Check,
    Finding,
    judged,
    judged_share,
    listed,
    named,
    sentence,
    verdict,
)
from headprint.study.composition import composition
from headprint.study.estimates import mean_of, number, value_of, values_of, written
from headprint.study.gather import those

Exhibits: TypeAlias = Mapping[str, Any]
Key: TypeAlias = Literal["spreading", "composition", "few_samples", "mixture", "selection", "causal"]

CLAIMS: dict[str, str] = {
    "spreading": "Fine-tuning spreads activation over more heads: the pattern becomes more even.",
    "composition": "What fine-tuning on a complex task changes is a linear combination of what its basic tasks change.",
    "few_samples": "Few samples suffice: the pattern moves sharply in the first steps of training.",
    "mixture": "Basic tasks mixed by pattern weights, trained on first, help a complex task whose rows are scarce.",
    "selection": "Rows of a pool whose patterns are like the target's are better to train on than random ones.",
    "causal": "A head's level matters causally: without the most active heads a task suffers most (open in the paper).",
}
_EARLY = 1 / 3
_SEEN = 3  # measured steps that the first third must hold to tell early from late
_DRAWS = round(1 / CHANCE) - 1  # random sets of heads below which p cannot reach it


def findings(exhibits: Exhibits) -> list[dict[str, Any]]:
    """The paper's three findings, its two applications, and the open question, each with a verdict.

    Args:
        exhibits: As in ``results.json``; any may be absent.

    Returns:
        Six of ``{"key", "claim", "paper", "here", "number", "verdict", "checks"}``: the paper's claim and number (or
        None), a sentence or two and the number of this run (or None), the verdict, and
        ``{"text", "holds": true | false | null}`` of each check.
    """
    makers: dict[str, Callable[[Exhibits], Finding]] = {
        "spreading": _spreading,
        "composition": composition,
        "few_samples": _few_samples,
        "mixture": applications.mixture,
        "selection": applications.selection,
        "causal": _causal,
    }
    found = []
    for key, make in makers.items():
        finding = make(exhibits)
        found.append(
            {
                "key": key,
                "claim": CLAIMS[key],
                "paper": finding.paper,
                "here": finding.here or "Not tested in this run.",
                "number": finding.number,
                "verdict": verdict(finding.checks),
                "checks": [{"text": check.text, "holds": check.holds} for check in finding.checks],
            }
        )
    return found


def _spreading(exhibits: Exhibits) -> Finding:
    table = exhibits.get("table1") or {}
    cells = table.get("summary") or table.get("rows") or []
    paper = None
    for row in table.get("paper") or []:
        gini, cv = row.get("gini"), row.get("cv")
        if gini and cv:
            paper = f"{row['model']}: Gini {gini[0]:.2f} → {gini[1]:.2f}, CV {cv[0]:.2f} → {cv[1]:.2f}"
            break
    checks, told, numbers = [], [], []
    for name, label in (("gini", "the Gini coefficient"), ("cv", "the coefficient of variation")):
        known = [cell for cell in cells if value_of(cell["change"].get(name)) is not None]
        if not known:
            continue
        mean, fell = _over(known, name), [c for c in known if value_of(c["change"][name]) < 0]  # type: ignore[operator]
        text = f"{label} fell in {len(fell)} of {len(known)} tasks (mean change {written(mean, signed=True)})"
        checks.append(Check(text, _both(judged(mean, -1), judged_share(len(fell), len(known)))))
        told.append(text)
        before, after = (mean_of(values_of(cell[part][name] for cell in known)) for part in ("before", "after"))
        short = {"gini": "Gini", "cv": "CV"}[name]
        numbers.append(f"{short} {number(value_of(before))} → {number(value_of(after))}")
        if name == "gini" and 0 < len(known) - len(fell) <= len(known) / 2:
            told[-1] += f"; not in {listed(named(c, cells) for c in known if c not in fell)}"
    if not checks:
        return Finding(paper=paper)
    here = sentence("; ".join(told)) + (" Means and intervals are over tasks." if len(cells) > 1 else "")
    peaks = values_of(cell["change"].get("kurtosis") for cell in cells)
    if peaks:
        here += f" Kurtosis fell in {sum(x < 0 for x in peaks)} of {len(peaks)}."
    return Finding(paper, here, ", ".join(numbers), checks)


def _over(cells: Sequence[Mapping[str, Any]], name: str) -> Any:
    """The mean change over tasks; of one task its own interval."""
    return cells[0]["change"][name] if len(cells) == 1 else mean_of(values_of(c["change"][name] for c in cells))


def _both(*states: bool | None) -> bool | None:
    """Holds if all hold, fails if one fails."""
    return False if False in states else None if None in states else True


def _few_samples(exhibits: Exhibits) -> Finding:
    paper = "MSE and correlation move sharply within the first ~200 steps"
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for run in (exhibits.get("fig5") or {}).get("runs") or []:
        groups.setdefault((run["model"], run["task"]), []).append(run)
    steps = sorted({run["steps"][-1] for runs in groups.values() for run in runs if run.get("steps")})
    length = " to ".join(map(str, dict.fromkeys((steps[0], steps[-1])))) if steps else ""
    checks, told, middle = [], [], None
    for name, label in (("mse", "the MSE"), ("correlation", "the loss of correlation")):
        shares = [
            share for runs in groups.values() if (share := _median(_half_way(run, name) for run in runs)) is not None
        ]
        if not shares:
            continue
        early = sum(share <= _EARLY for share in shares)
        text = (
            f"{label} passed half of its final size in the first third of the steps in {early} of {len(shares)} tasks"
        )
        checks.append(Check(text, judged_share(early, len(shares))))
        share = _median(shares)
        told.append(f"{text} (median task: after {number(share, percent=True)} of them)")
        middle = middle or f"half of the final MSE after {number(share, percent=True)} of the steps"
    if not checks:
        return Finding(paper, f"Training of {length} steps is too short to tell early from late." if steps else None)
    end = f" Training took {length} steps. The step is the first measured one, so it can only be late."
    return Finding(paper, sentence("; ".join(told)) + end, middle, checks)


def _half_way(run: Mapping[str, Any], name: str) -> float | None:
    """The share of the steps after which a measure is first seen at half of its final distance from the start."""
    steps, values = run.get("steps") or [], [value_of(x) for x in run.get(name) or []]
    if len(values) != len(steps) or None in values or sum(0 < step <= _EARLY * steps[-1] for step in steps) < _SEEN:
        return None
    moved = [abs(x - values[0]) for x in values]  # type: ignore[operator]
    if moved[-1] == 0:
        return None
    return float(next(step for step, x in zip(steps, moved, strict=True) if x >= moved[-1] / 2) / steps[-1])


def _causal(exhibits: Exhibits) -> Finding:
    table = exhibits.get("ablation") or {}
    rows = table.get("rows") or []
    checks, told, numbers = [], [], []
    for choice, label in (("active", "most active"), ("changed", "most changed")):
        chances = values_of(row.get("p") for row in rows if row["choice"] == choice and _draws(row, rows) >= _DRAWS)
        if not chances:
            continue
        worse = sum(p <= CHANCE for p in chances)
        cases = f"{worse} of {len(chances)} comparisons"
        text = f"switching off the {label} heads hurt more than random heads (p ≤ {CHANCE}) in {cases}"
        checks.append(Check(text, judged_share(worse, len(chances))))
        told.append(text)
        numbers.append(f"{label}: {number(worse / len(chances), percent=True)} of comparisons")
        among = values_of(row.get("p_same_layers") for row in rows if row["choice"] == choice)
        if among:
            worse = sum(p <= CHANCE for p in among)
            text = f"more than random heads of the same layers in {worse} of {len(among)}"
            checks.append(Check(f"{label}: {text}", judged_share(worse, len(among))))
            told.append(text)
            numbers[-1] += f" ({number(worse / len(among), percent=True)} against the same layers)"
    if not checks:
        return Finding(
            here=f"Too few random sets of heads for p ≤ {CHANCE}: {_DRAWS} at least are needed." if rows else None
        )
    rises = {
        choice: mean_of(values_of(row["loss"] for row in table.get("summary") or [] if row["choice"] == choice))
        for choice in ("active", "changed", "random")
    }
    known = [f"{number(rise['value'])} ({choice})" for choice, rise in rises.items() if rise["value"] is not None]
    end = f" Mean rise of the loss in nats, over tasks and numbers of heads: {listed(known)}." if known else ""
    end += " By chance 5 % of the comparisons would pass; they are not independent."
    return Finding(None, sentence("; ".join(told)) + end, "; ".join(numbers), checks)


def _draws(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> int:
    """How many random sets of heads a row was compared with."""
    same = {key: row.get(key) for key in ("model", "task", "seed", "mode", "k")}
    return next((int(each.get("draws") or 0) for each in those(rows, choice="random", **same)), 0)


def _median(values: Iterable[float | None]) -> float | None:
    known = sorted(value for value in values if value is not None)
    return known[(len(known) - 1) // 2] if known else None
