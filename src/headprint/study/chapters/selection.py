"""Application 2: train on the rows of a pool that are most like the target before a task with few rows (Table 3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, TypeAlias, cast, get_args

import numpy as np
from pydantic import AfterValidator
from pydantic.dataclasses import dataclass

from headprint.analysis.selection import SELECTORS, selector_info
from headprint.base.errors import InputError, did_you_mean
from headprint.base.files import read_json_lines, write_json, write_json_lines
from headprint.base.options import SelectionLevels, american
from headprint.patterns.pattern_set import PatternSet
from headprint.study.bounds import Count, Distinct
from headprint.study.chapters.arms import Arms, arms_figure, collect_arms, evidence_of
from headprint.study.chapters.chapter import Chapter, Claim, Jobs, Planned, View
from headprint.study.chapters.common import distinct
from headprint.study.chapters.two_steps import RANDOM, WITHOUT_STEP_1, TwoSteps, two_step_jobs
from headprint.study.groundwork import BaseConfig, Run, TaskConfig
from headprint.study.groundwork.models import Model
from headprint.study.pipeline import Cache, Job, Needs, stage
from headprint.study.records import STRICT
from headprint.study.verdicts import Evidence

CONTROL = "control"
"""The method of the positive control: rows that people would choose."""

Method: TypeAlias = Annotated[str, AfterValidator(american)]
"""``control`` or a selector; before it levels, if not the raw ones, as in ``change-cosine``."""

CHOICE = 25
"""A pool is at least so many times as large as what is taken of it: otherwise every selection holds much the same."""

_OF_LEVELS = ("correlation", "cosine")


def levels_of(method: Method) -> tuple[SelectionLevels, str]:
    """Which levels a method compares, and by which selector."""
    kind, _, selector = method.partition("-")
    return (cast(SelectionLevels, kind), selector) if kind in get_args(SelectionLevels) else ("raw", method)


def in_words(method: Method) -> str:
    """What an arm trains on first."""
    if method == RANDOM:
        return "rows drawn from the pool first"
    if method == CONTROL:
        return "rows of the pool with the target's skills, or else more of the target's own, first"
    kind, selector = levels_of(method)
    what = f"{selector} of {kind} levels" if selector in _OF_LEVELS else selector
    return f"rows of the pool that are nearest to the target's by {what} first"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Selections(TwoSteps):
    """Table 3: rows of a pool in step 1, the target's few rows in step 2.

    Attributes:
        pool: Where the pool is, as a task.
        pool_rows: Rows of it that are scored, at least 25 times ``rows``.
        rows: Step 1 of every arm has the supervised tokens of so many average rows of the pool.
        methods: How rows are chosen: selectors (:data:`headprint.analysis.selection.SELECTORS`), which look for what is
            like the rows that the target is trained on. Before ``correlation`` and ``cosine`` other levels than the raw
            ones may stand, as in ``standardized-cosine`` and ``change-correlation``. ``control`` is the positive
            control: rows tagged with the target's skills, or more of the target's own where the pool has no such tags.
        skills: Tags in the pool's column ``skills`` that a target needs, by target; if not given, its ``parts``.
    """

    pool: TaskConfig
    pool_rows: Count = 1000
    rows: Count = 40
    methods: Distinct[Method] = field(default_factory=lambda: [RANDOM, "correlation", "head-gradient", CONTROL])
    skills: dict[str, list[str]] = field(default_factory=dict)

    def check(self, config: BaseConfig) -> None:
        """Refuse targets that are not there, unknown methods, and a pool that leaves little to choose.

        Raises:
            InputError: With the place in the config.
        """
        self.check_steps(config, "selections")
        config.check_tasks("selections.skills", self.skills)
        for method in self.methods:
            if method != CONTROL and levels_of(method)[1] not in SELECTORS:
                known = [*SELECTORS.names(), CONTROL]
                raise InputError(f"selections.methods: there is no method {method!r}; {did_you_mean(method, known)}")
        if self.pool_rows < CHOICE * self.rows:
            raise InputError(
                f"selections.rows: {self.rows} rows of a pool of {self.pool_rows} leave little to choose: take "
                f"{self.pool_rows // CHOICE or 1} at most, or set pool_rows to {CHOICE * self.rows}"
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Table3(Arms):
    """Every method of selecting, for every target."""

    title: str = "Rows selected from a pool before a task with few rows"
    caption: str = (
        "Held-out loss and accuracy of the target. Step 1 of every method has as many supervised tokens and optimizer "
        "steps; step 2 is the same for all."
    )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    table3: Table3


@stage(version=2)
def selection(
    out: Path, needs: Needs, *, model: Model, method: Method, rows: int, target: str, skills: list[str], seed: int
) -> None:
    """Choose the rows of step 1, by one method: the tokens of ``rows`` average rows of the pool.

    Writes ``train.jsonl`` and ``selection.json``.
    """
    from headprint.analysis.selection import select

    sets = {name: PatternSet.load(folder / "set") for name, folder in needs.items() if (folder / "set").is_dir()}
    tokens = round(rows * float(sets["pool"].tokens.mean()))
    if method == CONTROL:
        picked = _control(needs, sets["pool"], tokens, str(model["model"]), target, skills, seed)
    else:
        kind, selector = levels_of(method)
        of = " after" if kind == "change" else ""
        chosen = select(
            sets[f"query{of}"],
            sets[f"pool{of}"],
            tokens=tokens,
            method=selector,
            levels=kind,
            query_before=sets["query"] if of else None,
            pool_before=sets["pool"] if of else None,
            query_rows=needs["target"] / "train.jsonl",
            pool_rows=needs["rows"] / "train.jsonl",
            model=model["model"],
            seed=seed,
        )
        pool = list(read_json_lines(needs["rows"] / "train.jsonl"))
        picked = [pool[index] for index in chosen.indices]
    # In random order: the first rows of an epoch are not to be those that fit best.
    order = np.random.default_rng([seed, 2]).permutation(len(picked))
    tags = Counter(skill for row in picked for skill in row.get("skills") or [])
    share = {skill: count / len(picked) for skill, count in tags.most_common()} or None
    write_json_lines(out / "train.jsonl", [picked[index] for index in order])
    write_json(out / "selection.json", {"share": share})


def _control(
    needs: Needs, pool: PatternSet, tokens: int, model: str, target: str, skills: Sequence[str], seed: int
) -> list[dict[str, Any]]:
    """Rows of the pool with most of the target's skills; where none has any, rows of the target."""
    from headprint.analysis.mixture import mix, token_size
    from headprint.analysis.selection import ScoreMatrix, choose

    rows = list(read_json_lines(needs["rows"] / "train.jsonl"))
    shared = np.array([len(set(skills).intersection(row.get("skills") or [])) for row in rows], np.float32)
    if not shared.any():
        own = {target: list(read_json_lines(needs["target"] / "reserve.jsonl"))}
        return mix(own, {target: tokens}, seed=seed, oversample=True, size=token_size(model)).rows
    ties = np.random.default_rng([seed, 3]).random(len(rows), np.float32)
    scores = ScoreMatrix((shared + ties)[None], [CONTROL], pool.ids, pool.tokens)
    return [rows[index] for index in choose(scores, tokens=tokens).indices]


