"""The exhibits as CSV files, one line per number's place: for spreadsheets and other people's plots.

An interval fills three columns: ``loss``, ``loss_low``, ``loss_high``. What does not exist is an empty field.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from headprint.base.files import write_atomically

Line: TypeAlias = dict[str, Any]
Exhibit: TypeAlias = Mapping[str, Any]

_MATRICES = ("before", "after", "change", "relative")


def write_tables(results: Mapping[str, Any], folder: str | Path) -> list[Path]:
    """Writes every exhibit's numbers.

    Args:
        results: What ``results.json`` holds.
        folder: Made if it is not there.

    Returns:
        The files, named after the exhibits (``table1.csv``, ``table1_summary.csv``, ``fig4_subsets.csv``, ...).

    Raises:
        InputError: If they cannot be written there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for exhibit, content in results["exhibits"].items():
        for part, lines in _parts(exhibit, content):
            if lines:
                path = folder / f"{exhibit}{f'_{part}' if part else ''}.csv"
                write_atomically(path, as_csv(lines).encode())
                written.append(path)
    return written


def as_csv(lines: Iterable[Line]) -> str:
    """CSV of lines whose columns may differ; columns come in the order in which they are first met."""
    lines = [flat(line) for line in lines]
    columns = dict.fromkeys(column for line in lines for column in line)
    file = io.StringIO()
    writer = csv.DictWriter(file, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return file.getvalue()


def flat(line: Mapping[str, Any], prefix: str = "") -> Line:
    """Nested mappings as ``outer.inner`` columns, intervals as three, lists joined by ``+``."""
    result: Line = {}
    for key, value in line.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and set(value) == {"value", "low", "high"}:
            result |= {name: value["value"], f"{name}_low": value["low"], f"{name}_high": value["high"]}
        elif isinstance(value, Mapping):
            result |= flat(value, f"{name}.")
        elif isinstance(value, list | tuple):
            result[name] = "+".join(map(str, value))
        else:
            result[name] = value
    return result


def _parts(exhibit: str, content: Exhibit) -> Iterator[tuple[str, list[Line]]]:
    """Name and lines of each file of an exhibit."""
    own: dict[str, Callable[[Exhibit], dict[str, list[Line]]]] = {
        "fig1": _heat_maps,
        "fig2": _correlations,
        "fig4": _fits,
        "fig5": _trajectories,
    }
    yield from own.get(exhibit, _plain)(content).items()
    yield "summary", [] if exhibit == "fig2" else _along(content.get("summary") or [])


def _plain(content: Exhibit) -> dict[str, list[Line]]:
    parts = {"": "rows", "paper": "paper", "intact": "intact"}
    return {part: list(content.get(key) or []) for part, key in parts.items()}


def _heat_maps(content: Exhibit) -> dict[str, list[Line]]:
    return {"": [line for each in content.get("maps") or [] for line in _cells(each, ("before", "after", "change"))]}


def _cells(each: Exhibit, parts: Iterable[str]) -> Iterator[Line]:
    """One line per head of one heat map's matrices."""
    parts = [part for part in parts if each.get(part) is not None]
    about = {key: each[key] for key in ("model", "task", "seed", "n", "step") if key in each}
    for layer, row in enumerate(each[parts[0]] if parts else []):
        for head in range(len(row)):
            yield {**about, "layer": layer, "head": head, **{part: each[part][layer][head] for part in parts}}


def _correlations(content: Exhibit) -> dict[str, list[Line]]:
    lines = []
    for matrix in content.get("matrices") or []:
        tasks = matrix["tasks"]
        for i, task in enumerate(tasks):
            for j, other in enumerate(tasks[:i]):
                line = {key: matrix.get(key) for key in ("model", "seed", "method")} | {"task": task, "other": other}
                for part in _MATRICES:
                    of = matrix.get(part)
                    if of:
                        line[part] = {end: of[end][i][j] for end in ("value", "low", "high")}
                lines.append(line)
    means = []
    for matrix in content.get("summary") or []:
        tasks = matrix["tasks"]
        for i, task in enumerate(tasks):
            for j, other in enumerate(tasks[:i]):
                about = {"model": matrix["model"], "seeds": matrix["seeds"], "task": task, "other": other}
                means.append(about | {part: matrix[part][i][j] for part in _MATRICES if matrix.get(part)})
    return {"": lines, "means": means}


def _fits(content: Exhibit) -> dict[str, list[Line]]:
    fits, weights, subsets, gaps = [], [], [], []
    for fit in content.get("fits") or []:
        about = {key: fit[key] for key in ("model", "seed", "target", "method")}
        of = fit["decomposition"]
        plain = ("r2", "adjusted", "cross_validated", "null", "intercept", "heads")
        found = fit.get("discovery") or {}
        named = {"named": fit.get("named"), "named_rank": fit.get("named_rank")}
        fits.append({**about, **named, **{key: of.get(key) for key in plain}, "discovered": found.get("tasks")})
        weights += [{**about, "task": task, "weight": weight} for task, weight in of["weights"].items()]
        subsets += [
            {**about, "rank": rank, "size": len(subset["tasks"]), **{k: v for k, v in subset.items() if k != "weights"}}
            for rank, subset in enumerate(of.get("subsets") or [], start=1)
        ]
        gaps += [{**about, **gap} for gap in of.get("gaps") or []]
    return {"": fits, "weights": weights, "subsets": subsets, "gaps": gaps}


def _trajectories(content: Exhibit) -> dict[str, list[Line]]:
    runs = content.get("runs") or []
    losses = [
        {**{key: run[key] for key in ("model", "task", "seed")}, **each}
        for run in runs
        for each in run.get("train_loss") or []
    ]
    patterns = [
        line
        for run in runs
        for step, pattern in zip(run["steps"], run.get("patterns") or [], strict=False)
        for line in _cells({**run, "step": step, "level": pattern}, ("level",))
    ]
    return {"": _along(runs), "loss": losses, "patterns": patterns}


def _along(rows: Iterable[Exhibit]) -> list[Line]:
    """Rows whose measures are lists, one entry per step, as one line per step; other rows as they are."""
    lines: list[Line] = []
    for row in rows:
        steps = row.get("steps")
        if steps is None:
            lines.append(dict(row))
            continue
        own = {key: value for key, value in row.items() if not isinstance(value, list) and key != "patterns"}
        measures = ("rows_seen", "correlation", "mse", "gini")
        for index, step in enumerate(steps):
            lines.append({**own, "step": step, **{key: row[key][index] for key in measures if row.get(key)}})
    return lines
