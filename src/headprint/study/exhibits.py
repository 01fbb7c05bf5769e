"""The numbers of every exhibit, gathered from finished jobs: the ``exhibits`` of ``results.json``.

Each exhibit has one row for each run (model, task, seed) with intervals over examples, and a
``summary`` over seeds with Student's t-interval; of a single seed the summary is that seed's row.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headprint.study.config import StudyConfig
from headprint.study.estimates import mean_of, value_of, values_of
from headprint.study.jobs import Job
from headprint.study.paper import PAPER
from headprint.study.plan import Plan
from headprint.study.records import plain
from headprint.study.stages import applications

Exhibit = dict[str, Any]
Row = dict[str, Any]


class Results:
    """Reads what jobs left."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache

    def __call__(self, job: Job, name: str | None = None) -> Any:
        """The JSON of a job: ``KIND.json``, or of another name."""
        return json.loads((self.cache / job.id / f"{name or job.kind}.json").read_text())

    def answers(self, job: Job) -> list[Row]:
        """Each row's outcome, of an evaluation."""
        lines = (self.cache / job.id / "answers.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


def exhibits(config: StudyConfig, laid: Plan, cache: Path) -> dict[str, Exhibit]:
    """Every exhibit that the config asks for.

    Args:
        config: The study.
        laid: Its jobs, all done.
        cache: Where their results are.
    """
    read = Results(cache)
    patterns = {key: read(job) for key, job in laid.patterns.items()}
    found = {
        "base_rates": _base_rates(config, laid, read),
        "table1": _table1(patterns),
        "fig1": _fig1(patterns),
        "fig5": _fig5(config, patterns),
    }
    if laid.correlations:
        found["fig2"] = _fig2(laid, read)
    if laid.fits:
        found["fig4"] = _fig4(config, laid, read)
    idea = {"title": "The idea", "caption": "A complex task needs the skills, and the heads, of basic ones."}
    found["fig3"] = {**idea, "equations": _equations(found)}
    if laid.ablations:
        found["ablation"] = _ablation(laid, read)
    found |= applications(config, laid, read)
    for key, exhibit in found.items():
        exhibit |= {"paper": PAPER[key]} if key in PAPER else {}
    return found


def over_seeds(rows: Iterable[Row], by: Sequence[str], numbers: Sequence[str]) -> list[Row]:
    """One row for each combination of ``by``, numbers averaged over seeds.

    Args:
        rows: With the fields of ``by``, and estimates under ``numbers``, or groups of estimates.
        by: What a row of the summary is of.
        numbers: What is averaged.
    """
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in by)].append(row)
    return [
        dict(zip(by, key, strict=True))
        | {"seeds": len(group)}
        | {name: averaged([row[name] for row in group]) for name in numbers}
        for key, group in groups.items()
    ]


def averaged(estimates: Sequence[Any]) -> Any:
    """The mean of estimates over seeds; of groups of estimates, of each. None if there is none; one as it is."""
    if any(each is None for each in estimates):
        return None
    if len(estimates) == 1:
        return estimates[0]
    if "value" not in estimates[0]:
        return {name: averaged([each[name] for each in estimates]) for name in estimates[0]}
    return plain(mean_of(values_of(estimates)))


def _base_rates(config: StudyConfig, laid: Plan, read: Results) -> Exhibit:
    rows = []
    for stage, jobs in (("before", laid.before), ("after", laid.after)):
        for (model, task, seed), job in jobs.items():
            found = read(job)
            rows.append(
                {
                    "model": model,
                    "task": task,
                    "seed": int(seed),
                    "stage": stage,
                    "accuracy": found["accuracy"],
                    "loss": found["loss"],
                    "n": found["n"],
                    "train_rows": config.tasks[task].train or config.sizes.train,
                }
            )
    return {
        "title": "Before and after fine-tuning",
        "caption": "Right answers and mean completion loss (nats) on held-out rows.",
        "rows": rows,
        "summary": over_seeds(rows, ("model", "task", "stage"), ("accuracy", "loss")),
    }


def _table1(patterns: Mapping[tuple[str, ...], Any]) -> Exhibit:
    rows = [
        {
            "model": model,
            "task": task,
            "seed": int(seed),
            "n": found["n"],
            **{stage: found["table1"][stage] for stage in ("before", "after", "change")},
        }
        for (model, task, seed), found in patterns.items()
    ]
    return {
        "title": "How evenly activation is spread over the heads",
        "caption": "Gini coefficient, coefficient of variation and excess kurtosis of the pattern of the same held-out "
        "examples before and after fine-tuning. The paper finds that all three fall.",
        "rows": rows,
        "summary": over_seeds(rows, ("model", "task"), ("before", "after", "change")),
    }


