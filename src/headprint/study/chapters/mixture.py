"""Application 1: mix rows of basic tasks by pattern weights, to train on before a task with few rows (Table 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic.dataclasses import dataclass

from headprint.base.errors import InputError
from headprint.base.files import read_json, read_json_lines, write_json, write_json_lines
from headprint.study.bounds import Count, Distinct
from headprint.study.chapters.arms import (
    WITHOUT_STEP_1,
    ArmRow,
    MeanArm,
    arms_figure,
    by_target,
    collect_arms,
    compared,
    counted,
    means,
    without_step_1,
)
from headprint.study.chapters.chapter import Chapter, Claim, Jobs, Planned, View
from headprint.study.chapters.composition import Fits, fit_of
from headprint.study.groundwork import BaseConfig, Run
from headprint.study.groundwork.models import Model
from headprint.study.pipeline import Cache, Job, Needs, stage
from headprint.study.records import STRICT
from headprint.study.verdicts import Check, Evidence
from headprint.study.views import Column, Table

Arm: TypeAlias = Literal["random", "mixture", "permuted", "named", "longer"]

ARMS = WITHOUT_STEP_1 | {
    "random": "rows drawn from all basic tasks first",
    "mixture": "basic tasks in the decomposition's shares first",
    "permuted": "the mixture's shares, handed to other tasks at random, first",
    "named": "the tasks that the target is made of, in equal shares, first",
    "longer": "the target's own rows for as many more tokens first",
}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Mixtures:
    """Table 2: rows of basic tasks in step 1, the target's few rows in step 2.

    Attributes:
        targets: Complex tasks.
        rows: N, rows of the mixture. All arms train on its supervised tokens.
        arms: What step 1 is. ``mixture``: the decomposition's shares (nnls);
            ``random``: rows drawn from all basic tasks; ``permuted``: the mixture's shares handed to other
            tasks at random; ``named``: the target's ``parts`` in equal shares; ``longer``: the target's own rows again.
        first: Fields of ``SFTConfig`` for step 1, over the study's.
    """

    targets: Distinct[str]
    rows: Count = 1000
    arms: Distinct[Arm] = field(default_factory=lambda: ["random", "mixture"])
    first: dict[str, Any] = field(default_factory=dict)

    def check(self, config: BaseConfig) -> None:
        """Refuse targets that are not there or of the basis, and parts that are not of it.

        Raises:
            InputError: With the place in the config.
        """
        config.check_tasks("mixtures.targets", self.targets)
        fits = config.block(Fits) or Fits()
        basis = fits.basis_of(config)
        if not basis:
            raise InputError("mixtures: there is no basic task to mix rows of")
        for name in self.targets:
            fits.check_target(config, name)
        for name in self.targets if "named" in self.arms else ():
            if strange := [part for part in config.tasks[name].parts or [] if part not in basis]:
                raise InputError(f"tasks.{name}.parts: {strange[0]} is not of the basis, which arm 'named' mixes")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PublishedArms:
    """The paper's own accuracies on MathBench, in percent."""

    model: str
    base: float
    target: float
    random: float
    mixture: float


PUBLISHED = [
    PublishedArms(model="Llama-7B", base=28.68, target=31.78, random=33.82, mixture=36.82),
    PublishedArms(model="Llama2-7B", base=29.07, target=34.50, random=36.75, mixture=38.50),
    PublishedArms(model="Llama3-8B", base=46.12, target=49.22, random=50.10, mixture=52.33),
]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Table2:
    """Every arm of every target; ``arms`` says in words what each one does."""

    title: str = "Mixtures of basic tasks before a task with few rows"
    caption: str = (
        "Held-out accuracy and loss of the target. Step 1 of every arm has as many supervised tokens as "
        "the mixture; step 2 is the same for all."
    )
    arms: dict[str, str]
    rows: list[ArmRow]
    summary: list[MeanArm]
    paper: list[PublishedArms]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    table2: Table2


