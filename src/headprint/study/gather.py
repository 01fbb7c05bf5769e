"""What figures and report take out of the exhibits, where it is more than a look-up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from headprint.study.estimates import Estimate, mean_of, value_of, values_of

Exhibits: TypeAlias = Mapping[str, Any]
Rows: TypeAlias = Sequence[Mapping[str, Any]]


def those(rows: Iterable[Mapping[str, Any]] | None, **where: Any) -> list[Mapping[str, Any]]:
    """The rows that have these entries."""
    return [row for row in rows or [] if all(row.get(key) == value for key, value in where.items())]


def names(rows: Iterable[Mapping[str, Any]] | None, key: str) -> list[Any]:
    """What a column holds, each once, in the order of the rows."""
    return list(dict.fromkeys(row[key] for row in rows or []))


def names_of(rows: Iterable[Mapping[str, Any]] | None, *keys: str) -> list[tuple[Any, ...]]:
    """What several columns hold together, each once, in the order of the rows."""
    return list(dict.fromkeys(tuple(row[key] for key in keys) for row in rows or []))


def summary_of(exhibit: Mapping[str, Any] | None) -> Rows:
    """An exhibit's summary over seeds, or its rows if it has none."""
    return (exhibit or {}).get("summary") or (exhibit or {}).get("rows") or []


def subsets(figure: Mapping[str, Any], model: str, target: str, method: str) -> list[dict[str, Any]]:
    """Every subset of basic tasks that was fitted to a target (Fig. 4), best first.

    Returns:
        ``{"tasks", "r2", "cross_validated", "null", "p", "named"}``: R² with its interval over seeds, the mean R² on
        held-out heads, the mean 95th percentile of permuted heads, the largest p, and whether it is the pair that the
        task is made of.
    """
    fits = those(figure.get("fits"), model=model, target=target, method=method)
    named = next((set(fit["named"]) for fit in fits if fit.get("named")), None)
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for fit in fits:
        for subset in fit["decomposition"].get("subsets") or []:
            groups.setdefault(tuple(sorted(subset["tasks"])), []).append(subset)
    found = []
    for members in groups.values():
        nulls = [member.get("null") or {} for member in members]
        found.append(
            {
                "tasks": list(members[0]["tasks"]),
                "r2": mean_of(values_of(member["r2"] for member in members)),
                "cross_validated": mean_of(values_of(member.get("cross_validated") for member in members))["value"],
                "null": mean_of(values_of(null.get("high") for null in nulls))["value"],
                "p": max(values_of(null.get("p_value") for null in nulls), default=None),
                "named": set(members[0]["tasks"]) == named,
            }
        )
    return sorted(found, key=lambda subset: -(subset["r2"]["value"] or -np.inf))


def equation(exhibits: Exhibits, model: str) -> dict[str, Any] | None:
    """The idea of the paper's Fig. 3 on this run's numbers: a complex task and the two basic tasks that it is made of.

    Returns:
        ``{"target", "parts", "weights", "r2", "seed", "maps": {task: [[change]]}, "fitted": [[...]]}`` of the first
        target whose parts are known and whose changes were measured; None if there is none.
    """
    maps = those((exhibits.get("fig1") or {}).get("maps"), model=model)
    fits = those((exhibits.get("fig4") or {}).get("fits"), model=model)
    for fit in sorted(fits, key=lambda fit: fit["method"] != "nnls"):
        parts = list(fit.get("named") or [])
        changes = {each["task"]: each["change"] for each in those(maps, seed=fit["seed"])}
        pairs = fit["decomposition"].get("subsets") or []
        pair = next((subset for subset in pairs if parts and set(subset["tasks"]) == set(parts)), None)
        if pair and all(changes.get(task) is not None for task in (fit["target"], *parts)):
            weights = {task: float(pair["weights"][task]) for task in parts}
            fitted = sum(weights[task] * array(changes[task]) for task in parts)
            return {
                "target": fit["target"],
                "parts": parts,
                "weights": weights,
                "r2": value_of(pair["r2"]),
                "seed": fit["seed"],
                "maps": {task: changes[task] for task in (*parts, fit["target"])},
                "fitted": [[x if np.isfinite(x) else None for x in row] for row in np.asarray(fitted).tolist()],
            }
    return None


def array(matrix: Sequence[Sequence[float | None]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A matrix with NaN where there is nothing."""
    return np.array(matrix, dtype=np.float64)


def task_means(figure: Mapping[str, Any], model: str) -> Mapping[str, Any] | None:
    """The task × task matrices of a model (Fig. 2): means over seeds, or the only ones."""
    of_model = those(figure.get("summary"), model=model)
    if of_model:
        return of_model[0]
    matrices = those(figure.get("matrices"), model=model)
    if not matrices:
        return None
    only, parts = matrices[0], ("before", "after", "change", "relative")
    return {"tasks": only["tasks"], "seeds": 1} | {part: only[part]["value"] for part in parts if only.get(part)}


def trajectories(figure: Mapping[str, Any], model: str) -> Rows:
    """Correlation and MSE along training by task (Fig. 5): over seeds, or the single runs."""
    return those(figure.get("summary") or figure.get("runs"), model=model)


def estimate_at(rows: Rows, key: str, **where: Any) -> Estimate | None:
    """One cell of a summary; None if there is no such row, or nothing in it."""
    found = those(rows, **where)
    estimate = found[0].get(key) if found else None
    return None if value_of(estimate) is None else estimate
