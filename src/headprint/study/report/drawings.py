"""What the page's own script draws: small, rounded, and free of anything that is not drawn.

A drawing is ``{"kind", "keys": [[key, label], ...], "expand", "variants": [{"at": [value of each key], ...}]}``. The
page shows one variant and a chooser for every key with several values; on paper those of ``expand`` follow each other.
Numbers with intervals are ``[value, low, high]``, or null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from headprint.study import gather
from headprint.study.estimates import ends_of, value_of

Drawing: TypeAlias = dict[str, Any]
Exhibit: TypeAlias = Mapping[str, Any]

_DIGITS = 4
_MODEL = ["model", "Model"]
STAGES = ("before", "after")
MATRICES = {
    "before": "Before fine-tuning",
    "after": "After",
    "change": "Changes, ΔAP",
    "relative": "Change rates, ΔAP / AP",
}
SHAPES = {"gini": "Gini coefficient", "cv": "Coefficient of variation", "kurtosis": "Excess kurtosis"}


def short(value: Any) -> float | None:
    """Four digits are more than an eye can tell, and a third of the bytes."""
    known = value_of(value)
    return None if known is None else float(f"{known:.{_DIGITS}g}")


def triple(estimate: Any) -> list[float | None] | None:
    """``[value, low, high]`` of an estimate; None without a value."""
    value = short(estimate)
    return None if value is None else [value, *map(short, ends_of(estimate) or (None, None))]


def drawings(results: Mapping[str, Any]) -> dict[str, Drawing]:
    """The drawings of all exhibits that are there, by name."""
    exhibits = results["exhibits"]
    found = {}
    for name, (exhibit, make) in _MAKERS.items():
        drawing = make(exhibits.get(exhibit) or {})
        if drawing["variants"]:
            found[name] = drawing
    equations = [(model, gather.equation(exhibits, model)) for model in results["models"]]
    if any(equation for _, equation in equations):
        variants = [{"at": [model], **_equation(found3)} for model, found3 in equations if found3]
        found["fig3"] = {"kind": "equation", "keys": [_MODEL], "expand": None, "variants": variants}
    return found


def _drawing(kind: str, keys: Sequence[Sequence[str]], variants: Iterable[Drawing], expand: str | None) -> Drawing:
    return {"kind": kind, "keys": [list(key) for key in keys], "expand": expand, "variants": list(variants)}


def _matrix(matrix: Sequence[Sequence[float | None]] | None) -> list[list[float | None]] | None:
    return None if matrix is None else [[short(x) for x in row] for row in matrix]


def _equation(found: Mapping[str, Any]) -> Drawing:
    weights = {task: short(weight) for task, weight in found["weights"].items()}
    maps = {task: _matrix(matrix) for task, matrix in found["maps"].items()}
    return {**found, "weights": weights, "r2": short(found["r2"]), "maps": maps, "fitted": _matrix(found["fitted"])}


def _heat_maps(exhibit: Exhibit) -> Drawing:
    """Before and change; after is their sum, so a small change keeps its digits."""
    keys = [_MODEL, ["task", "Task"], ["seed", "Seed"]]
    variants = [
        {
            "at": [each[key] for key, _ in keys],
            "n": each.get("n"),
            "before": _matrix(each["before"]),
            "change": _matrix(each["change"]),
        }
        for each in exhibit.get("maps") or []
        if each.get("before") and each.get("change")
    ]
    return _drawing("change", keys, variants, "task")


def _matrices(exhibit: Exhibit) -> Drawing:
    variants = [
        {"at": [each["model"], f"mean of {each['seeds']}"], "tasks": each["tasks"], "panels": _panels(each)}
        for each in exhibit.get("summary") or []
        if each["seeds"] > 1
    ]
    variants += [
        {"at": [each["model"], str(each["seed"])], "tasks": each["tasks"], "panels": _panels(each)}
        for each in exhibit.get("matrices") or []
    ]
    return _drawing("matrices", [_MODEL, ["seed", "Seed"]], variants, None)


def _panels(each: Mapping[str, Any]) -> list[Drawing]:
    panels = []
    for part, title in MATRICES.items():
        of = each.get(part)
        if of:
            plain = {"value": of} if isinstance(of, list) else of
            panels.append({"title": title, **{end: _matrix(matrix) for end, matrix in plain.items()}})
    return panels


def _dots(rows: Sequence[Mapping[str, Any]], line: str, series: str, measures: Mapping[str, str]) -> list[Drawing]:
    """One panel per measure that has numbers; a line per task, a point per stage or arm."""
    labels, kinds = gather.names(rows, line), gather.names(rows, series)
    panels = []
    for measure, title in measures.items():
        points = [
            [triple(gather.estimate_at(rows, measure, **{line: label, series: kind})) for label in labels]
            for kind in kinds
        ]
        if any(point for of_kind in points for point in of_kind):
            named = [{"name": kind, "points": of} for kind, of in zip(kinds, points, strict=True)]
            panels.append({"title": title, "percent": measure == "accuracy", "rows": labels, "series": named})
    return panels


_SCORES = {"accuracy": "Accuracy", "loss": "Held-out loss (nats)"}


def _base_rates(exhibit: Exhibit) -> Drawing:
    rows = gather.summary_of(exhibit)
    variants = []
    for model in gather.names(rows, "model"):
        panels = _dots(gather.those(rows, model=model), "task", "stage", _SCORES)
        if panels:
            variants.append({"at": [model], "joined": True, "panels": panels})
    return _drawing("dots", [_MODEL], variants, None)


def _arms(exhibit: Exhibit) -> Drawing:
    """A panel per target and measure, a line per arm, and where training on the target's rows alone stands."""
    rows = gather.summary_of(exhibit)
    variants = []
    for model in gather.names(rows, "model"):
        panels = []
        for target in gather.names(gather.those(rows, model=model), "target"):
            of = gather.those(rows, model=model, target=target)
            for panel in _dots(of, "arm", "target", _SCORES):
                points = dict(zip(panel["rows"], panel["series"][0]["points"], strict=True))
                alone = points.get("target")
                panels.append({**panel, "title": f"{target}: {panel['title']}", "reference": alone and alone[0]})
        if panels:
            variants.append({"at": [model], "joined": True, "columns": len(_SCORES), "panels": panels})
    return _drawing("dots", [_MODEL], variants, None)