@stage(version=1)
def mixture(
    out: Path,
    needs: Needs,
    *,
    model: Model,
    target: str,
    basis: list[str],
    rows: int,
    seed: int,
    arm: Arm,
    parts: list[str],
) -> None:
    """Choose the rows of step 1; every arm but the mixture itself takes as many tokens as that did.

    Writes ``train.jsonl`` and ``mixture.json``.
    """
    from headprint.analysis.mixture import mix, mixture_budgets, random_budgets, token_size
    from headprint.data import read_rows

    sources = {task: list(read_json_lines(needs[task] / "reserve.jsonl")) for task in basis}
    weights, note = _weights(needs["fit"] / "fit.json") if "fit" in needs else ({}, None)
    size = token_size(model["model"])
    if arm == "mixture":
        mixed = mix(sources, mixture_budgets(weights, rows), seed=seed, oversample=True)
    else:
        tokens = read_json(needs["mixture"] / "mixture.json")["tokens"]
        if arm == "random":
            available = {task: len(source) for task, source in sources.items()}
            counted = random_budgets(available, rows, seed=seed, oversample=True)
            means = {task: np.mean([size(row) for row in read_rows(source)]) for task, source in sources.items()}
            weights = {task: float(count * means[task]) for task, count in counted.items()}
        elif arm == "permuted":
            order = np.random.default_rng([seed, 1]).permutation(len(basis))
            weights = {basis[i]: weights[basis[j]] for i, j in enumerate(order)}
        elif arm == "named":
            weights = dict.fromkeys(parts, 1.0)
            sources = {task: sources[task] for task in parts}
        else:  # longer
            sources = {target: list(read_json_lines(needs["target"] / "train.jsonl"))}
            weights = {target: 1.0}
        mixed = mix(sources, mixture_budgets(weights, tokens), seed=seed, oversample=True, size=size)
    found = {
        "arm": arm,
        "weights": weights,
        "note": note,
        "rows": len(mixed.rows),
        "tokens": int(sum(size(row) for row in read_rows(mixed.rows))),
        "counts": dict(Counter(row["task"] for row in mixed.rows)),
    }
    write_json_lines(out / "train.jsonl", mixed.rows)
    write_json(out / "mixture.json", found)


def _weights(path: Path) -> tuple[dict[str, float], str | None]:
    """The weights of a fit; equal ones, and a note, if the fit found none."""
    found = {task: each["value"] for task, each in read_json(path)["decomposition"]["weights"].items()}
    if any(weight > 0 for weight in found.values()):
        return found, None
    return dict.fromkeys(found, 1.0), "the fit gave no task a positive weight: equal shares were taken"


def plan(run: Run) -> Jobs:
    """For every target and arm, the choice of rows and the evaluation after both steps."""
    given, fits = run.config.block(Mixtures), run.config.block(Fits) or Fits()
    if given is None:
        return {}
    jobs: dict[tuple[str, ...], Job] = {}
    for target in given.targets:
        jobs |= without_step_1(run, target)
        weighing = fit_of(run, fits, target, "nnls")
        weighted = _choice(run, given, fits, target, "mixture", {"fit": weighing})
        for arm in given.arms:
            if arm == "named" and not run.config.tasks[target].parts:
                continue
            needs = {"mixture": weighted}
            needs |= {"fit": weighing} if arm == "permuted" else {}
            needs |= {"target": run.rows[target]} if arm == "longer" else {}
            chosen = weighted if arm == "mixture" else _choice(run, given, fits, target, arm, needs)
            jobs[target, arm, "choice"] = chosen
            jobs[target, arm, "evaluation"] = run.two_steps(target, chosen, given.first, target, arm)
    return jobs


def _choice(run: Run, given: Mixtures, fits: Fits, target: str, arm: Arm, needs: dict[str, Job]) -> Job:
    basis = fits.basis_of(run.config)
    parts = run.config.tasks[target].parts or []
    return mixture.job(
        run.label(target, arm),
        {**{task: run.rows[task] for task in basis}, **needs},
        **run.model,
        target=target,
        basis=basis,
        rows=given.rows,
        seed=run.seed,
        arm=arm,
        parts=parts if arm == "named" else [],
    )


