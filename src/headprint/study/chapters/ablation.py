"""Do active heads matter? After fine-tuning, heads are switched off and the task is measured again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic.dataclasses import dataclass

from headprint.base.errors import InputError
from headprint.base.files import read_json_lines, write_json
from headprint.study.bounds import Count, CountOrNone, Distinct
from headprint.study.chapters.chapter import Chapter, Claim, Jobs, Planned, View
from headprint.study.chapters.common import BY_MODEL, MODEL, distinct, examples, groups, spread_of, where
from headprint.study.estimates import Estimate, average, mean_of, number, values_of
from headprint.study.groundwork import BaseConfig, Run
from headprint.study.groundwork.models import Model, load
from headprint.study.groundwork.models import model as describe
from headprint.study.groundwork.training import before_and_after
from headprint.study.pipeline import Cache, Job, Needs, stage
from headprint.study.records import STRICT
from headprint.study.verdicts import CHANCE, Check, Evidence, judged_share, listed, sentence
from headprint.study.views import Cell, Chooser, Column, Drawing, Figure, Lines, Panel, Series, Table, details

Mode: TypeAlias = Literal["zero", "mean"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Ablations:
    """Does the level of a head matter causally? After SFT, heads are switched off.

    Attributes:
        tasks: Which tasks' models; None: all.
        ks: How many heads.
        modes: ``zero``, ``mean``.
        random: Draws of as many random heads.
        layer_matched: Draws of as many random heads of the same layers as the chosen ones.
        rows: Test rows whose loss is measured; None: all.
    """

    tasks: Distinct[str] | None = None
    ks: Distinct[Count] = field(default_factory=lambda: [1, 2, 4, 8, 16])
    modes: Distinct[Mode] = field(default_factory=lambda: ["zero", "mean"])
    random: CountOrNone = 20
    layer_matched: CountOrNone = 20
    rows: Count | None = None

    def check(self, config: BaseConfig) -> None:
        """Refuse tasks that are not there.

        Raises:
            InputError: With the place in the config.
        """
        config.check_tasks("ablations.tasks", self.tasks)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AblationRow:
    """One choice of heads in one run.

    Attributes:
        model: Name in the config.
        task: What the model was fine-tuned on.
        seed: Of the run.
        mode: What the heads give instead: nothing, or their mean.
        choice: ``active``, ``changed``, ``random``, or ``same layers as active``.
        k: Heads.
        draws: Sets of heads: 1, or as many as were drawn at random.
        loss: Rise of the loss, in nats.
        accuracy: Change of accuracy; None where answers were not scored.
        p: Share of random sets, this one included, that hurt at least as much.
        p_layer_matched: The same against random heads of the same layers.
    """

    model: str
    task: str
    seed: int
    mode: Mode
    choice: str
    k: int
    draws: int
    loss: Estimate
    accuracy: Estimate | None
    p: float | None
    p_layer_matched: float | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Intact:
    """The same model with all of its heads."""

    model: str
    task: str
    seed: int
    loss: float | None
    accuracy: float | None
    n: int


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeanAblation:
    """Runs of one choice, averaged over seeds."""

    model: str
    task: str
    mode: Mode
    k: int
    choice: str
    seeds: int
    loss: Estimate | None
    accuracy: Estimate | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Ablated:
    """Every choice of heads of every run."""

    title: str = "Heads switched off"
    caption: str = (
        "Rise of the loss (nats) and change of accuracy after fine-tuning when the k most active, the k "
        "most changed, k random heads, or as many random heads of the same layers give nothing (zero) or their mean."
    )
    rows: list[AblationRow]
    intact: list[Intact]
    summary: list[MeanAblation]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Exhibit:
    """What this chapter adds to the results."""

    ablation: Ablated


@stage(version=1, ignores={"batch_tokens"})
def ablation(
    out: Path,
    needs: Needs,
    *,
    model: Model,
    scorer: str | None,
    mode: Mode,
    ks: list[int],
    random: int,
    layer_matched: int,
    limit: int | None,
    seed: int,
    max_new_tokens: int,
    batch_tokens: int | None,
) -> None:
    """Switch off the most active, the most changed and random heads of a tuned model.

    Writes ``ablation.json``.
    """
    from headprint.evaluation import ablate, head_means

    loaded, tokenizer = load(model, needs["start"])
    before, after = (each.pattern() for each in before_and_after(needs["start"]))
    known = int(np.isfinite(after.values).sum())
    _check_ks(ks, known, str(model["model"]))
    ks = [k for k in ks if k <= known]
    rankings = {"active": after.top(max(ks)), "changed": (after - before).top(max(ks), by="absolute")}
    means = None
    if mode == "mean":
        means = head_means(loaded, tokenizer, list(read_json_lines(needs["probe"] / "probe.jsonl")))
    found = ablate(
        loaded,
        tokenizer,
        needs["rows"] / "test.jsonl",
        rankings=rankings,
        ks=ks,
        mode=mode,
        means=means,
        random=random,
        layer_matched=layer_matched,
        seed=seed,
        scorer=scorer,
        scored_draws=1,  # answers take far longer than losses
        limit=limit,
        max_new_tokens=max_new_tokens,
        batch_tokens=batch_tokens,
    )
    write_json(out / "ablation.json", found.to_dict())


def _check_ks(ks: Sequence[int], heads: int, model: str) -> None:
    if min(ks) > heads:
        raise InputError(f"ablations.ks: {model} has {heads} heads: switch off fewer than {min(ks)}")


def check_heads(jobs: Sequence[Job], cache: Cache) -> None:
    """Refuse numbers of heads that a model does not have, as soon as the models are known.

    Args:
        jobs: Of which the ablations are looked at; the models are described.
        cache: Where the descriptions are.

    Raises:
        InputError: All numbers are larger than the model's.
    """
    described = {job.settings["model"]["model"]: cache.json(job) for job in jobs if job.stage is describe}
    for job in jobs:
        if job.stage is ablation:
            model = described[job.settings["model"]["model"]]
            _check_ks(job.settings["ks"], model["layers"] * model["heads"], model["id"])


def plan(run: Run) -> Jobs:
    """For every task and mode, the heads of its tuned model switched off."""
    given = run.config.block(Ablations)
    if given is None:
        return {}
    jobs: dict[tuple[str, ...], Job] = {}
    for task in given.tasks or run.config.tasks:
        for mode in given.modes:
            needs = {"start": run.tuned[task], "rows": run.tests[task]}
            needs |= {"probe": run.probes[task]} if mode == "mean" else {}
            jobs[task, mode] = ablation.job(
                run.label(task, mode),
                needs,
                **run.answering,
                scorer=run.config.tasks[task].scorer,
                mode=mode,
                ks=given.ks,
                random=given.random,
                layer_matched=given.layer_matched,
                limit=given.rows,
                seed=run.seed,
            )
    return jobs


def collect(planned: Sequence[Planned], cache: Cache) -> Exhibit:
    """All choices of heads of all runs."""
    rows: list[AblationRow] = []
    intact: dict[tuple[str, str, int], Intact] = {}
    for each in planned:
        for (task, _), job in each.jobs.items():
            found = cache.json(job)
            of: dict[str, Any] = {"model": each.run.name, "task": task, "seed": each.run.seed}
            for row in found["rows"]:
                rows.append(
                    AblationRow(
                        **of,
                        mode=found["mode"],
                        choice=_choice(row["ranking"]),
                        k=row["k"],
                        draws=row["draws"],
                        loss=row["loss"],
                        accuracy=row["accuracy"],
                        p=row["p_value"],
                        p_layer_matched=row["p_value_layer_matched"],
                    )
                )
            whole = Intact(
                **of,
                loss=found["intact"]["loss"]["value"],
                accuracy=found["intact"]["accuracy"] and found["intact"]["accuracy"]["value"],
                n=found["n"],
            )
            intact.setdefault((each.run.name, task, each.run.seed), whole)
    summary = [
        MeanAblation(
            model=own[0].model,
            task=own[0].task,
            mode=own[0].mode,
            k=own[0].k,
            choice=own[0].choice,
            seeds=len(own),
            loss=average([row.loss for row in own]),
            accuracy=average([row.accuracy for row in own]),
        )
        for own in groups(rows, "model", "task", "mode", "k", "choice").values()
    ]
    return Exhibit(ablation=Ablated(rows=rows, intact=list(intact.values()), summary=summary))


def _choice(name: str) -> str:
    """What the draws from the same layers as a ranking's heads are called here."""
    kind, _, ranking = name.partition(":")
    return f"same layers as {ranking}" if ranking else kind