def _shapes(exhibit: Exhibit) -> Drawing:
    rows = gather.summary_of(exhibit)
    paper = [(f"{row['model']} (paper)", row) for row in exhibit.get("paper") or []]
    variants = []
    for model in gather.names(rows, "model"):
        of_model = gather.those(rows, model=model)
        panels = []
        for name, title in SHAPES.items():
            known = [(label, row[name]) for label, row in paper if row.get(name)]
            series = [
                {
                    "name": part,
                    "points": [triple(row[part].get(name)) for row in of_model] + [triple(x[i]) for _, x in known],
                }
                for i, part in enumerate(STAGES)
            ]
            labels = [*gather.names(of_model, "task"), *(label for label, _ in known)]
            panels.append({"title": title, "rows": labels, "series": series})
        variants.append({"at": [model], "joined": True, "panels": panels})
    return _drawing("dots", [_MODEL], variants, None)


def _subsets(exhibit: Exhibit) -> Drawing:
    keys = [_MODEL, ["target", "Complex task"], ["method", "Fit"], ["size", "Basic tasks in the basis"]]
    variants = []
    for fit in gather.names_of(exhibit.get("fits"), "model", "target", "method"):
        found = gather.subsets(exhibit, *fit)
        for size in sorted({len(each["tasks"]) for each in found}, key=lambda size: (size != 2, size)):
            of_size = [each for each in found if len(each["tasks"]) == size]
            series = {"R²": "r2", "R² on held-out heads": "cross_validated", "95 % of permuted heads": "null"}
            panel = {
                "title": "R²",
                "rows": [" + ".join(each["tasks"]) for each in of_size],
                "marked": [each["named"] for each in of_size],
                "least": -0.5,
                "most": 1.05,
                "series": [
                    {"name": name, "points": [triple(each[key]) for each in of_size]} for name, key in series.items()
                ],
            }
            variants.append({"at": [*fit, str(size)], "joined": True, "panels": [panel]})
    return _drawing("dots", keys, variants, "target")


