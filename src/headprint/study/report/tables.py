"""The page's tables: every number of the drawings in words, with intervals, and the paper's beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from headprint.study import gather
from headprint.study.estimates import mean_of, number, value_of, values_of, written


class Cell(NamedTuple):
    """What is written, the number to sort by (None: the text), and whether it stands out."""

    text: str
    sort: float | None = None
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """Columns and rows; a column of numbers is aligned right.

    Attributes:
        title: Above the table.
        columns: Names.
        rows: One cell per column.
        note: Below it.
    """

    title: str
    columns: list[str]
    rows: list[list[Cell]]
    note: str = ""
    numeric: list[bool] = field(init=False)

    def __post_init__(self) -> None:
        numeric = [any(row[i].sort is not None for row in self.rows) for i in range(len(self.columns))]
        object.__setattr__(self, "numeric", numeric)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Cell | str]], note: str = "") -> Table | None:
    """A table without the columns that are empty; None without rows."""
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    kept = [i for i in range(len(columns)) if any(row[i].text not in ("", "–") for row in cells)]
    if not cells:
        return None
    return Table(title, [columns[i] for i in kept], [[row[i] for i in kept] for row in cells], note)


def estimate(of: Any, digits: int | None = 2, *, percent: bool = False, signed: bool = False) -> Cell:
    """An estimate with its interval."""
    return Cell(written(of, digits, percent=percent, signed=signed), value_of(of))


def _plain(value: float | None, digits: int = 0, *, percent: bool = False) -> Cell:
    return Cell(number(value, digits, percent=percent), value)


def _model(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """The model's name, where there are several to tell apart."""
    return str(row["model"]) if len(gather.names(rows, "model")) > 1 else ""


def base_rates(exhibit: Mapping[str, Any]) -> list[Table | None]:
    """Accuracy and loss before and after."""
    rows = gather.summary_of(exhibit)
    lines = []
    for model, task in gather.names_of(rows, "model", "task"):
        of = {row["stage"]: row for row in gather.those(rows, model=model, task=task)}
        right, loss = ([of.get(stage, {}).get(key) for stage in ("before", "after")] for key in ("accuracy", "loss"))
        cells = [*(estimate(x, percent=True) for x in right), *(estimate(x) for x in loss)]
        lines.append([_model({"model": model}, rows), task, *cells])
    columns = ["Model", "Task", "Accuracy before", "after", "Loss before", "after"]
    return [table("Base rates", columns, lines)]


def table1(exhibit: Mapping[str, Any]) -> list[Table | None]:
    """Gini, CV and kurtosis; and the paper's."""
    rows = gather.summary_of(exhibit)
    names = {"gini": "Gini", "cv": "CV", "kurtosis": "Kurtosis"}
    parts = ("before", "after", "change")
    lines = [
        [_model(row, rows), row["task"]]
        + [estimate(row[part].get(name), signed=part == "change") for name in names for part in parts]
        for row in rows
    ]
    paper = [
        [row["model"], *(_plain(x, 2) for name in ("gini", "cv") for x in row.get(name) or (None, None))]
        for row in exhibit.get("paper") or []
    ]
    return [
        table("Here", ["Model", "Task", *(f"{label} {part}" for label in names.values() for part in parts)], lines),
        table("In the paper", ["Model", "Gini before", "Gini after", "CV before", "CV after"], paper),
    ]


def fig4(exhibit: Mapping[str, Any]) -> list[Table | None]:
    """The best pairs, the weights, and what discovery finds."""
    rows = exhibit.get("summary") or []
    pairs, weights, found = [], [], []
    for row in rows:
        fits = gather.those(exhibit.get("fits"), **{key: row[key] for key in ("model", "target", "method")})
        about = [_model(row, rows), row["target"], row["method"]]
        named = next((fit["named"] for fit in fits if fit.get("named")), None)
        best = [" + ".join(row.get("best") or []), _plain(value_of(row.get("best_in")), percent=True)]
        r2 = [
            estimate(row.get(name))
            for name in ("r2_best_pair", "r2_median_pair", "above_median", "null_r2", "r2_named")
        ]
        pairs.append([*about, *best, *r2[:4], " + ".join(named or []), r2[4], estimate(row.get("named_rank"), 1)])
        tasks = dict.fromkeys(task for fit in fits for task in fit["decomposition"]["weights"])
        weights.append(
            (about, {task: _mean(fit["decomposition"]["weights"].get(task) for fit in fits) for task in tasks})
        )
        searches = [fit["discovery"] for fit in fits if fit.get("discovery")]
        bases = Counter(" + ".join(sorted(each["tasks"])) or "nothing" for each in searches)
        for basis, count in bases.most_common(1):
            fitted = _mean((each.get("fit") or {}).get("r2") for each in searches)
            found.append([*about, basis, Cell(f"{count} of {len(searches)}", count), estimate(fitted)])
    about = ["Model", "Target", "Fit"]
    ranked = ["Best pair", "best in", "R²", "Median pair", "Best above median", "Permuted heads"]
    every = list(dict.fromkeys(task for _, of in weights for task in of))
    return [
        table(
            "Pairs of basic tasks",
            [*about, *ranked, "Made of", "R² of these", "their rank"],
            pairs,
            "R² is measured against the best constant, so it can be negative. “Permuted heads” is the mean R² of "
            "targets whose heads were permuted, fitted by all basic tasks.",
        ),
        table(
            "Weights α, all basic tasks in the basis",
            [*about, *every],
            [[*start, *(estimate(of.get(task)) for task in every)] for start, of in weights],
        ),
        table(
            "The basis that a search finds when nobody names it",
            [*about, "Most frequent basis", "found in", "R² of its fit"],
            found,
        ),
    ]