_DRAWS = round(1 / CHANCE) - 1
"""Random sets of heads below which p cannot reach :data:`CHANCE`."""

_MEASURES = {"loss": "rise of the loss (nats)", "accuracy": "change of the accuracy"}


def _views(exhibit: Exhibit, seeds: Sequence[int]) -> list[View]:
    ablated = exhibit.ablation
    choosers = [BY_MODEL, Chooser(label="Heads are set to", on_paper="all"), Chooser(label="Measure")]
    panels = _panels(ablated.summary)
    return [
        Figure(
            name="ablation",
            title=ablated.title,
            caption=ablated.caption,
            drawing=Drawing(panels=panels, choosers=choosers) if panels else None,
            tables=[_table(ablated), details("Every run", ablated.rows), details("All heads on", ablated.intact)],
            notes=[examples(row.n for row in ablated.intact), spread_of(seeds)],
        )
    ]


def _panels(summary: Sequence[MeanAblation]) -> list[Panel]:
    panels = []
    for (model, mode), cells in groups(summary, "model", "mode").items():
        for measure, label in _MEASURES.items():
            known = [row for row in cells if getattr(row, measure)]
            plots = [
                Lines(
                    title=task,
                    series=[
                        Series(name=choice, points=[getattr(row, measure) for row in of], x=[row.k for row in of])
                        for (choice,), of in groups(where(known, task=task), "choice").items()
                    ],
                    xlabel="heads switched off",
                    ylabel=label,
                    percent=measure == "accuracy",
                )
                for task in distinct(known, "task")
            ]
            if plots:
                panels.append(Panel(plots=plots, at=(model, mode, label)))
    return panels


