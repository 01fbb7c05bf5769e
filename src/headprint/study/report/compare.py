"""Two studies beside each other: verdicts, differences of summary numbers, the same heat maps, and unlike settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from headprint.study import gather
from headprint.study.checks import judged
from headprint.study.estimates import difference, value_of
from headprint.study.report import tables
from headprint.study.report.drawings import Drawing, drawings
from headprint.study.report.tables import Cell, Table

Results = Mapping[str, Any]
Key = tuple[str, ...]


class Measure(NamedTuple):
    """A number that both studies may have: where it stands in a summary's row, and how it is written."""

    label: str
    path: tuple[str, ...]
    digits: int | None = 2
    percent: bool = False


_ACCURACY, _LOSS = Measure("accuracy", ("accuracy",), percent=True), Measure("loss", ("loss",))
_GAINS = (
    Measure("accuracy over target only", ("gain_accuracy",), percent=True),
    Measure("loss over target only", ("gain_loss",)),
)
# Exhibit: what its summary's rows are told apart by (after the model), and their numbers.
_COMPARED: dict[str, tuple[tuple[str, ...], tuple[Measure, ...]]] = {
    "base_rates": (("task", "stage"), (_ACCURACY, _LOSS)),
    "table1": (
        ("task",),
        tuple(
            Measure(f"{name}, {part}", (part, key), 3)
            for key, name in (("gini", "Gini"), ("cv", "CV"))
            for part in ("before", "after", "change")
        ),
    ),
    "fig4": (
        ("target", "method"),
        (
            Measure("R² of the best pair", ("r2_best_pair",)),
            Measure("best above median", ("above_median",)),
            Measure("R² of what it is made of", ("r2_named",)),
            Measure("rank of what it is made of", ("named_rank",), 1),
        ),
    ),
    "fig5": (
        ("task",),
        (Measure("correlation at the end", ("correlation",), 3), Measure("MSE at the end", ("mse",), None)),
    ),
    "table2": (("target", "arm"), (_ACCURACY, _LOSS, *_GAINS)),
    "table3": (("target", "arm"), (_ACCURACY, _LOSS, *_GAINS)),
    "ablation": (
        ("task", "mode", "k", "choice"),
        (Measure("rise of the loss", ("loss",), 3), Measure("change of accuracy", ("accuracy",), percent=True)),
    ),
}


def comparison(first: Results, second: Results) -> dict[str, Any]:
    """What the template of two studies is filled with.

    Studies of one model each are compared whatever the two models' names are.
    """
    names = _names(first, second)
    single = all(len(results["models"]) == 1 for results in (first, second))
    drawn = {}
    maps = _maps(first, second, names, single)
    if maps["variants"]:
        drawn["runs"] = maps
    return {
        "names": names,
        "runs": (first, second),
        "findings": _findings(first, second),
        "tables": [each for each in _tables(first, second, names, single) if each],
        "lacking": _lacking(first, second, names),
        "settings": tables.table(
            "Unlike settings", ["Setting", *names], _unlike(first.get("config"), second.get("config"))
        ),
        "data": {"drawings": drawn},
    }


def _names(first: Results, second: Results) -> tuple[str, str]:
    a, b = (str(results.get("name") or "study") for results in (first, second))
    return (f"A: {a}", f"B: {b}")


def _findings(first: Results, second: Results) -> list[dict[str, Any]]:
    both = [{each["key"]: each for each in results.get("findings") or []} for results in (first, second)]
    keys = dict.fromkeys((*both[0], *both[1]))
    return [
        {"key": key, "claim": (both[0].get(key) or both[1][key])["claim"], "runs": [of.get(key) for of in both]}
        for key in keys
    ]


def _tables(first: Results, second: Results, names: tuple[str, str], single: bool) -> Iterator[Table | None]:
    for exhibit, (keys, measures) in _COMPARED.items():
        of = [results["exhibits"].get(exhibit) for results in (first, second)]
        if not all(of):
            continue
        a, b = (_by_key(each or {}, keys, single) for each in of)
        lines = []
        for key in (key for key in a if key in b):
            for measure in measures:
                x, y = (_at(row, measure.path) for row in (a[key], b[key]))
                if value_of(x) is None or value_of(y) is None:
                    continue
                more = difference(y, x)
                change = _cell(more, measure, signed=True)._replace(strong=judged(more) is not None)
                cells = [_cell(x, measure), _cell(y, measure), change]
                lines.append([*map(Cell, key), Cell(measure.label), *cells])
        title = str((of[0] or {}).get("title") or exhibit)
        yield tables.table(title, ["Model", *(name.capitalize() for name in keys), "Number", *names, "B − A"], lines)


def _cell(of: Any, measure: Measure, *, signed: bool = False) -> Cell:
    return tables.estimate(of, measure.digits, percent=measure.percent, signed=signed)


def _by_key(exhibit: Mapping[str, Any], keys: tuple[str, ...], single: bool) -> dict[Key, Mapping[str, Any]]:
    return {
        ("" if single else str(row["model"]), *(str(row[key]) for key in keys)): row
        for row in gather.summary_of(exhibit)
    }


def _at(row: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """The number at a path; of a sequence along training its last."""
    found: Any = row
    for name in path:
        found = (found or {}).get(name)
    return (found[-1] if found else None) if isinstance(found, list) else found


def _maps(first: Results, second: Results, names: tuple[str, str], single: bool) -> Drawing:
    found: list[dict[Key, Drawing]] = []
    for results in (first, second):
        maps = drawings({**results, "exhibits": {"fig1": results["exhibits"].get("fig1")}}).get("fig1")
        variants = maps["variants"] if maps else []
        found.append({("" if single else each["at"][0], *map(str, each["at"][1:])): each for each in variants})
    a, b = found
    variants = [
        {
            "at": list(key),
            "names": names,
            "maps": [{part: of[key][part] for part in ("before", "change")} for of in (a, b)],
        }
        for key in a
        if key in b
    ]
    keys = [["model", "Model"], ["task", "Task"], ["seed", "Seed"]]
    return {"kind": "runs", "keys": keys, "expand": "task", "variants": variants}


def _lacking(first: Results, second: Results, names: tuple[str, str]) -> list[str]:
    """What only one of the two has."""
    told = []
    for one, other, name in ((first, second, names[0]), (second, first, names[1])):
        for what in ("exhibits", "tasks", "models"):
            only = [str(each) for each in one.get(what) or {} if each not in (other.get(what) or {})]
            if only:
                told.append(f"{what} in {name} only: {', '.join(only)}")
    return told


def _unlike(a: Any, b: Any, prefix: str = "") -> Iterator[list[str]]:
    """Settings that differ, with their paths."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in dict.fromkeys((*a, *b)):
            yield from _unlike(a.get(key), b.get(key), f"{prefix}.{key}" if prefix else str(key))
    elif a != b:
        yield [prefix, *("not set" if x is None else str(x) for x in (a, b))]
