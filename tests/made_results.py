"""A study's results made up of random numbers: the whole schema, of any size."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

BASICS = ("math", "code", "arith", "facts", "continue", "coref")
COMPLEX = {"math_code": ("math", "code"), "facts_coref": ("facts", "coref"), "facts_code": ("facts", "code")}
POOL = "pool"
ARMS = {
    "base": "no training",
    "target": "target rows only",
    "random": "a random mixture first",
    "mixture": "the pattern mixture first",
}
SELECTIONS = ("raw-correlation", "raw-cosine", "standardised-correlation", "change-cosine")


def made_results(
    *,
    layers: int = 8,
    heads: int = 8,
    seeds: int = 5,
    models: tuple[str, ...] = ("lab",),
    steps: int = 10,
    seed: int = 0,
) -> dict[str, Any]:
    """Results of a complete study of six basic and three complex tasks."""
    return _Maker(layers, heads, seeds, models, steps, np.random.default_rng(seed)).results()


class _Maker:
    def __init__(self, layers, heads, seeds, models, steps, rng) -> None:
        self.shape = (layers, heads)
        self.seeds = list(range(seeds))
        self.models = models
        self.steps = [0, *(2**k for k in range(steps - 2)), 2 ** (steps - 3) + 11]
        self.rng = rng
        self.tasks = [*BASICS, *COMPLEX]

    def results(self) -> dict[str, Any]:
        makers = ("base_rates", "table1", "fig1", "fig2", "fig3", "fig4", "fig5", "table2", "table3", "ablation")
        exhibits = {name: {**_titles(name), **getattr(self, name)()} for name in makers}
        kinds = {**dict.fromkeys(BASICS, "basic"), **dict.fromkeys(COMPLEX, "complex"), POOL: "pool"}
        return {
            "format": 1,
            "name": "made up",
            "complete": True,
            "created": "2026-01-02T03:04:05Z",
            "seconds": 512.3,
            "config": {"seeds": self.seeds, "sft": {"learning_rate": 1e-3, "num_train_epochs": 3}},
            "versions": {"headprint": "0.1.0", "torch": "2.13.0"},
            "machine": {"processor": "some processor", "threads": 2, "device": "cpu"},
            "seeds": self.seeds,
            "models": {
                name: {
                    "id": name,
                    "layers": self.shape[0],
                    "heads": self.shape[1],
                    "parameters": 2_630_000,
                    "kernel": "sdpa",
                    "fingerprint": "0123abcd",
                }
                for name in self.models
            },
            "tasks": {
                task: {
                    "kind": kind,
                    "description": f"what {task} asks",
                    "train": 400,
                    "probe": 100,
                    "test": 100,
                    "scorer": "lab",
                    "parts": list(COMPLEX[task]) if task in COMPLEX else None,
                }
                for task, kind in kinds.items()
            },
            "stages": [
                {
                    "job": job,
                    "id": f"{job}-1a2b3c4d",
                    "about": f"{self.models[0]} · {task} · seed {seed}",
                    "seconds": round(float(self.rng.gamma(2, 5)), 2),
                    "cached": bool(self.rng.random() < 0.2),
                }
                for job in ("train", "extract", "evaluate")
                for task in self.tasks
                for seed in self.seeds
            ],
            "findings": [],
            "exhibits": exhibits,
        }

    def near(self, middle: float, spread: float = 0.05, width: float = 0.04) -> dict[str, float]:
        value = middle + float(self.rng.normal(0, spread))
        return {"value": value, "low": value - width * self.rng.random(), "high": value + width * self.rng.random()}

    def over_seeds(self, estimates: list[dict[str, float]]) -> dict[str, float | None]:
        values = np.array([each["value"] for each in estimates])
        if len(values) == 1:
            return {"value": float(values[0]), "low": None, "high": None}
        half = 2 * values.std(ddof=1) / np.sqrt(len(values))
        return {"value": float(values.mean()), "low": float(values.mean() - half), "high": float(values.mean() + half)}

    def each(self, *, tasks=None):
        return [(model, task, seed) for model in self.models for task in tasks or self.tasks for seed in self.seeds]

    def pattern(self) -> np.ndarray:
        return self.rng.gamma(0.7, 0.02, self.shape)

    def base_rates(self) -> dict[str, Any]:
        rows = [
            {
                "model": model,
                "task": task,
                "seed": seed,
                "stage": stage,
                "accuracy": self.near(rate),
                "loss": self.near(2 - rate),
                "n": 100,
                "train_rows": 400,
            }
            for model, task, seed in self.each()
            for stage, rate in (("before", 0.1), ("after", 0.8))
        ]
        return {"rows": rows, "summary": self.summary(rows, ("model", "task", "stage"), ("accuracy", "loss"))}

    def summary(self, rows, keys, measures) -> list[dict[str, Any]]:
        groups: dict[tuple, list[dict[str, Any]]] = {}
        for row in rows:
            groups.setdefault(tuple(row[key] for key in keys), []).append(row)
        return [
            {
                **dict(zip(keys, group, strict=True)),
                "seeds": len(members),
                **{
                    measure: None if members[0][measure] is None else self.over_seeds([m[measure] for m in members])
                    for measure in measures
                },
            }
            for group, members in groups.items()
        ]

    def table1(self) -> dict[str, Any]:
        rows = []
        for model, task, seed in self.each():
            before = {"gini": self.near(0.5), "cv": self.near(1.1), "kurtosis": self.near(4, 1)}
            change = {"gini": self.near(-0.06), "cv": self.near(-0.15, 0.1), "kurtosis": self.near(-1, 2)}
            after = {name: self.near(before[name]["value"] + change[name]["value"], 0) for name in before}
            rows.append(
                {
                    "model": model,
                    "task": task,
                    "seed": seed,
                    "n": 100,
                    "before": before,
                    "after": after,
                    "change": change,
                }
            )
        summary = []
        for model in self.models:
            for task in self.tasks:
                members = [row for row in rows if (row["model"], row["task"]) == (model, task)]
                shapes = {
                    part: {
                        name: self.over_seeds([m[part][name] for m in members]) for name in ("gini", "cv", "kurtosis")
                    }
                    for part in ("before", "after", "change")
                }
                summary.append({"model": model, "task": task, "seeds": len(members), **shapes})
        return {
            "paper": [{"model": "Llama3-8B", "gini": [0.50, 0.33], "cv": [1.19, 0.71]}],
            "rows": rows,
            "summary": summary,
        }

    def fig1(self) -> dict[str, Any]:
        maps = []
        for model, task, seed in self.each():
            before, change = self.pattern(), self.rng.normal(0.005, 0.01, self.shape)
            maps.append(
                {
                    "model": model,
                    "task": task,
                    "seed": seed,
                    "n": 100,
                    "before": before.tolist(),
                    "after": (before + change).tolist(),
                    "change": change.tolist(),
                }
            )
        for each in maps[: len(maps) // 2]:  # a layer without attention
            for part in ("before", "after", "change"):
                each[part][1] = [None] * self.shape[1]
        return {"maps": maps}

    def fig2(self) -> dict[str, Any]:
        parts = ("before", "after", "change", "relative")

        def matrix(middle: float) -> dict[str, Any]:
            size = len(self.tasks)
            noise = self.rng.normal(middle, 0.1, (size, size)).clip(-1, 1)
            value = np.triu(noise, 1) + np.triu(noise, 1).T + np.eye(size)
            return {"value": value.tolist(), "low": (value - 0.03).tolist(), "high": (value + 0.03).tolist()}

        matrices = [
            {
                "model": model,
                "seed": seed,
                "tasks": self.tasks,
                "method": "pearson",
                **{part: matrix(0.8 if part == "before" else 0.5) for part in parts},
            }
            for model in self.models
            for seed in self.seeds
        ]
        summary = [
            {
                "model": model,
                "tasks": self.tasks,
                "seeds": len(self.seeds),
                **{
                    part: np.mean([m[part]["value"] for m in matrices if m["model"] == model], axis=0).tolist()
                    for part in parts
                },
            }
            for model in self.models
        ]
        return {"matrices": matrices, "summary": summary}

    def fig3(self) -> dict[str, Any]:
        return {}

    def fig4(self) -> dict[str, Any]:
        fits, summary = [], []
        for model in self.models:
            for target, named in {**COMPLEX, "pool:logic+code": None}.items():
                for method in ("nnls", "lstsq"):
                    members = [self.fit(model, seed, target, method, named) for seed in self.seeds]
                    fits += members
                    best = members[0]["decomposition"]["subsets"][-1]["tasks"] if named is None else list(named)
                    r2 = [fit["decomposition"]["r2"] for fit in members]
                    summary.append(
                        {
                            "model": model,
                            "target": target,
                            "method": method,
                            "seeds": len(members),
                            "best": best,
                            "best_in": 0.8,
                            "named_rank": {"value": 1.4, "low": 1, "high": 2} if named else None,
                            "r2_named": self.over_seeds(r2) if named else None,
                            "r2_best_pair": self.over_seeds(r2),
                            "r2_median_pair": self.near(0.5),
                            "above_median": self.near(0.2),
                            "null_r2": self.near(0.1),
                        }
                    )
        return {
            "paper": {"target": "SGSM", "best": ["CodeSearchNet", "GSM8K"], "r2": 0.97},
            "fits": fits,
            "summary": summary,
        }

    def fit(self, model, seed, target, method, named) -> dict[str, Any]:
        null = {"mean": 0.05, "high": 0.2, "p_value": 0.01}
        subsets = [
            {
                "tasks": list(tasks),
                "weights": {task: float(self.rng.random()) for task in tasks},
                "r2": float(self.rng.uniform(0.3, 0.6)) + 0.05 * size + 0.2 * (tasks == named),
                "adjusted": 0.5,
                "cross_validated": float(self.rng.uniform(0.2, 0.6)),
                "null": null,
            }
            for size in range(1, len(BASICS) + 1)
            for tasks in combinations(BASICS, size)
        ]
        subsets.sort(key=lambda subset: -subset["r2"])
        gap = {"size": 2, "best": list(named or BASICS[:2]), "value": self.near(0.2), "best_in": 0.7, "p_value": 0.02}
        decomposition = {
            "target": target,
            "weights": {task: self.near(0.3) for task in BASICS},
            "intercept": self.near(0, 0),
            "r2": self.near(0.8),
            "adjusted": 0.75,
            "cross_validated": 0.7,
            "null": null,
            "subsets": subsets,
            "gaps": [gap],
            "heads": self.shape[0] * self.shape[1],
            "examples": dict.fromkeys(BASICS, 100),
            "intervals": True,
            "options": {"method": method, "relative": False},
        }
        discovery = {
            "target": target,
            "path": [{"tasks": ["math"], "r2": 0.6, "cross_validated": 0.5}],
            "tasks": ["math"],
            "fit": None,
            "null": null,
            "frequency": {"math": 0.9},
        }
        return {
            "model": model,
            "seed": seed,
            "target": target,
            "method": method,
            "named": list(named) if named else None,
            "named_rank": 1 if named else None,
            "decomposition": decomposition,
            "discovery": discovery,
        }

    def fig5(self) -> dict[str, Any]:
        runs, summary = [], []
        last = self.steps[-1]
        for model in self.models:
            for task in self.tasks:
                members = []
                for seed in self.seeds:
                    speed = self.rng.uniform(4, 30)
                    moved = [1 - np.exp(-step / speed) for step in self.steps]
                    patterns = [(self.pattern() * (1 + x)).tolist() for x in moved] if seed == self.seeds[0] else None
                    members.append(
                        {
                            "model": model,
                            "task": task,
                            "seed": seed,
                            "n": 100,
                            "steps": self.steps,
                            "rows_seen": [16 * step for step in self.steps],
                            "correlation": [self.near(1 - 0.3 * x, 0.002) for x in moved],
                            "mse": [self.near(1e-3 * x, 0, 1e-4) for x in moved],
                            "gini": [self.near(0.5 - 0.1 * x, 0.002) for x in moved],
                            "patterns": patterns,
                            "train_loss": [
                                {"step": step, "loss": 2 * np.exp(-step / 20) + 0.3} for step in range(1, last + 1, 4)
                            ],
                            "half_way": next(s for s, x in zip(self.steps, moved, strict=True) if x >= moved[-1] / 2),
                        }
                    )
                runs += members
                along = {
                    name: [self.over_seeds([m[name][i] for m in members]) for i in range(len(self.steps))]
                    for name in ("correlation", "mse")
                }
                summary.append({"model": model, "task": task, "seeds": len(members), "steps": self.steps, **along})
        return {"runs": runs, "summary": summary}

    def arms(self, arms, targets, extra) -> dict[str, Any]:
        rows = []
        for model, target, seed in self.each(tasks=targets):
            for index, arm in enumerate(arms):
                rows.append(
                    {
                        "model": model,
                        "target": target,
                        "arm": arm,
                        "seed": seed,
                        "accuracy": self.near(0.2 + 0.1 * index),
                        "loss": self.near(1.5 - 0.2 * index),
                        "rows": 300 if index else 0,
                        "tokens": 9000,
                        "n": 100,
                        **extra,
                    }
                )
        summary = self.summary(rows, ("model", "target", "arm"), ("accuracy", "loss"))
        for each in summary:
            each["gain_accuracy"], each["gain_loss"] = self.near(0.1), self.near(-0.2)
        return {"rows": rows, "summary": summary, "arms": arms}

    def table2(self) -> dict[str, Any]:
        paper = [
            {"model": "Llama-7B", "base": 28.68, "target": 31.78, "random": 33.82, "mixture": 36.82},
            {"model": "Llama2-7B", "base": 29.07, "target": 34.50, "random": 36.75, "mixture": 38.50},
            {"model": "Llama3-8B", "base": 46.12, "target": 49.22, "random": 50.10, "mixture": 52.33},
        ]
        return {"paper": paper, **self.arms(ARMS, list(COMPLEX), {"weights": {"math": 0.6, "code": 0.4}})}

    def table3(self) -> dict[str, Any]:
        arms = {
            "base": "no training",
            "target": "target rows only",
            "random": "random rows of the pool",
            **{name: f"rows by {name}" for name in SELECTIONS},
        }
        return {"paper": [], **self.arms(arms, ["math_code"], {"share": {"math": 0.5, "code": 0.4, "other": 0.1}})}

    def ablation(self) -> dict[str, Any]:
        ks, intact, rows = (1, 2, 4, 8), [], []
        for model, task, seed in self.each():
            intact.append(
                {"model": model, "task": task, "seed": seed, "loss": self.near(0.4), "accuracy": self.near(0.8)}
            )
            for mode in ("zero", "mean"):
                for k in ks:
                    for choice, harm in (("active", 0.12), ("changed", 0.08), ("random", 0.02)):
                        rows.append(
                            {
                                "model": model,
                                "task": task,
                                "seed": seed,
                                "mode": mode,
                                "k": k,
                                "choice": choice,
                                "draws": 20 if choice == "random" else 1,
                                "loss": self.near(harm * k, 0.01),
                                "accuracy": self.near(-harm * k / 4),
                                "p": None
                                if choice == "random"
                                else float(self.rng.choice([1 / 21, 0.3], p=[0.8, 0.2])),
                            }
                        )
        keys = ("model", "task", "mode", "k", "choice")
        return {"rows": rows, "intact": intact, "summary": self.summary(rows, keys, ("loss", "accuracy"))}


def _titles(name: str) -> dict[str, str]:
    return {"title": f"Exhibit {name}", "caption": f"What {name} shows, 100 probe rows per task."}