def _table(ablated: Ablated) -> Table:
    lines: list[list[Cell]] = []
    for row in ablated.summary:
        same = {name: getattr(row, name) for name in ("model", "task", "mode", "k", "choice")}
        seeds = where(ablated.rows, **same)
        chances: list[Cell] = []
        for name in ("p", "p_layer_matched"):
            known = values_of(getattr(each, name) for each in seeds)
            chances += [min(known, default=None), max(known, default=None)]
        lines.append([row.model, row.task, row.mode, row.k, row.choice, row.loss, row.accuracy, *chances])
    columns = [
        MODEL,
        Column("Task"),
        Column("Set to"),
        Column("Heads"),
        Column("Which"),
        Column("Rise of the loss", 3),
        Column("Change of accuracy", percent=True, signed=True),
        Column("Smallest p against random", 3),
        Column("Largest p", 3),
        Column("Smallest p against the same layers", 3),
        Column("Largest p, same layers", 3),
    ]
    note = "Over seeds the smallest and the largest p are given."
    return Table(title="Every comparison", columns=columns, rows=lines, keys=5, note=note)


def _evidence(exhibit: Exhibit) -> Evidence:
    """Switching off the most active, and the most changed, heads hurts more than random heads do, in 3/4 of the cases.

    Cases with fewer than 19 random sets of heads are not counted: their p cannot reach 0.05.
    """
    rows, summary = exhibit.ablation.rows, exhibit.ablation.summary
    draws = {_case(row): row.draws for row in where(rows, choice="random")}
    checks: list[Check] = []
    sentences, numbers = [], []
    for choice, label in (("active", "most active"), ("changed", "most changed")):
        chances = values_of(row.p for row in where(rows, choice=choice) if draws.get(_case(row), 0) >= _DRAWS)
        if not chances:
            continue
        worse = sum(p <= CHANCE for p in chances)
        cases = f"{worse} of {len(chances)} comparisons"
        text = f"switching off the {label} heads hurt more than random heads (p ≤ {CHANCE}) in {cases}"
        checks.append(Check(text, judged_share(worse, len(chances))))
        sentences.append(text)
        numbers.append(f"{label}: {number(worse / len(chances), percent=True)} of comparisons")
        among = values_of(row.p_layer_matched for row in where(rows, choice=choice))
        if among:
            worse = sum(p <= CHANCE for p in among)
            text = f"more than random heads of the same layers in {worse} of {len(among)}"
            checks.append(Check(f"{label}: {text}", judged_share(worse, len(among))))
            sentences.append(text)
            numbers[-1] += f" ({number(worse / len(among), percent=True)} against the same layers)"
    if not checks:
        few = f"Too few random sets of heads for p ≤ {CHANCE}: at least {_DRAWS} are needed."
        return Evidence(here=few if rows else None)
    means = {choice: mean_of(values_of(row.loss for row in where(summary, choice=choice))).value for choice in _CHOICES}
    known = [f"{number(mean)} ({choice})" for choice, mean in means.items() if mean is not None]
    end = f" Mean rise of the loss in nats, over tasks and numbers of heads: {listed(known)}." if known else ""
    end += " By chance 5 % of the comparisons would pass; they are not independent."
    return Evidence(checks=checks, here=sentence("; ".join(sentences)) + end, number="; ".join(numbers))


_CHOICES = ("active", "changed", "random")


def _case(row: AblationRow) -> tuple[str, str, int, str, int]:
    """What a choice of heads and the random sets beside it have in common."""
    return (row.model, row.task, row.seed, row.mode, row.k)


CHAPTER = Chapter(
    name="ablation",
    exhibit=Exhibit,
    plan=plan,
    collect=collect,
    title="Ablation: do active heads matter?",
    question="A level is a product with a gradient, not an effect. Here heads are switched off: does the task suffer "
    "more without the heads that are most active, or that changed most, than without as many random ones?",
    views=_views,
    claim=Claim(
        text="A head's level matters causally: without the most active heads a task suffers most (open in the paper).",
        evidence=_evidence,
        meanings={
            "replicates": "The level is a usable guide: the most active heads carry more of the task than others.",
            "mixed": "The level tells something about which heads matter, but not reliably.",
            "does not": "A high level does not mean that the task needs the head.",
        },
        is_question=True,
    ),
)