def _fig1(patterns: Mapping[tuple[str, ...], Any]) -> Exhibit:
    maps = [
        {"model": model, "task": task, "seed": int(seed), "n": found["n"], **found["maps"]}
        for (model, task, seed), found in patterns.items()
    ]
    return {
        "title": "Activation patterns before and after fine-tuning",
        "caption": "Mean absolute activation level of each head; change is after minus before.",
        "maps": maps,
    }


def _fig2(laid: Plan, read: Results) -> Exhibit:
    matrices = [{"model": model, "seed": int(seed), **read(job)} for (model, seed), job in laid.correlations.items()]
    summary = []
    for model in dict.fromkeys(each["model"] for each in matrices):
        own = [each for each in matrices if each["model"] == model]
        kinds = ("before", "after", "change", "relative")
        means = {kind: _mean_matrix([each[kind]["value"] for each in own]) for kind in kinds}
        summary.append({"model": model, "tasks": own[0]["tasks"], "seeds": len(own), **means})
    return {
        "title": "Correlation of tasks' patterns",
        "caption": "Pearson correlation over heads of two tasks' patterns before and after fine-tuning, of the "
        "changes, and of the change rates (change / before). Patterns are dense and positive, so high correlations are "
        "no news by themselves.",
        "matrices": matrices,
        "summary": summary,
    }


def _mean_matrix(matrices: Sequence[Any]) -> list[list[float | None]]:
    mean = np.array(matrices, dtype=np.float64).mean(axis=0)
    return [[x if np.isfinite(x) else None for x in row] for row in mean.tolist()]


def _fig4(config: StudyConfig, laid: Plan, read: Results) -> Exhibit:
    fits, summary = [], []
    for (model, target, method, seed), job in laid.fits.items():
        parts = config.tasks[target].parts
        named = parts if parts and set(parts) <= set(config.basis) else None
        found = read(job)
        ranked = _of_size(found["decomposition"], len(named or (0, 0)))
        rank = next((i + 1 for i, each in enumerate(ranked) if set(each["tasks"]) == set(named or ())), None)
        fits.append(
            {
                "model": model,
                "seed": int(seed),
                "target": target,
                "method": method,
                "named": named,
                "named_rank": rank,
                **found,
            }
        )
    for model, target, method in dict.fromkeys((f["model"], f["target"], f["method"]) for f in fits):
        own = [f for f in fits if (f["model"], f["target"], f["method"]) == (model, target, method)]
        summary.append({"model": model, "target": target, "method": method, **_over_fits(own)})
    return {
        "title": "A complex task's change as a combination of basic tasks' changes",
        "caption": "R² of least-squares fits by every subset of the basic tasks, with R² on held-out heads and of "
        "targets whose heads were permuted beside it. What tells is how far the best pair stands above the median one.",
        "fits": fits,
        "summary": summary,
    }


def _equations(found: Mapping[str, Exhibit]) -> list[Row]:
    """Of each model the first complex task whose parts are known, beside the weighted changes of its parts."""
    maps = {(each["model"], each["seed"], each["task"]): each["change"] for each in found["fig1"]["maps"]}
    equations: dict[str, Row] = {}
    for fit in sorted(found["fig4"]["fits"] if "fig4" in found else [], key=lambda fit: fit["method"] != "nnls"):
        parts, run = list(fit["named"] or []), (fit["model"], fit["seed"])
        pair = next(
            (each for each in _of_size(fit["decomposition"], len(parts)) if set(each["tasks"]) == set(parts)), None
        )
        if fit["model"] in equations or not parts or pair is None:
            continue
        changes = {task: maps[(*run, task)] for task in (*parts, fit["target"])}
        weights = {task: float(pair["weights"][task]) for task in parts}
        fitted = sum(weights[task] * np.array(changes[task], dtype=np.float64) for task in parts)
        equations[fit["model"]] = {
            **{key: fit[key] for key in ("model", "seed", "target")},
            "parts": parts,
            "weights": weights,
            "r2": pair["r2"],
            "maps": changes,
            "fitted": [[x if np.isfinite(x) else None for x in row] for row in np.asarray(fitted).tolist()],
        }
    return list(equations.values())


def _of_size(decomposition: Mapping[str, Any], size: int) -> list[Any]:
    found = [each for each in decomposition["subsets"] or [] if len(each["tasks"]) == size]
    return sorted(found, key=lambda each: -(each["r2"] if each["r2"] is not None else -np.inf))


