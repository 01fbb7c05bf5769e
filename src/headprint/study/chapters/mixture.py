"""Application 1: mix rows of basic tasks by pattern weights, to train on before a task with few rows (Table 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic.dataclasses import dataclass

from headprint.base.errors import InputError
from headprint.base.files import read_json, read_json_lines, write_json, write_json_lines
from headprint.base.options import MixtureWeights
from headprint.study.bounds import Count, Distinct
from headprint.study.chapters.arms import Arms, arms_figure, collect_arms, evidence_of
from headprint.study.chapters.chapter import Chapter, Claim, Jobs, Planned, View
from headprint.study.chapters.fits import Fits, Reading, fit_of
from headprint.study.chapters.two_steps import RANDOM, TARGET, UNIFORM, WITHOUT_STEP_1, TwoSteps, two_step_jobs
from headprint.study.groundwork import BaseConfig, Run
from headprint.study.groundwork.models import Model
from headprint.study.pipeline import Cache, Job, Needs, stage
from headprint.study.records import STRICT
from headprint.study.verdicts import Evidence
from headprint.study.views import Column, Table

Arm: TypeAlias = Literal["random", "uniform", "mixture", "rates", "gradients", "permuted", "named", "longer"]

FITTED: dict[str, Reading] = {"mixture": "change", "rates": "rate", "gradients": "gradient", "permuted": "change"}
"""Arms in the shares of a decomposition, and of what."""

ARMS = WITHOUT_STEP_1 | {
    "random": "rows drawn from all basic tasks alike first",
    "uniform": "basic tasks in equal shares first",
    "mixture": "basic tasks in the shares of ΔAP's decomposition first",
    "rates": "basic tasks in the shares of the decomposition of ΔAP / AP first",
    "gradients": "basic tasks in the shares of the decomposition of head gradients first",
    "permuted": "the mixture's shares, handed to other tasks at random, first",
    "named": "the tasks that the target is made of, in equal shares, first",
    "longer": "the target's own rows for as many more tokens first",
}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Mixtures(TwoSteps):
    """Table 2: rows of basic tasks in step 1, the target's few rows in step 2.

    Attributes:
        rows: Step 1 of every arm has the supervised tokens of so many rows, equally many of each basic task.
        arms: What step 1 is, all in shares of its tokens. ``mixture``, ``rates`` and ``gradients``: by decompositions
            (nnls) of ΔAP, of ΔAP / AP, and of head gradients; ``random``: rows drawn from all basic tasks alike;
            ``uniform``: equal shares; ``permuted``: the mixture's shares handed to other tasks at random; ``named``,
            the positive control: the target's ``parts`` in equal shares; ``longer``: the target's own rows again.
        weights: Of a decomposition: ``shares``, drawn towards equal ones as far as the rows leave them open, or
            ``fit``, its weights as they are, as in the paper.
        permutations: Draws of the arm ``permuted`` in each seed.
    """

    rows: Count = 1000
    arms: Distinct[Arm] = field(
        default_factory=lambda: ["random", "uniform", "mixture", "gradients", "permuted", "named"]
    )
    weights: MixtureWeights = "shares"
    permutations: Count = 3

    def check(self, config: BaseConfig) -> None:
        """Refuse targets that are not there or of the basis, and parts that are not of it.

        Raises:
            InputError: With the place in the config.
        """
        self.check_steps(config, "mixtures")
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
class Table2(Arms):
    """Every arm of every target, beside the paper's."""

    title: str = "Mixtures of basic tasks before a task with few rows"
    caption: str = (
        "Held-out loss and accuracy of the target. Step 1 of every arm has as many supervised tokens and optimizer "
        "steps; step 2 is the same for all."
    )
    paper: list[PublishedArms]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    table2: Table2


@stage(version=2)
def mixture(
    out: Path,
    needs: Needs,
    *,
    model: Model,
    target: str,
    basis: list[str],
    rows: int,
    fitted: MixtureWeights,
    seed: int,
    arm: Arm,
    parts: list[str],
    draw: int,
) -> None:
    """Choose the rows of step 1, in shares of the tokens of ``rows`` rows, equally many of each task of the basis.

    Writes ``train.jsonl`` and ``mixture.json``.
    """
    from headprint.analysis.mixture import mix, mixture_budgets, token_size
    from headprint.data import read_rows

    sources = {task: list(read_json_lines(needs[task] / "reserve.jsonl")) for task in basis}
    size = token_size(model["model"])
    sizes = {task: [size(row) for row in read_rows(source)] for task, source in sources.items()}
    budget = round(rows * np.mean([np.mean(each) for each in sizes.values()]))
    note = None
    if arm == "random":
        weights = {task: float(sum(each)) for task, each in sizes.items()}
    elif arm == "uniform":
        weights = dict.fromkeys(basis, 1.0)
    elif arm == "named":
        weights = dict.fromkeys(parts, 1.0)
    elif arm == "longer":
        sources = {target: list(read_json_lines(needs["target"] / "train.jsonl"))}
        weights = {target: 1.0}
    else:
        weights, note = _weights(read_json(needs["fit"] / "fit.json")["decomposition"], fitted)
        weights = permuted(weights, seed, draw) if arm == "permuted" else weights
    sources = {task: sources[task] for task in weights}
    mixed = mix(sources, mixture_budgets(weights, budget), seed=seed, oversample=True, size=size)
    write_json_lines(out / "train.jsonl", mixed.rows)
    counts = dict(Counter(row["task"] for row in mixed.rows))
    write_json(out / "mixture.json", {"weights": weights, "counts": counts, "note": note})