def plan(run: Run) -> Jobs:
    """For every target and method, the choice of rows and the evaluation after both steps."""
    given = run.config.block(Selections)
    if given is None:
        return {}
    rows = run.sources.pool(given.pool, run.seed, given.pool_rows)
    read = {selector_info(levels_of(method)[1]).needs for method in given.methods if method != CONTROL}
    sketch = 0 if "gradients" in read else None
    before = run.levels("pool", rows, sketch=sketch)
    jobs: dict[tuple[str, ...], Job] = {}
    for target in given.targets:
        chosen = {}
        for method in given.methods:
            query = run.levels(target, run.rows[target], sketch=sketch)
            needs = {"rows": rows, "target": run.rows[target], "pool": before, "query": query}
            if levels_of(method)[0] == "change":
                start = run.tuned[target]
                needs["query after"] = run.levels(f"{target} after {target}", run.rows[target], start=start)
                needs["pool after"] = run.levels(f"pool after {target}", rows, start=start)
            chosen[method, 0] = selection.job(
                run.label(target, method),
                needs,
                **run.model,
                method=method,
                rows=given.rows,
                target=target,
                skills=given.skills.get(target) or run.config.tasks[target].parts or [],
                seed=run.seed,
            )
        jobs |= two_step_jobs(run, given, target, chosen)
    return jobs


def collect(planned: Sequence[Planned], cache: Cache) -> Exhibit:
    """All methods for all targets."""
    methods = list(dict.fromkeys(arm for each in planned for _, arm, *_ in each.jobs if arm not in WITHOUT_STEP_1))
    words = WITHOUT_STEP_1 | {method: in_words(method) for method in methods}
    return Exhibit(table3=Table3(**collect_arms(planned, cache, words)))


def _views(exhibit: Exhibit, seeds: Sequence[int]) -> list[View]:
    table = exhibit.table3
    return [arms_figure("table3", table.title, table.caption, table, seeds)]


def _evidence(exhibit: Exhibit) -> Evidence:
    """Selected rows beat random rows of the pool, for each method and target."""
    rows = exhibit.table3.rows
    methods = [arm for arm in distinct(rows, "arm") if arm not in (*WITHOUT_STEP_1, RANDOM, CONTROL)]
    names = {RANDOM: "random rows", CONTROL: "rows with the target's skills"}
    return evidence_of(rows, [(method, RANDOM) for method in methods], CONTROL, names=names)


CHAPTER = Chapter(
    name="selection",
    exhibit=Exhibit,
    plan=plan,
    collect=collect,
    title="Application 2: select rows from a pool",
    question="When nobody knows the basic tasks: does it help to train first on the rows of a pool that are most like "
    "the target's, by patterns or by head gradients?",
    views=_views,
    claim=Claim(
        text="Rows of a pool that are most like the target's are better to train on than random ones.",
        evidence=_evidence,
        meanings={
            "replicates": "Here too, selected rows are better to train on than random ones.",
            "mixed": "Some ways to select help; others do not, or cannot be told from chance.",
            "does not": "Here selecting is no better than choosing at random.",
        },
    ),
)
