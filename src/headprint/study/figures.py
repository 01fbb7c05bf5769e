"""The exhibits as pictures: SVG and PNG of each, by matplotlib. The same results give the same SVG, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from headprint.base.errors import InputError
from headprint.study import gather, panels
from headprint.study.panels import Line, Points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Exhibits: TypeAlias = Mapping[str, Any]

_SUFFIXES: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".png": {}}  # else the date goes into the file


def draw_figures(results: Mapping[str, Any], folder: str | Path) -> list[Path]:
    """Draws every exhibit that has something to draw, of each model.

    Args:
        results: What ``results.json`` holds.
        folder: Made if it is not there.

    Returns:
        The files: ``fig1.svg``, ``fig1.png``, ...; ``fig1-MODEL.svg`` if there are several models.

    Raises:
        InputError: If they cannot be written there.
    """
    import matplotlib as mpl

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    exhibits, drawn = results["exhibits"], []
    models = list(results["models"])
    for name, draw in DRAWERS.items():
        for model in models:
            figure = draw(exhibits, model)
            if figure is None:
                continue
            stem = name if len(models) == 1 else f"{name}-{re.sub(r'[^A-Za-z0-9._-]+', '_', model)}"
            for suffix, metadata in _SUFFIXES.items():
                path = folder / f"{stem}{suffix}"
                try:
                    with mpl.rc_context({"svg.hashsalt": "headprint"}):
                        figure.savefig(path, dpi=150, metadata=metadata)
                except OSError as error:
                    raise InputError(f"cannot write {path}: {error.strerror or error}") from error
                drawn.append(path)
    return drawn


def _new(width: float, height: float, columns: int, rows: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure of some inches and its panels, (rows, columns)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def _legend(figure: Figure, ax: Any) -> None:
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)), fontsize=8, frameon=False)


def _base_rates(exhibits: Exhibits, model: str) -> Figure | None:
    rows = gather.those(gather.summary_of(exhibits.get("base_rates")), model=model)
    return _dots(rows, "task", "stage", {"accuracy": "accuracy", "loss": "held-out loss (nats)"}, joined=True)


def _table1(exhibits: Exhibits, model: str) -> Figure | None:
    rows = gather.those(gather.summary_of(exhibits.get("table1")), model=model)
    if not rows:
        return None
    tasks = gather.names(rows, "task")
    figure, axes = _new(9, 1.2 + 0.25 * len(tasks), 3, sharey=True)
    titles = {"gini": "Gini coefficient", "cv": "coefficient of variation", "kurtosis": "excess kurtosis"}
    for ax, (name, title) in zip(axes[0], titles.items(), strict=True):
        series = [Points(part, [row[part].get(name) for row in rows]) for part in ("before", "after")]
        panels.points(ax, tasks, series, title=title, joined=True)
    _legend(figure, axes[0, 0])
    return figure


def _dots(rows: Any, line: str, series: str, measures: Mapping[str, str], *, joined: bool = False) -> Figure | None:
    """One panel per measure, one line per task or target, one point per stage or arm."""
    shown = {key: title for key, title in measures.items() if any(row.get(key) for row in rows)}
    if not shown:
        return None
    labels, kinds = gather.names(rows, line), gather.names(rows, series)
    height = max(0.25, 0.14 * len(kinds) * (not joined))
    figure, axes = _new(4.5 * len(shown), 1.5 + height * len(labels), len(shown), sharey=True)
    for ax, (key, title) in zip(axes[0], shown.items(), strict=True):
        found = [
            Points(kind, [gather.estimate_at(rows, key, **{line: label, series: kind}) for label in labels])
            for kind in kinds
        ]
        panels.points(ax, labels, found, title=title, joined=joined)
    _legend(figure, axes[0, 0])
    return figure


def _fig1(exhibits: Exhibits, model: str) -> Figure | None:
    maps = gather.those((exhibits.get("fig1") or {}).get("maps"), model=model)
    maps = gather.those(maps, seed=maps[0]["seed"]) if maps else []
    if not maps:
        return None
    cell = min(0.2, 3.2 / max(len(maps[0]["before"]), len(maps[0]["before"][0])))
    width, height = (max(1.2, cell * n) for n in (len(maps[0]["before"][0]), len(maps[0]["before"])))
    figure, axes = _new(3 * (width + 0.9), len(maps) * (height + 0.45) + 0.3, 3, len(maps))
    for row, each in zip(axes, maps, strict=True):
        high = panels.largest([each["before"], each["after"]])
        for ax, part in zip(row, ("before", "after", "change"), strict=True):
            top = panels.largest([each["change"]]) if part == "change" else high
            image = panels.heat(ax, each[part], top, diverging=part == "change", title=f"{each['task']}, {part}")
            if part != "before":
                figure.colorbar(image, ax=ax, shrink=0.9).ax.tick_params(labelsize=6)
        row[0].set_ylabel("layer", fontsize=7)
    for ax in axes[-1]:
        ax.set_xlabel("head", fontsize=7)
    return figure


def _fig2(exhibits: Exhibits, model: str) -> Figure | None:
    means = gather.task_means(exhibits.get("fig2") or {}, model)
    if means is None:
        return None
    titles = {"before": "before", "after": "after", "change": "change ΔAP", "relative": "change rate ΔAP / AP"}
    shown = {part: title for part, title in titles.items() if means.get(part)}
    side = max(2.4, 0.33 * len(means["tasks"])) + 0.8
    figure, axes = _new(side * len(shown) + 0.6, side + 0.4, len(shown))
    for ax, (part, title) in zip(axes[0], shown.items(), strict=True):
        image = panels.squares(ax, means["tasks"], means[part], title=title)
    figure.colorbar(image, ax=list(axes[0]), label="correlation over heads", shrink=0.8)
    return figure


def _fig3(exhibits: Exhibits, model: str) -> Figure | None:
    found = gather.equation(exhibits, model)
    if found is None:
        return None
    weights = found["weights"]
    terms = {f"{'+ ' if i else ''}{weights[t]:.2f} × {t}": found["maps"][t] for i, t in enumerate(found["parts"])}
    terms |= {"= fit": found["fitted"], f"≈ {found['target']} (R² {found['r2']:.2f})": found["maps"][found["target"]]}
    figure, axes = _new(2.3 * len(terms) + 0.3, 2.6, len(terms), sharey=True)
    high = panels.largest(list(terms.values()))
    for ax, (title, matrix) in zip(axes[0], terms.items(), strict=True):
        image = panels.heat(ax, matrix, high, diverging=True, title=title)
        ax.set_xlabel("head", fontsize=7)
    axes[0, 0].set_ylabel("layer", fontsize=7)
    figure.colorbar(image, ax=list(axes[0]), label="ΔAP")
    return figure


def _fig4(exhibits: Exhibits, model: str) -> Figure | None:
    figure4 = exhibits.get("fig4") or {}
    fits = gather.those(figure4.get("fits"), model=model)
    method = "nnls" if gather.those(fits, method="nnls") else (fits[0]["method"] if fits else "")
    of_targets = {
        target: [each for each in gather.subsets(figure4, model, target, method) if len(each["tasks"]) == 2]
        for target in gather.names(fits, "target")
    }
    of_targets = {target: pairs for target, pairs in of_targets.items() if pairs}
    if not of_targets:
        return None
    most = max(map(len, of_targets.values()))
    figure, axes = _new(4 * len(of_targets), 1.4 + 0.2 * most, len(of_targets))
    for ax, (target, pairs) in zip(axes[0], of_targets.items(), strict=True):
        labels = [f"{'● ' if pair['named'] else ''}{' + '.join(pair['tasks'])}" for pair in pairs]
        series = {"R²": "r2", "R² on held-out heads": "cross_validated", "95 % of permuted heads": "null"}
        found = [Points(name, [pair[key] for pair in pairs]) for name, key in series.items()]
        panels.points(ax, labels, found, title=f"{target} ({method}; ● what it is made of)")
        ax.set_xlabel("R²", fontsize=8)
        ax.set_xlim(max(ax.get_xlim()[0], -0.5), min(ax.get_xlim()[1], 1.05))  # with two seeds intervals are endless
    _legend(figure, axes[0, 0])
    return figure


def _fig5(exhibits: Exhibits, model: str) -> Figure | None:
    rows = gather.trajectories(exhibits.get("fig5") or {}, model)
    if not rows:
        return None
    figure, axes = _new(9, 3.8, 2)
    titles = {"correlation": "correlation with the pattern before training", "mse": "MSE against it"}
    for ax, (key, title) in zip(axes[0], titles.items(), strict=True):
        panels.lines(ax, [Line(row["task"], row["steps"], row[key]) for row in rows], title=title, xlabel="step")
    _legend(figure, axes[0, 0])
    return figure


def _arms(name: str) -> Callable[[Exhibits, str], Figure | None]:
    def draw(exhibits: Exhibits, model: str) -> Figure | None:
        rows = gather.those(gather.summary_of(exhibits.get(name)), model=model)
        return _dots(rows, "target", "arm", {"accuracy": "accuracy", "loss": "held-out loss (nats)"})

    return draw


def _ablation(exhibits: Exhibits, model: str) -> Figure | None:
    rows = gather.those(gather.summary_of(exhibits.get("ablation")), model=model)
    if not rows:
        return None
    cells = [(mode, task) for mode in gather.names(rows, "mode") for task in gather.names(rows, "task")]
    columns = min(5, len(cells))
    lines = -(-len(cells) // columns)
    figure, axes = _new(2.3 * columns + 0.5, 2 * lines + 0.5, columns, lines)
    for index, ax in enumerate(axes.flat):
        if index >= len(cells):
            ax.remove()
            continue
        mode, task = cells[index]
        cell = gather.those(rows, task=task, mode=mode)
        series = []
        for choice in gather.names(rows, "choice"):
            members = gather.those(cell, choice=choice)
            series.append(Line(choice, [row["k"] for row in members], [row["loss"] for row in members]))
        lowest = index >= len(cells) - columns
        panels.lines(ax, series, title=f"{task}, {mode}", xlabel="heads switched off" if lowest else "")
    figure.supylabel("rise of the loss (nats)", fontsize=8)
    _legend(figure, axes[0, 0])
    return figure


DRAWERS: dict[str, Callable[[Exhibits, str], Any]] = {
    "base_rates": _base_rates,
    "table1": _table1,
    "fig1": _fig1,
    "fig2": _fig2,
    "fig3": _fig3,
    "fig4": _fig4,
    "fig5": _fig5,
    "table2": _arms("table2"),
    "table3": _arms("table3"),
    "ablation": _ablation,
}