def _weights(decomposition: Mapping[str, Any], fitted: MixtureWeights) -> tuple[dict[str, float], str | None]:
    """The weights of a fit; equal ones, and a note, if the fit found none."""
    drawn = decomposition["mixture"]  # None of a single row
    shares = drawn["shares"] if drawn and fitted == "shares" else decomposition["weights"]
    found = {task: each["value"] for task, each in shares.items()}
    if any(weight > 0 for weight in found.values()):
        return found, None
    return dict.fromkeys(found, 1.0), "the fit gave no task a positive weight: equal shares were taken"


def permuted(weights: Mapping[str, float], seed: int, draw: int) -> dict[str, float]:
    """The weights handed to other tasks.

    Args:
        weights: By task.
        seed: Of the run.
        draw: Which permutation: those of a seed differ from one another and from the weights as they are, as far as
            there are so many.
    """
    rng = np.random.default_rng([seed, 1])
    values = list(weights.values())
    found = [values]
    for _ in range(_TRIES):
        other = rng.permutation(values).tolist()
        if other not in found:
            found.append(other)
        if len(found) > draw + 1:
            break
    return dict(zip(weights, found[min(draw + 1, len(found) - 1)], strict=True))


_TRIES = 1000
"""Permutations looked at for one that is new; few distinct weights have few."""


def plan(run: Run) -> Jobs:
    """For every target and arm, the choice of rows and the evaluation after both steps."""
    given = run.config.block(Mixtures)
    if given is None:
        return {}
    jobs: dict[tuple[str, ...], Job] = {}
    for target in given.targets:
        chosen: dict[tuple[str, int], Job] = {
            (arm, draw): _choice(run, given, target, arm, draw)
            for arm in given.arms
            if arm != "named" or run.config.tasks[target].parts
            for draw in range(given.permutations if arm == "permuted" else 1)
        }
        jobs |= two_step_jobs(run, given, target, chosen)
    return jobs


def _choice(run: Run, given: Mixtures, target: str, arm: Arm, draw: int) -> Job:
    fits = run.config.block(Fits) or Fits()
    basis = fits.basis_of(run.config)
    needs = {task: run.rows[task] for task in basis}
    needs |= {"fit": fit_of(run, fits, target, "nnls", FITTED[arm])} if arm in FITTED else {}
    needs |= {"target": run.rows[target]} if arm == "longer" else {}
    return mixture.job(
        run.label(target, f"{arm} {draw + 1}" if draw else arm),
        needs,
        **run.model,
        target=target,
        basis=basis,
        rows=given.rows,
        fitted=given.weights,
        seed=run.seed,
        arm=arm,
        parts=(run.config.tasks[target].parts or []) if arm == "named" else [],
        draw=draw,
    )


def collect(planned: Sequence[Planned], cache: Cache) -> Exhibit:
    """All arms of all targets."""
    return Exhibit(table2=Table2(**collect_arms(planned, cache, ARMS), paper=PUBLISHED))


_NAMES = {
    "mixture": "the mixture by ΔAP first",
    "rates": "the mixture by ΔAP / AP first",
    "gradients": "the mixture by head gradients first",
    TARGET: "target rows only",
    RANDOM: "random rows first",
    UNIFORM: "equal shares",
    "permuted": "the shares by ΔAP permuted over the tasks",
    "named": "the parts that people name",
}


def _views(exhibit: Exhibit, seeds: Sequence[int]) -> list[View]:
    table = exhibit.table2
    published = Table(
        title="In the paper: accuracy, %",
        columns=[Column(name) for name in ("Model", "base", "target", "random", "mixture")],
        rows=[[row.model, row.base, row.target, row.random, row.mixture] for row in table.paper],
        is_open=True,
    )
    return [arms_figure("table2", table.title, table.caption, table, seeds, published=[published])]


def _evidence(exhibit: Exhibit) -> Evidence:
    """A mixture first beats target rows only, and random rows first, for each target; other comparisons are our own."""
    table = exhibit.table2
    paper = "; ".join(
        f"{row.model}, MathBench: {row.target:.1f} → {row.mixture:.1f} % (random {row.random:.1f} %)"
        for row in table.paper
    )
    ours = [arm for arm in FITTED if arm != "permuted"]
    claimed = [(arm, other) for arm in ours for other in (TARGET, RANDOM)]
    aside = [*((arm, UNIFORM) for arm in ours), ("mixture", "permuted")]
    return evidence_of(table.rows, claimed, "named", names=_NAMES, aside=aside, paper=paper)


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