def _mean(estimates: Iterable[Any]) -> Any:
    """Over seeds; of a single one its own interval."""
    known = [each for each in estimates if value_of(each) is not None]
    return known[0] if len(known) == 1 else mean_of(values_of(known))


def fig5(exhibit: Mapping[str, Any]) -> list[Table | None]:
    """Where training leaves each task's pattern, and when half of the way is done."""
    runs = exhibit.get("runs") or []
    lines = []
    for model, task in gather.names_of(runs, "model", "task"):
        of = [run for run in gather.those(runs, model=model, task=task) if run["steps"]]
        half, *ends = (
            _mean(run.get("half_way") for run in of),
            *(_mean((run.get(name) or [None])[-1] for run in of) for name in ("correlation", "mse")),
        )
        steps = _plain(max((run["steps"][-1] for run in of), default=None))
        cells = [estimate(half, 0), steps, estimate(ends[0], 3), estimate(ends[1], None)]
        lines.append([_model({"model": model}, runs), task, *cells])
    columns = ["Model", "Task", "Half of the MSE by step", "of", "Correlation at the end", "MSE at the end"]
    return [table("Along training", columns, lines)]


def arms(exhibit: Mapping[str, Any]) -> list[Table | None]:
    """Every arm of Table 2 or 3 with its gain over the target's rows only; and the paper's."""
    rows, meaning = gather.summary_of(exhibit), exhibit.get("arms") or {}
    lines = []
    for row in rows:
        of = gather.those(exhibit.get("rows"), model=row["model"], target=row["target"], arm=row["arm"])
        sizes = [mean_of(values_of(each.get(key) for each in of))["value"] for key in ("rows", "tokens")]
        is_baseline = row["arm"] == "target"
        right, loss = (None if is_baseline else row.get(f"gain_{measure}") for measure in ("accuracy", "loss"))
        shares: dict[str, Any] = next((each["weights"] for each in of if each.get("weights")), {})
        shares = shares or next((each["share"] for each in of if each.get("share")), {})
        told = ", ".join(f"{name} {number(value_of(share))}" for name, share in shares.items())
        about = [_model(row, rows), row["target"], row["arm"], str(meaning.get(row["arm"], ""))]
        rights = [estimate(row.get("accuracy"), percent=True), estimate(right, percent=True, signed=True)]
        losses = [estimate(row.get("loss")), estimate(loss, signed=True)]
        lines.append([*about, *rights, *losses, *map(_plain, sizes), told])
    columns = [
        "Model",
        "Target",
        "Arm",
        "What it trains on",
        "Accuracy",
        "over target only",
        "Loss",
        "over target only",
    ]
    paper = exhibit.get("paper") or []
    names = list(dict.fromkeys(name for row in paper for name in row if name != "model"))
    in_paper = [[row["model"], *(_plain(row.get(name), 2) for name in names)] for row in paper]
    return [
        table("Here", [*columns, "Rows", "Tokens", "Weights or shares, first seed"], lines),
        table("In the paper: accuracy, %", ["Model", *names], in_paper),
    ]


def ablation(exhibit: Mapping[str, Any]) -> list[Table | None]:
    """Every cell of the ablation."""
    rows = gather.summary_of(exhibit)
    lines = []
    for row in rows:
        same = {key: row[key] for key in ("model", "task", "mode", "k", "choice")}
        seeds = list(gather.those(exhibit.get("rows"), **same))
        chances = [_chances(seeds, name) for name in ("p", "p_same_layers")]
        about = [_model(row, rows), row["task"], row["mode"], _plain(row["k"]), row["choice"]]
        changes = [estimate(row.get("loss"), 3), estimate(row.get("accuracy"), percent=True, signed=True)]
        lines.append([*about, *changes, *chances])
    columns = [
        "Model",
        "Task",
        "Set to",
        "Heads",
        "Which",
        "Rise of the loss",
        "Change of accuracy",
        "p against random",
        "p against the same layers",
    ]
    return [table("Every comparison", columns, lines, "Over seeds the smallest and the largest p are given.")]


def _chances(rows: Iterable[Mapping[str, Any]], name: str) -> Cell:
    """The smallest and the largest p of several seeds."""
    found = sorted(values_of(row.get(name) for row in rows))
    ends = dict.fromkeys(number(x, 3) for x in (found[0], found[-1])) if found else ["–"]
    return Cell(" … ".join(ends), found[-1] if found else None)


def stages(results: Mapping[str, Any]) -> list[Table | None]:
    """Time by kind of stage, and each stage."""
    every = results.get("stages") or []
    kinds = [
        [
            job,
            _plain(len(of)),
            _plain(sum(each["cached"] for each in of)),
            _plain(sum(each["seconds"] for each in of), 1),
        ]
        for job in gather.names(every, "job")
        if (of := gather.those(every, job=job))
    ]
    lines = [
        [each["job"], each["about"], _plain(each["seconds"], 1), "yes" if each["cached"] else "no", each["id"]]
        for each in every
    ]
    return [
        table("Time by kind of stage", ["Stage", "Runs", "from the cache", "Seconds"], kinds),
        table("Every stage", ["Stage", "About", "Seconds", "Cached", "Id"], lines),
    ]
