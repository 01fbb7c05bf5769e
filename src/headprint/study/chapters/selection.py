"""Application 2: train on the rows of a pool that are most like the target before a task with few rows (Table 3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from pydantic.dataclasses import dataclass

from headprint.base.files import read_json_lines, write_json, write_json_lines
from headprint.patterns.pattern_set import PatternSet
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
from headprint.study.chapters.common import distinct
from headprint.study.groundwork import BaseConfig, Run, TaskConfig
from headprint.study.groundwork.models import Model, load
from headprint.study.groundwork.training import before_and_after
from headprint.study.pipeline import Cache, Job, Needs, stage
from headprint.study.records import STRICT
from headprint.study.verdicts import Check, Evidence, listed

Method: TypeAlias = Literal[
    "random",
    "raw-correlation",
    "raw-cosine",
    "standardised-correlation",
    "standardised-cosine",
    "change-correlation",
    "change-cosine",
]

METHODS = WITHOUT_STEP_1 | {
    "random": "rows drawn from the pool first",
    **{
        f"{levels}-{measure}": f"rows of the pool whose {what} are nearest to the target's by {measure} first"
        for levels, what in (
            ("raw", "levels"),
            ("standardised", "levels, standardised over the pool,"),
            ("change", "levels' changes"),
        )
        for measure in ("correlation", "cosine")
    },
}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Selections:
    """Table 3: rows of a pool in step 1, the target's few rows in step 2.

    Attributes:
        targets: Complex tasks.
        pool: Where the pool is, as a task.
        pool_rows: Rows of it that are scored.
        rows: K: every method takes the tokens of K average rows of the pool.
        methods: What is compared with the target's pattern, and how.
        first: Fields of ``SFTConfig`` for step 1, over the study's.
    """

    targets: Distinct[str]
    pool: TaskConfig
    pool_rows: Count = 1000
    rows: Count = 200
    methods: Distinct[Method] = field(default_factory=lambda: ["random", "raw-correlation", "standardised-cosine"])
    first: dict[str, Any] = field(default_factory=dict)

    def check(self, config: BaseConfig) -> None:
        """Refuse targets that are not there.

        Raises:
            InputError: With the place in the config.
        """
        config.check_tasks("selections.targets", self.targets)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Table3:
    """Every method of selecting, for every target; ``arms`` says in words what each one does."""

    title: str = "Rows selected from a pool before a task with few rows"
    caption: str = (
        "Held-out accuracy and loss of the target. Every method takes as many supervised tokens in "
        "step 1; step 2 is the same for all."
    )
    arms: dict[str, str]
    rows: list[ArmRow]
    summary: list[MeanArm]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    table3: Table3


@stage(version=1, ignores={"batch_tokens"})
def levels(out: Path, needs: Needs, *, model: Model, batch_tokens: int | None) -> None:
    """Measure the rows of a pool, with the model or with what a training left.

    Writes ``set/``.
    """
    from headprint.measure.extraction import extract

    loaded, tokenizer = load(model, needs.get("start"))
    extract(loaded, tokenizer, needs["rows"] / "train.jsonl", out=out / "set", batch_tokens=batch_tokens)


@stage(version=1)
def selection(out: Path, needs: Needs, *, method: Method, rows: int, seed: int) -> None:
    """Choose the rows of step 1: those of the pool that are most like the target, by one method.

    Writes ``train.jsonl`` and ``selection.json``.
    """
    from headprint.analysis.selection import SelectionInputs, choose, score

    before = PatternSet.load(needs["before"] / "set")
    first, last = before_and_after(needs["target"])
    kind, _, measure = method.partition("-")
    if kind == "random":
        scores = score(SelectionInputs(first.pattern(), before, seed=seed), "random")
    elif kind == "change":
        after = PatternSet.load(needs["after"] / "set")
        change = last.pattern() - first.pattern()
        scores = score(SelectionInputs(change, after, pool_before=before, levels="change"), measure)
    else:
        scores = score(SelectionInputs(first.pattern(), before, levels=cast(Any, kind)), measure)
    chosen = choose(scores, tokens=round(rows * float(before.tokens.mean())))
    pool = list(read_json_lines(needs["rows"] / "train.jsonl"))
    picked = [pool[index] for index in chosen.indices]
    # In random order: the first rows of an epoch are not to be those that fit best.
    order = np.random.default_rng([seed, 2]).permutation(len(picked))
    skills = Counter(skill for row in picked for skill in row.get("skills") or [])
    share = {skill: count / len(picked) for skill, count in skills.most_common()} or None
    write_json_lines(out / "train.jsonl", [picked[index] for index in order])
    write_json(out / "selection.json", {"rows": len(picked), "tokens": chosen.tokens, "share": share})


def plan(run: Run) -> Jobs:
    """For every target and method, the choice of rows and the evaluation after both steps."""
    given = run.config.block(Selections)
    if given is None:
        return {}
    pool = run.sources.pool(given.pool, run.seed, given.pool_rows)
    before = levels.job(run.label("pool"), {"rows": pool}, **run.measuring)
    jobs: dict[tuple[str, ...], Job] = {}
    for target in given.targets:
        jobs |= without_step_1(run, target)
        for method in given.methods:
            needs = {"rows": pool, "before": before, "target": run.tuned[target]}
            if method.startswith("change"):
                start = {"rows": pool, "start": run.tuned[target]}
                needs["after"] = levels.job(run.label(f"pool after {target}"), start, **run.measuring)
            chosen = selection.job(run.label(target, method), needs, method=method, rows=given.rows, seed=run.seed)
            jobs[target, method, "choice"] = chosen
            jobs[target, method, "evaluation"] = run.two_steps(target, chosen, given.first, target, method)
    return jobs


def collect(planned: Sequence[Planned], cache: Cache) -> Exhibit:
    """All methods for all targets."""
    rows, summary = collect_arms(planned, cache, list(METHODS))
    arms = {arm: METHODS[arm] for arm in dict.fromkeys(row.arm for row in rows)}
    return Exhibit(table3=Table3(arms=arms, rows=rows, summary=summary))


_SIMILARITIES = ("correlation", "cosine")


def _views(exhibit: Exhibit, seeds: Sequence[int]) -> list[View]:
    table = exhibit.table3
    return [arms_figure("table3", table.title, table.caption, table.arms, table.rows, table.summary, seeds)]


def is_pattern_method(arm: str) -> bool:
    """Whether an arm selects by patterns (``raw-correlation``, ``change-cosine``, ...)."""
    return arm.endswith(_SIMILARITIES)


def _evidence(exhibit: Exhibit) -> Evidence:
    """Rows selected by patterns beat random rows of the pool, for each method and target."""
    rows = exhibit.table3.rows
    checks: list[Check] = []
    sentences, numbers = [], []
    for target, of in by_target(rows).items():
        methods = [arm for arm in distinct(of, "arm") if is_pattern_method(arm)]
        found = {method: compared(of, target, method, "random", names=(method, "random rows")) for method in methods}
        known = {method: each[0] for method, each in found.items() if each}
        if not known:
            continue
        checks += known.values()
        better = [method for method, check in known.items() if check.holds]
        worse = [method for method, check in known.items() if check.holds is False]
        text = f"on {target} {len(better)} of {len(known)} pattern methods beat random rows"
        text += f" ({listed(better)})" if better else ""
        text += f", {listed(worse)} did worse" if worse else ""
        sentences.append(text)
        numbers.append(f"{target}: {means(of, ('random', *known))}")
    if not checks:
        return Evidence()
    text = "; ".join(sentences)
    here = f"{text[:1].upper()}{text[1:]}.{counted(checks)}"
    return Evidence(checks=checks, here=here, number="; ".join(numbers))


CHAPTER = Chapter(
    name="selection",
    exhibit=Exhibit,
    plan=plan,
    collect=collect,
    title="Application 2: select rows from a pool",
    question="When nobody knows the basic tasks: does it help to train first on the rows of a pool whose patterns are "
    "most like the target's?",
    views=_views,
    claim=Claim(
        text="Rows of a pool whose patterns are like the target's are better to train on than random ones.",
        evidence=_evidence,
        meanings={
            "replicates": "Here too, rows selected by patterns are better to train on than random ones.",
            "mixed": "Some ways to compare patterns help; others do not, or cannot be told from chance.",
            "does not": "Here selecting by patterns is no better than choosing at random.",
        },
    ),
)