def _trajectories(exhibit: Exhibit) -> Drawing:
    variants = []
    for model in gather.names(exhibit.get("runs"), "model"):
        rows = gather.trajectories(exhibit, model)
        titles = {
            "correlation": "Correlation with the pattern before training",
            "mse": "Mean squared difference from it (MSE)",
        }
        panels = [
            {
                "title": title,
                "series": [
                    {"name": row["task"], "x": row["steps"], "points": [triple(x) for x in row[measure]]}
                    for row in rows
                ],
            }
            for measure, title in titles.items()
        ]
        runs = gather.those(exhibit.get("runs"), model=model)
        runs = gather.those(runs, seed=runs[0]["seed"])
        losses = [
            {
                "name": run["task"],
                "x": [each["step"] for each in run["train_loss"]],
                "points": [triple(each["loss"]) for each in run["train_loss"]],
            }
            for run in runs
            if run.get("train_loss")
        ]
        if losses:
            panels.append({"title": f"Training loss (nats, seed {runs[0]['seed']})", "series": losses})
        variants.append({"at": [model], "xlabel": "step", "panels": panels})
    return _drawing("lines", [_MODEL], variants, None)


def _patterns(exhibit: Exhibit) -> Drawing:
    keys = [_MODEL, ["task", "Task"]]
    variants = [
        {
            "at": [run["model"], run["task"]],
            "n": run.get("n"),
            "seed": run["seed"],
            "steps": run["steps"],
            "patterns": [_matrix(pattern) for pattern in run["patterns"]],
            **{name: [short(x) for x in run.get(name) or []] for name in ("correlation", "mse", "gini")},
        }
        for run in exhibit.get("runs") or []
        if run.get("patterns")
    ]
    return _drawing("slider", keys, variants, None)


def _ablation(exhibit: Exhibit) -> Drawing:
    keys = [_MODEL, ["mode", "Heads are set to"], ["measure", "Measure"]]
    measures = {"loss": "rise of the loss (nats)", "accuracy": "change of the accuracy"}
    rows = gather.summary_of(exhibit)
    variants = []
    for model, mode in gather.names_of(rows, "model", "mode"):
        cells = gather.those(rows, model=model, mode=mode)
        for measure, label in measures.items():
            panels = []
            for task in gather.names(cells, "task"):
                series = []
                for choice in gather.names(cells, "choice"):
                    of = gather.those(cells, task=task, choice=choice)
                    series.append(
                        {
                            "name": choice,
                            "x": [row["k"] for row in of],
                            "points": [triple(row.get(measure)) for row in of],
                        }
                    )
                if any(point for each in series for point in each["points"]):
                    panels.append({"title": task, "percent": measure == "accuracy", "series": series})
            if panels:
                at = [model, mode, label]
                variants.append({"at": at, "xlabel": "heads switched off", "small": True, "panels": panels})
    return _drawing("lines", keys, variants, "mode")


_MAKERS: dict[str, tuple[str, Callable[[Exhibit], Drawing]]] = {
    "base_rates": ("base_rates", _base_rates),
    "table1": ("table1", _shapes),
    "fig1": ("fig1", _heat_maps),
    "fig2": ("fig2", _matrices),
    "fig4": ("fig4", _subsets),
    "fig5": ("fig5", _trajectories),
    "patterns": ("fig5", _patterns),
    "table2": ("table2", _arms),
    "table3": ("table3", _arms),
    "ablation": ("ablation", _ablation),
}
