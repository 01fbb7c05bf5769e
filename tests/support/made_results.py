"""A study's results made up of random numbers: the whole schema, of any size."""

from __future__ import annotations

from typing import Any

import numpy as np

from support.made_figures import Figures

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
    basics: tuple[str, ...] = BASICS,
    complexes: dict[str, tuple[str, str]] = COMPLEX,
) -> dict[str, Any]:
    """Results of a complete study."""
    return _Maker(layers, heads, seeds, models, steps, np.random.default_rng(seed), basics, complexes).results()


def small_results(**options: Any) -> dict[str, Any]:
    """The same with four tasks, few heads and few steps: quick to draw."""
    small = {"layers": 3, "heads": 2, "seeds": 2, "steps": 8}
    return made_results(**{**small, "basics": BASICS[:3], "complexes": {"math_code": ("math", "code")}, **options})


class _Maker(Figures):
    def __init__(self, layers, heads, seeds, models, steps, rng, basics, complexes) -> None:
        self.basics, self.complexes = basics, complexes
        self.shape = (layers, heads)
        self.seeds = list(range(seeds))
        self.models = models
        self.steps = [0, *(2**k for k in range(steps - 2)), 2 ** (steps - 3) + 11]
        self.rng = rng
        self.tasks = [*self.basics, *self.complexes]

    def results(self) -> dict[str, Any]:
        makers = ("base_rates", "table1", "fig1", "fig2", "fig3", "fig4", "fig5", "table2", "table3", "ablation")
        exhibits = {name: {**_titles(name), **getattr(self, name)()} for name in makers}
        kinds = {**dict.fromkeys(self.basics, "basic"), **dict.fromkeys(self.complexes, "complex"), POOL: "pool"}
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
                    "parts": list(self.complexes[task]) if task in self.complexes else None,
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
        return {"paper": paper, **self.arms(ARMS, list(self.complexes), {"weights": {"math": 0.6, "code": 0.4}})}

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
