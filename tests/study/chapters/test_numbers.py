"""The numbers of the tiny study's exhibits, against plain formulas on what its jobs left."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from headprint.patterns.pattern_set import PatternSet
from headprint.study.config import parse
from headprint.study.pipeline import Cache
from headprint.study.pipeline import run as run_jobs
from headprint.study.plan import Plan, plan
from headprint.study.results import Results
from support.tiny_study import changed, tiny

pytestmark = pytest.mark.slow


@pytest.fixture
def own(planned: Plan) -> Plan:
    """The jobs of the tiny study itself, of one seed."""
    return plan(tiny())


@pytest.fixture
def found(results: Results) -> Any:
    """Its exhibits by chapter."""
    return results.exhibits


def test_base_rates_are_shares_of_right_answers(found: Any, own: Plan, cache: Cache) -> None:
    rows = found["base_rates"].base_rates.rows
    assert len(rows) == 2 * 4
    for row in rows:
        job = own.chapters["base_rates"][0].jobs[row.task, row.phase]
        answers = cache.lines(job, "answers.jsonl")
        assert row.n == len(answers) == 8
        assert row.accuracy.value == sum(answer["right"] for answer in answers) / 8
        assert row.loss.value == pytest.approx(sum(answer["loss"] for answer in answers) / 8)
        assert row.train_rows == (32 if row.task == "math_code" else 64)
    losses = {(row.task, row.phase): row.loss.value for row in rows}
    assert all(losses[name, "after"] < losses[name, "before"] for name in tiny().tasks)


def test_patterns_are_of_the_probes(found: Any, own: Plan, cache: Cache) -> None:
    """Table 1, figures 1, 2 and 5 against the tracked sets."""
    means: dict[str, dict[int, Any]] = {}
    for name, tuned in own.runs[0].tuned.items():
        sets = {int(p.name[5:]): PatternSet.load(p) for p in sorted(cache.of(tuned).glob("tracking/*/step-*"))}
        assert list(sets) == [0, 1, 2, 4]
        probes = cache.lines(tuned.needs["probe"], "probe.jsonl")
        assert list(sets[0].ids) == [row["id"] for row in probes]
        means[name] = {step: np.abs(each.values).mean(0, dtype=np.float64) for step, each in sets.items()}
    for row in found["spread"].table1.rows:
        for shape, step in ((row.before, 0), (row.after, 4)):
            x = np.sort(means[row.task][step].ravel())
            gini = sum(abs(a - b) for a in x for b in x) / (2 * len(x) ** 2 * x.mean())
            assert shape.gini.value == pytest.approx(gini, rel=1e-4)
    for each in found["spread"].fig1.maps:
        change = means[each.task][4] - means[each.task][0]
        np.testing.assert_allclose(each.change, change, rtol=1e-3, atol=1e-3 * np.abs(change).max())
    for each in found["early_change"].fig5.runs:
        steps = means[each.task]
        assert each.rows_seen == [0, 8, 16, 32]
        assert len(each.train_loss) == 4
        assert len(each.patterns) == 4
        for step, r, mse in zip(each.steps, each.correlation, each.mse, strict=True):
            assert r.value == pytest.approx(np.corrcoef(steps[0].ravel(), steps[step].ravel())[0, 1], abs=1e-5)
            assert mse.value == pytest.approx(((steps[step] - steps[0]) ** 2).mean(), rel=1e-3, abs=1e-15)
    (matrices,) = found["similarity"].fig2.matrices
    flat = {
        "before": [means[name][0].ravel() for name in matrices.tasks],
        "change": [(means[name][4] - means[name][0]).ravel() for name in matrices.tasks],
    }
    for kind, vectors in flat.items():
        np.testing.assert_allclose(getattr(matrices, kind).value, np.corrcoef(vectors), atol=1e-4)


def test_the_named_pair_stands_where_its_fit_does(found: Any) -> None:
    for fit in found["composition"].fig4.fits:
        pairs = [each for each in fit.decomposition.subsets if len(each.tasks) == 2]
        assert len(pairs) == 3
        (named,) = (each for each in pairs if set(each.tasks) == {"math", "code"})
        assert fit.named == ["math", "code"]
        assert fit.named_rank == 1 + sum(each.r2 > named.r2 for each in pairs)
    fits = found["composition"].fig4.fits
    assert {(fit.reading, fit.method) for fit in fits} == {
        (reading, method) for reading in ("change", "rate", "gradient") for method in ("nnls", "lstsq")
    }
    assert len({fit.decomposition.r2.value for fit in fits if fit.method == "lstsq"}) == 3


def test_the_equation_is_the_named_pairs_fit_written_out(found: Any) -> None:
    (equation,) = found["composition"].fig3.equations
    maps = {each.task: np.array(each.change) for each in found["spread"].fig1.maps}
    nnls = next(fit for fit in found["composition"].fig4.fits if (fit.method, fit.reading) == ("nnls", "change"))
    pair = next(each for each in nnls.decomposition.subsets if set(each.tasks) == {"math", "code"})
    assert equation.weights == pair.weights
    np.testing.assert_allclose(
        equation.fitted, pair.weights["math"] * maps["math"] + pair.weights["code"] * maps["code"], rtol=1e-12
    )
    residual = maps["math_code"] - np.array(equation.fitted)
    r2 = 1 - (residual**2).sum() / ((maps["math_code"] - maps["math_code"].mean()) ** 2).sum()
    assert equation.r2 == pytest.approx(r2, abs=1e-4)


def test_the_target_arm_is_the_tuned_model(found: Any) -> None:
    rates = {(row.task, row.phase): row for row in found["base_rates"].base_rates.rows}
    tables = (
        (found["mixture"].table2, ["mixture", "gradients"]),
        (found["selection"].table3, ["random", "raw-cosine", "head-gradient"]),
    )
    for table, chosen in tables:
        arms = {row.arm: row for row in table.rows}
        assert list(table.arms) == list(arms) == ["base", "target", *chosen]
        for arm, phase in (("base", "before"), ("target", "after")):
            assert arms[arm].loss == rates["math_code", phase].loss
            assert arms[arm].tokens == arms[arm].steps == 0
        for arm in chosen:
            assert arms[arm].tokens > 0
            assert arms[arm].loss != arms["target"].loss


def test_all_arms_take_equal_tokens_and_steps(cache: Cache) -> None:
    """The rows of every arm's step 1; tokens counted by hand."""
    from headprint.models import load_model

    _, tokenizer = load_model("lab")
    arms = ["random", "uniform", "mixture", "permuted", "named", "longer"]
    content = changed("mixtures.arms", arms)
    content["mixtures"] |= {"permutations": 2}
    jobs = plan(parse(content)).chapters["mixture"][0].jobs
    chosen = {(arm, draw): job for (_, arm, draw, what), job in jobs.items() if what == "choice"}
    assert list(chosen) == [*((arm, "0") for arm in arms[:4]), ("permuted", "1"), *((arm, "0") for arm in arms[4:])]
    run_jobs(chosen.values(), cache)
    weights, longest = {}, 0
    per_row = {task: [] for task in ("math", "code", "arith")}  # of the rows that are drawn from

    def tokens(rows: list[dict[str, Any]]) -> list[int]:
        return [
            len(tokenizer(row["completion"], add_special_tokens=False).input_ids) + 1 for row in rows
        ]  # and the end

    for task, known in per_row.items():
        known += tokens(cache.lines(chosen["random", "0"].needs[task], "reserve.jsonl"))
    budget = 40 * np.mean([np.mean(each) for each in per_row.values()])
    for of, job in chosen.items():
        mixed, said = cache.lines(job, "train.jsonl"), cache.json(job)
        own = {task: sum(tokens([row for row in mixed if row["task"] == task])) for task in said["counts"]}
        longest = max(longest, *tokens(mixed))
        assert said["counts"] == {task: sum(row["task"] == task for row in mixed) for task in own}
        assert abs(sum(own.values()) - budget) <= longest / 2 * len(own)
        weights[of] = said["weights"]
        for task, weight in weights[of].items():  # each task's share comes as near as its rows allow
            assert abs(own.get(task, 0) - budget * weight / sum(weights[of].values())) <= longest / 2 + 1
    assert set(weights["named", "0"]) == {"math", "code"}
    assert set(weights["longer", "0"]) == {"math_code"}
    assert weights["random", "0"] == {task: sum(each) for task, each in per_row.items()}
    arrangements = [tuple(weights[of].values()) for of in (("mixture", "0"), ("permuted", "0"), ("permuted", "1"))]
    assert len(set(map(tuple, map(sorted, arrangements)))) == 1
    fits = {job.settings["reading"]: job for name, job in chosen["mixture", "0"].needs.items() if name == "fit"}
    assert set(fits) == {"change"}
    assert len(set(arrangements)) == min(3, len(set(itertools.permutations(arrangements[0]))))
    trained = {arm: jobs["math_code", arm, "0", "evaluation"].needs["start"].needs["start"] for arm in arms}
    assert {job.settings["steps"] for job in trained.values()} == {5}