def _over_fits(fits: Sequence[Row]) -> Row:
    """What seeds agree on: the pairs."""
    pairs = [_of_size(fit["decomposition"], 2) for fit in fits]
    pairs = [ranked for ranked in pairs if ranked]
    best = Counter(tuple(sorted(ranked[0]["tasks"])) for ranked in pairs).most_common(1)
    named = set(fits[0]["named"] or ())
    own = [each for ranked in pairs for each in ranked if named and set(each["tasks"]) == named]
    gaps = [gap["value"] for fit in fits for gap in fit["decomposition"]["gaps"] or [] if gap["size"] == 2]
    ranks = [float(fit["named_rank"]) for fit in fits if fit["named_rank"]]

    def mean(values: Iterable[float | None]) -> Any:
        return plain(mean_of(value for value in values if value is not None))

    return {
        "seeds": len(fits),
        "best": list(best[0][0]) if best else None,
        "best_in": best[0][1] / len(pairs) if best else None,
        "named_rank": mean(ranks),
        "r2_named": mean(each["r2"] for each in own),
        "r2_best_pair": mean(ranked[0]["r2"] for ranked in pairs),
        "r2_median_pair": mean(_median(each["r2"] for each in ranked) for ranked in pairs),
        "above_median": averaged(gaps) if gaps else None,
        "null_r2": mean((fit["decomposition"]["null"] or {}).get("mean") for fit in fits),
    }


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _fig5(config: StudyConfig, patterns: Mapping[tuple[str, ...], Any]) -> Exhibit:
    first = config.seeds[0]
    runs = []
    for (model, task, seed), found in patterns.items():
        batch = _rows_a_step(config, model, task)
        runs.append(
            {
                "model": model,
                "task": task,
                "seed": int(seed),
                "n": found["n"],
                "steps": found["steps"],
                "rows_seen": [step * batch for step in found["steps"]],
                **{name: found[name] for name in ("correlation", "mse", "gini", "half_way", "loss")},
                "train_loss": [{n: x[n] for n in ("step", "loss")} for x in found["train_loss"] if "loss" in x],
                "patterns": found["patterns"] if int(seed) == first else None,
            }
        )
    summary = []
    for model, task in dict.fromkeys((run["model"], run["task"]) for run in runs):
        own = [run for run in runs if (run["model"], run["task"]) == (model, task)]
        steps = [step for step in own[0]["steps"] if all(step in run["steps"] for run in own)]

        def at(name: str, step: int) -> Any:
            return averaged([run[name][run["steps"].index(step)] for run in own])  # noqa: B023

        followed = {name: [at(name, step) for step in steps] for name in ("correlation", "mse", "gini")}
        summary.append({"model": model, "task": task, "seeds": len(own), "steps": steps, **followed})
    return {
        "title": "Patterns along training",
        "caption": "Correlation with the pattern before training, and mean squared distance from it, of the same "
        "held-out examples, step by step.",
        "runs": runs,
        "summary": summary,
    }


def _rows_a_step(config: StudyConfig, model: str, task: str) -> int:
    scarce = config.scarce_sft if config.tasks[task].kind == "complex" else {}
    sft = {**config.sft, **scarce, **config.models[model].sft}
    return int(sft.get("per_device_train_batch_size", 8)) * int(sft.get("gradient_accumulation_steps", 1))


def _ablation(laid: Plan, read: Results) -> Exhibit:
    rows: list[Row] = []
    intact: list[Row] = []
    for (model, task, mode, seed), job in laid.ablations.items():
        found = read(job)
        own = {"model": model, "task": task, "seed": int(seed)}
        rows += [{**own, "mode": mode, **_ablated(each)} for each in found["rows"]]
        if own not in [{name: each[name] for name in own} for each in intact]:
            measured = {name: value_of(found["intact"][name]) for name in ("loss", "accuracy")}
            intact.append({**own, **measured, "n": found["n"]})
    return {
        "title": "Heads switched off",
        "caption": "Rise of the loss (nats) and change of accuracy after fine-tuning when the k most active, the k "
        "most changed, k random heads, or as many random heads of the same layers give nothing (zero) or their mean.",
        "rows": rows,
        "intact": intact,
        "summary": over_seeds(rows, ("model", "task", "mode", "k", "choice"), ("loss", "accuracy")),
    }


def _ablated(row: Row) -> Row:
    """One row of :meth:`headprint.evaluation.ablation.Ablation.to_dict` under the names of this exhibit."""
    kind, _, ranking = row["ranking"].partition(":")
    return {
        "choice": f"same layers as {ranking}" if ranking else kind,
        **{name: row[name] for name in ("k", "draws", "loss", "accuracy")},
        "p": row["p_value"],
        "p_same_layers": row["p_value_layer_matched"],
    }
