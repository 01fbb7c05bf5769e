"""Trials, of which all experiments are made: training on some rows first, then on the few rows of a target.

Step one is the same for all targets, so one job trains it once and goes on from there to each target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from headprint.base.files import read_json, read_json_lines, write_json, write_json_lines
from headprint.study.chapters.evidence.settings import Evidence, Training
from headprint.study.groundwork import Run
from headprint.study.groundwork.models import Model, load
from headprint.study.pipeline import Job, Needs, stage
from headprint.study.records import parsed


@stage(version=1)
def mixed(
    out: Path, needs: Needs, *, model: Model, weights: dict[str, float] | None, names: list[str], tokens: int, seed: int
) -> None:
    """Draw rows of several sources in shares of their supervised tokens.

    The shares are ``weights``, or what the job ``weights`` found. Writes ``train.jsonl``.
    """
    shares = read_json(needs["weights"] / "weighed.json") if weights is None else weights
    sources = {
        name: list(read_json_lines(needs[name] / "reserve.jsonl")) for name in names if shares.get(name, 0.0) > 0
    }
    write_json_lines(out / "train.jsonl", _drawn(sources, shares, tokens, model, seed))


@stage(version=1)
def by_skill(
    out: Path, needs: Needs, *, model: Model, concentration: float, number: int, tokens: int, seed: int
) -> None:
    """Draw rows of a pool in random shares of its skills, from a Dirichlet distribution.

    Writes ``train.jsonl``, each row's ``id`` that of the pool, and ``by_skill.json``, the shares.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in read_json_lines(needs["pool"] / "rows.jsonl"):
        groups.setdefault(skills_of(row), []).append(row)
    rng = np.random.default_rng([seed, number])
    shares = dict(zip(sorted(groups), rng.dirichlet(np.full(len(groups), concentration)).tolist(), strict=True))
    used = {name: share for name, share in shares.items() if share * tokens >= 1}
    rows = _drawn({name: groups[name] for name in used}, used, tokens, model, int(rng.integers(2**31)))
    for row in rows:  # `mix` names rows TASK/ID, and repeats TASK/ID#2
        row["id"] = row["id"].removeprefix(f"{row['task']}/").partition("#")[0]
    write_json_lines(out / "train.jsonl", rows)
    write_json(out / "by_skill.json", shares)


def skills_of(row: Mapping[str, Any]) -> str:
    """What a row of a pool takes, in one name."""
    return "+".join(row["skills"])


def _drawn(
    sources: Mapping[str, list[dict[str, Any]]], weights: Mapping[str, float], tokens: int, model: Model, seed: int
) -> list[dict[str, Any]]:
    from headprint.analysis.mixture import mix, mixture_budgets, token_size

    budgets = mixture_budgets({name: weights[name] for name in sources}, tokens)
    size = token_size(model["model"])
    return mix(dict(sources), budgets, seed=seed, oversample=True, size=size).rows


@stage(version=1, ignores={"batch_tokens"})
def trial(
    out: Path,
    needs: Needs,
    *,
    model: Model,
    first: dict[str, Any],
    own: dict[str, Any],
    checkpoints: int,
    targets: list[str],
    second: bool,
    scorers: dict[str, str | None],
    max_new_tokens: int,
    batch_tokens: int | None,
    seed: int,
) -> None:
    """Train on the rows of ``first``, if there are any, then on each target's own rows; measure the targets.

    Writes ``trial.json``: the targets' losses after step one, and with ``second`` each one's losses at checkpoints of
    step two and its accuracy at the end, if it has a scorer.
    """
    import torch

    from headprint import models
    from headprint.data import read_rows
    from headprint.evaluation import evaluate
    from headprint.measure.likelihood import HeldOut, examples_of
    from headprint.training.short import Weights, in_precision, in_steps, train

    loaded, tokenizer = load({**model, "dtype": "float32"})
    loaded.requires_grad_(True)
    loaded.eval()
    step_one, step_two = parsed(Training, first, "first"), parsed(Training, own, "own")
    device = models.input_device(loaded)
    limits = models.limits(loaded)

    def examples(path: Path) -> list[Any]:
        return examples_of(list(read_rows(path)), tokenizer, **limits)

    held_out = {
        target: HeldOut(loaded, examples(needs[f"test {target}"] / "test.jsonl"), batch_tokens=batch_tokens or 2048)
        for target in targets
    }

    def loss(target: str) -> float:
        with torch.no_grad(), in_precision(step_two.precision, device):
            return float(np.mean(held_out[target].losses()))

    found: dict[str, Any] = {"first": None, "then": {}}
    processed = 0
    if "first" in needs:
        batches = in_steps(examples(needs["first"] / "train.jsonl"), step_one.tokens, step_one.steps, seed)
        train(loaded, batches, **schedule(step_one))
        processed = _size(batches)
    found["first"] = {"tokens": processed, "losses": {target: loss(target) for target in targets}}
    start = Weights(loaded)
    at = {round(step_two.steps * (number + 1) / checkpoints) for number in range(checkpoints)}
    for target in targets if second else ():
        start.restore()
        batches = in_steps(examples(needs[f"rows {target}"] / "train.jsonl"), step_two.tokens, step_two.steps, seed)
        curve: dict[int, float] = {}

        def measure(step: int, target: str = target, curve: dict[int, float] = curve) -> None:
            if step in at:
                curve[step] = loss(target)

        train(loaded, batches, after_step=measure, **schedule(step_two))
        answered = None
        if scorers.get(target):
            tests = needs[f"test {target}"] / "test.jsonl"
            with in_precision(step_two.precision, device):
                answered = evaluate(
                    loaded, tokenizer, tests, scorer=scorers[target], max_new_tokens=max_new_tokens, loss=False
                ).accuracy
        found["then"][target] = {"curve": curve, "accuracy": answered, "tokens": _size(batches)}
    found["parameters"] = sum(parameter.numel() for parameter in loaded.parameters())
    write_json(out / "trial.json", found)