def collect(planned: Sequence[Planned], cache: Cache) -> Exhibit:
    """All arms of all targets."""
    rows, summary = collect_arms(planned, cache, list(ARMS))
    arms = {arm: ARMS[arm] for arm in dict.fromkeys(row.arm for row in rows)}
    return Exhibit(table2=Table2(arms=arms, rows=rows, summary=summary, paper=PUBLISHED))


_OTHERS = {"target": "target rows only", "random": "a random mixture first"}

_NAME = "the pattern mixture first"


def _views(exhibit: Exhibit, seeds: Sequence[int]) -> list[View]:
    table = exhibit.table2
    published = Table(
        title="In the paper: accuracy, %",
        columns=[Column(name) for name in ("Model", "base", "target", "random", "mixture")],
        rows=[[row.model, row.base, row.target, row.random, row.mixture] for row in table.paper],
        is_open=True,
    )
    return [
        arms_figure(
            "table2", table.title, table.caption, table.arms, table.rows, table.summary, seeds, published=[published]
        )
    ]


def _evidence(exhibit: Exhibit) -> Evidence:
    """The mixture first beats target rows only, and a random mixture first, for each target.

    The positive control is the arm of the tasks that the target is made of, which should beat random rows. Where it
    does not, the target cannot tell whether the pattern mixture helps, and its comparisons decide nothing.
    """
    table = exhibit.table2
    paper = "; ".join(
        f"{row.model}, MathBench: {row.target:.1f} → {row.mixture:.1f} % (random {row.random:.1f} %)"
        for row in table.paper
    )
    checks: list[Check] = []
    seen: list[Check] = []
    sentences, numbers, controls = [], [], []
    for target, rows in by_target(table.rows).items():
        known = [
            each
            for other, label in _OTHERS.items()
            if (each := compared(rows, target, "mixture", other, names=(_NAME, label)))
        ]
        if not known:
            continue
        text = f"on {target} {' and '.join(text for _, text in known)}"
        permuted = compared(rows, target, "mixture", "permuted", names=(_NAME, "its shares permuted"))
        if permuted:  # our own control and no claim of the paper's: reported, and not judged
            text += f" (and {permuted[1]} over the tasks)"
        control = compared(rows, target, "named", "random", names=("the named parts first", "random rows"))
        if control:
            controls.append(control[0].holds is True)
            text += f"; the positive control, the parts that people name, changes {control[1]}"
        works = control is None or controls[-1]
        end = "" if works else " (undecided: the positive control shows no effect either)"
        seen += [check for check, _ in known]
        checks += [Check(check.text + end, check.holds if works else None) for check, _ in known]
        sentences.append(text)
        numbers.append(f"{target}: {means(rows, ('base', 'target', 'random', 'mixture'))}")
    if not checks:
        return Evidence(paper=paper)
    return Evidence(
        checks=checks,
        here=f"Training on the pattern mixture first changes, {'; '.join(sentences)}.{counted(seen)}",
        number="; ".join(numbers),
        paper=paper,
        control=any(controls) if controls else None,
    )


CHAPTER = Chapter(
    name="mixture",
    exhibit=Exhibit,
    plan=plan,
    collect=collect,
    title="Application 1: mix basic tasks for a complex one",
    question="When a complex task has few rows: does it help to train on basic tasks first, mixed by the weights of "
    "Finding 2?",
    views=_views,
    claim=Claim(
        text="Basic tasks mixed by pattern weights, trained on first, help a complex task whose rows are scarce.",
        evidence=_evidence,
        meanings={
            "replicates": "Here too, weights from patterns make a better first step than chance or none.",
            "mixed": "Some comparisons favor the mixture and others do not, or cannot tell: see each below.",
            "does not": "Here the mixture by pattern weights does not help.",
        },
    ),
)
