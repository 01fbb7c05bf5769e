"""The figures of :mod:`made_results`."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np


class Figures:
    """Random numbers of figures 1 to 5; what they need is set by the class that inherits them."""

    def near(self, middle: float, spread: float = 0.05, width: float = 0.04) -> dict[str, float]:
        value = middle + float(self.rng.normal(0, spread))
        return {"value": value, "low": value - width * self.rng.random(), "high": value + width * self.rng.random()}

    def over_seeds(self, estimates: list[dict[str, float]]) -> dict[str, float | None]:
        values = np.array([each["value"] for each in estimates])
        if len(values) == 1:
            return estimates[0]
        half = 2 * values.std(ddof=1) / np.sqrt(len(values))
        return {"value": float(values.mean()), "low": float(values.mean() - half), "high": float(values.mean() + half)}

    def each(self, *, tasks=None):
        return [(model, task, seed) for model in self.models for task in tasks or self.tasks for seed in self.seeds]

    def pattern(self) -> np.ndarray:
        return self.rng.gamma(0.7, 0.02, self.shape)

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
            for target, named in {**self.complexes, "pool:logic+code": None}.items():
                for method in ("nnls", "lstsq"):
                    members = [self.fit(model, seed, target, method, named) for seed in self.seeds]
                    fits += members
                    best = list(named or self.basics[:2])
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
            for size in range(1, len(self.basics) + 1)
            for tasks in combinations(self.basics, size)
        ]
        subsets.sort(key=lambda subset: -subset["r2"])
        gap = {
            "size": 2,
            "best": list(named or self.basics[:2]),
            "value": self.near(0.2),
            "best_in": 0.7,
            "p_value": 0.02,
        }
        decomposition = {
            "target": target,
            "weights": {task: self.near(0.3) for task in self.basics},
            "intercept": self.near(0, 0),
            "r2": self.near(0.8),
            "adjusted": 0.75,
            "cross_validated": 0.7,
            "null": null,
            "subsets": subsets,
            "gaps": [gap],
            "heads": self.shape[0] * self.shape[1],
            "examples": dict.fromkeys(self.basics, 100),
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
