"""Tables 2 and 3: what a first stage of training on chosen rows does for a task with few of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headprint.study.config import StudyConfig
from headprint.study.estimates import mean_of, values_of
from headprint.study.jobs import Job
from headprint.study.plan import Key, Plan
from headprint.study.records import plain

if TYPE_CHECKING:
    from headprint.study.exhibits import Results

Row = dict[str, Any]

ARMS = {
    "base": "no training",
    "target": "the target's own rows only",
    "random": "rows drawn from all basic tasks first",
    "mixture": "basic tasks in the decomposition's shares first",
    "permuted": "the mixture's shares, handed to other tasks at random, first",
    "named": "the tasks that the target is made of, in equal shares, first",
    "longer": "the target's own rows for as many more tokens first",
}
METHODS = {
    "base": ARMS["base"],
    "target": ARMS["target"],
    "random": "rows drawn from the pool first",
    **{
        f"{levels}-{measure}": f"rows of the pool whose {told} are nearest to the target's by {measure} first"
        for levels, told in (
            ("raw", "levels"),
            ("standardised", "levels, standardised over the pool,"),
            ("change", "levels' changes"),
        )
        for measure in ("correlation", "cosine")
    },
}


_COLUMNS = (("accuracy", "right"), ("loss", "loss"))
_OTHERS = ("target", "random", "permuted")


def applications(config: StudyConfig, laid: Plan, read: Results) -> dict[str, Any]:
    """Table 2 and table 3, as far as the config asks for them."""
    found = {}
    if config.mixtures:
        found["table2"] = {
            "title": "Mixtures of basic tasks before a task with few rows",
            "caption": "Held-out accuracy and loss of the target. Every first stage has as many supervised tokens as "
            "the mixture; the second stage is the same for all.",
            **_table(laid, config.mixtures.targets, laid.arms, read, "mixture", ARMS),
        }
    if config.selections:
        found["table3"] = {
            "title": "Rows selected from a pool before a task with few rows",
            "caption": "Held-out accuracy and loss of the target. Every method takes as many supervised tokens; the "
            "second stage is the same for all.",
            **_table(laid, config.selections.targets, laid.methods, read, "selection", METHODS),
        }
    return found


def _table(
    laid: Plan,
    targets: list[str],
    staged: Mapping[Key, tuple[Job, Job]],
    read: Results,
    chosen_by: str,
    told: Mapping[str, str],
) -> dict[str, Any]:
    evaluated: dict[Key, Job] = {}
    rows: list[Row] = []
    for (model, task, seed), tuned in laid.after.items():
        if task not in targets:
            continue
        evaluated[model, task, "base", seed] = laid.before[model, task, seed]
        evaluated[model, task, "target", seed] = tuned
    evaluated |= {key: job for key, (_, job) in staged.items()}
    for key in sorted(evaluated, key=lambda key: (key[0], targets.index(key[1]), list(told).index(key[2]))):
        model, target, arm, seed = key
        measured = read(evaluated[key])
        row: Row = {
            "model": model,
            "target": target,
            "arm": arm,
            "seed": int(seed),
            "rows": 0,
            "tokens": 0,
            "weights": None,
        }
        row |= {name: measured[name] for name in ("accuracy", "loss", "n")}
        if key in staged:
            chosen = read(staged[key][0], chosen_by)
            row |= {name: chosen.get(name) for name in ("rows", "tokens", "weights", "counts", "note", "share")}
        rows.append(row)
    answers = {key: read.answers(job) for key, job in evaluated.items()}
    for row in rows:
        row["over"] = _over(row, answers)
    return {
        "arms": {arm: told[arm] for arm in dict.fromkeys(row["arm"] for row in rows)},
        "rows": rows,
        "summary": _summary(rows, answers),
    }


def _over(row: Row, answers: Mapping[Key, list[Row]]) -> dict[str, Any]:
    """Gains of one run over other arms of the same seed, paired by the rows of the test."""
    model, target, arm, seed = row["model"], row["target"], row["arm"], str(row["seed"])
    found = {}
    for other in _OTHERS:
        if other != arm and (model, target, other, seed) in answers:
            pair = [(answers[model, target, arm, seed], answers[model, target, other, seed])]
            found[other] = {name: _gain(pair, column) if row[name] else None for name, column in _COLUMNS}
    return found


def _summary(rows: list[Row], answers: Mapping[Key, list[Row]]) -> list[Row]:
    """Means over seeds, and gains over two arms: the target's rows alone, and random rows first.

    Gains are paired: of several seeds seed by seed, of a single one row by row of the test.
    """
    summary = []
    for model, target, arm in dict.fromkeys((row["model"], row["target"], row["arm"]) for row in rows):
        own = [row for row in rows if (row["model"], row["target"], row["arm"]) == (model, target, arm)]
        cell: Row = {"model": model, "target": target, "arm": arm, "seeds": len(own)}
        for name, column in _COLUMNS:
            known = [row[name] for row in own if row[name] is not None]
            cell[name] = None if not known else known[0] if len(own) == 1 else plain(mean_of(values_of(known)))
            for prefix, other in (("gain", "target"), ("over_random", "random")):
                pairs = [
                    (answers[model, target, arm, str(row["seed"])], answers[model, target, other, str(row["seed"])])
                    for row in own
                    if (model, target, other, str(row["seed"])) in answers
                ]
                cell[f"{prefix}_{name}"] = _gain(pairs, column) if known and pairs else None
        summary.append(cell)
    return summary


def _gain(pairs: list[tuple[list[Row], list[Row]]], column: str) -> Any:
    """How much more of a column the first of each pair has, on the same test rows."""
    rises = [
        [float(a[column]) - float(b[column]) for a, b in zip(first, second, strict=True)] for first, second in pairs
    ]
    return plain(mean_of(rises[0] if len(rises) == 1 else (sum(each) / len(each) for each in rises)))