def schedule(training: Training) -> dict[str, Any]:
    """Settings as :func:`headprint.training.short.train` takes them."""
    return {"rate": training.learning_rate, "warmup": training.warmup, "precision": training.precision}


def _size(batches: list[list[Any]]) -> int:
    """Tokens that went through the model, without padding."""
    return sum(len(example.input_ids) for batch in batches for example in batch)


def outcome(found: Mapping[str, Any], target: str) -> float:
    """The primary outcome of a trial: the mean over checkpoints of the logarithm of the target's held-out loss."""
    return float(np.mean(np.log(list(found["then"][target]["curve"].values()))))


class Trials:
    """Makes the jobs of one model and seed.

    Args:
        run: Model and seed.
        given: The section of the config.
    """

    def __init__(self, run: Run, given: Evidence) -> None:
        self.run = run
        self.given = given

    def source(self, name: str) -> Job:
        """The rows of a basic task, or of one of the section's sources."""
        if name in self.given.sources:
            return self.run.sources.own(self.given.sources[name], name, self.run.seed, self.run.config.sizes)
        return self.run.rows[name]

    def mixture(
        self, weights: Mapping[str, float] | Job, names: list[str], *label: str, seed: int | None = None
    ) -> Job:
        """Rows of sources in shares of tokens.

        Args:
            weights: Of the sources; or the job that finds them.
            names: Of the sources.
            label: For people.
            seed: Of the draw; None: the run's.
        """
        found = weights if isinstance(weights, Job) else None
        shares = None if isinstance(weights, Job) else {name: float(f"{weights[name]:.6g}") for name in names}
        return mixed.job(
            self.run.label(*label),
            {**{name: self.source(name) for name in names}, **({"weights": found} if found else {})},
            **self.run.model,
            weights=shares,
            names=names,
            tokens=self.given.first.tokens,
            seed=self.run.seed if seed is None else seed,
        )

    @property
    def pool(self) -> Job:
        """The rows to choose from, the same for all seeds."""
        assert self.given.pool is not None  # checked with the config
        return self.run.sources.pool(self.given.pool, 0, self.given.pool_rows)

    def trial(
        self,
        first: Job | None,
        targets: list[str],
        *label: str,
        second: bool = True,
        scored: bool = True,
        seed: int | None = None,
    ) -> Job:
        """Train on the rows of a job first, then on the targets' own.

        Args:
            first: Left ``train.jsonl``; None: without step one.
            targets: Tasks that are measured.
            label: For people.
            second: Whether each target's own rows follow.
            scored: Whether answers are judged at the end.
            seed: Of the order; None: the run's.
        """
        needs: dict[str, Job] = {f"test {target}": self.run.tests[target] for target in targets}
        if second:
            needs |= {f"rows {target}": self.run.rows[target] for target in targets}
        if first is not None:
            needs["first"] = first
        tasks = self.run.config.tasks
        return trial.job(
            self.run.label(*label),
            needs,
            **self.run.answering,
            # Without step one its settings decide nothing.
            first=asdict(self.given.first if first is not None else Training()),
            own=asdict(self.given.own if second else replace(Training(), precision=self.given.own.precision)),
            checkpoints=self.given.checkpoints,
            targets=list(targets),
            second=second,
            scorers={target: tasks[target].scorer for target in targets} if scored and second else {},
            seed=self.run.seed if seed is None else seed,
        )


def basics(run: Run) -> list[str]:
    """The basic tasks, in the order of the config."""
    return [name for name, task in run.config.tasks.items() if task.kind == "basic"]


def read_trial(folder: Path) -> dict[str, Any]:
    """What a trial found."""
    content: dict[str, Any] = read_json(folder / "trial.json")
    return content