def test_step_1_takes_the_rows_once_in_the_steps_that_all_arms_take(found: Any, own: Plan, cache: Cache) -> None:
    table = found["mixture"].table2
    gradient = next(fit for fit in found["composition"].fig4.fits if (fit.method, fit.reading) == ("nnls", "gradient"))
    (by_gradients,) = [row for row in table.rows if row.arm == "gradients"]
    fitted = {task: weight.value for task, weight in gradient.decomposition.mixture.shares.items()}
    assert by_gradients.weights == pytest.approx(fitted, abs=1e-12)
    (row,) = [row for row in table.rows if row.arm == "mixture"]
    chosen = own.chapters["mixture"][0].jobs["math_code", "mixture", "0", "choice"]
    assert row.steps == 5  # 40 rows in batches of 8
    assert abs(row.rows - len(cache.lines(chosen, "train.jsonl"))) <= 2
    assert row.counts is not None
    assert all(each.steps == 1 for each in found["selection"].table3.rows if each.rows)


def test_a_selection_takes_the_tokens_of_k_average_rows(own: Plan, cache: Cache) -> None:
    """By cosine with the target's mean over the rows to train on: of patterns, and of gradients in the pool's units."""
    jobs = own.chapters["selection"][0].jobs
    chosen = jobs["math_code", "raw-cosine", "0", "choice"]
    pool, target = (PatternSet.load(cache.of(chosen.needs[name]) / "set") for name in ("pool", "query"))
    trained = cache.lines(own.runs[0].rows["math_code"], "train.jsonl")
    assert list(target.ids) == [row["id"] for row in trained]
    unit = np.sqrt((pool.sketches.astype(np.float64) ** 2).mean(axis=(0, 3), keepdims=True))
    queries = {
        "raw-cosine": (np.abs(target.values).mean(0), np.abs(pool.values)),
        "head-gradient": ((target.sketches / unit).mean(0), pool.sketches / unit),
    }
    for method, (query, rows) in queries.items():
        query, rows = query.ravel(), rows.reshape(len(pool), -1)
        cosine = rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
        best = [pool.ids[i] for i in np.argsort(-cosine)]
        choice = jobs["math_code", method, "0", "choice"]
        picked = {row["id"] for row in cache.lines(choice, "train.jsonl")}
        assert picked == set(best[: len(picked)])
        size = dict(zip(pool.ids, pool.tokens, strict=True))
        assert abs(sum(size[name] for name in picked) - 4 * pool.tokens.mean()) <= max(pool.tokens) / 2


@pytest.mark.parametrize("tagged", [True, False])
def test_the_control_takes_rows_with_the_targets_skills_or_its_own(
    tagged: bool, cache: Cache, results: Results
) -> None:
    content = changed("selections.methods", ["control"])
    content["selections"]["skills"] = {"math_code": ["math", "code"] if tagged else ["none of them"]}
    (chosen,) = (job for key, job in plan(parse(content)).chapters["selection"][0].jobs.items() if key[-1] == "choice")
    # The pool's levels are those of the tiny study, which has sketches in them, too.
    levels = plan(tiny()).chapters["selection"][0].jobs["math_code", "raw-cosine", "0", "choice"].needs["pool"]
    chosen = replace(chosen, needs={**chosen.needs, "pool": levels})
    run_jobs([chosen], cache)
    rows = cache.lines(chosen, "train.jsonl")
    if tagged:
        share = {
            name: sum(name in row["skills"] for row in cache.lines(chosen.needs["rows"], "train.jsonl"))
            for name in ("math", "code")
        }
        assert min(share.values()) > 0
        assert all(set(row["skills"]) & {"math", "code"} for row in rows)
        assert set(rows[0]["skills"]) == {"math", "code"}
    else:
        assert {row["task"] for row in rows} == {"math_code"}
