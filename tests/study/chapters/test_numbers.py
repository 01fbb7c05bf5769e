"""The numbers of the tiny study's exhibits, against plain formulas on what its jobs left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from headprint.base.files import read_json, read_json_lines
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


def test_the_equation_is_the_named_pairs_fit_written_out(found: Any) -> None:
    (equation,) = found["composition"].fig3.equations
    maps = {each.task: np.array(each.change) for each in found["spread"].fig1.maps}
    nnls = next(fit for fit in found["composition"].fig4.fits if fit.method == "nnls")
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
    for table, chosen in ((found["mixture"].table2, "mixture"), (found["selection"].table3, "raw-cosine")):
        arms = {row.arm: row for row in table.rows}
        assert list(table.arms) == list(arms) == ["base", "target", chosen]
        for arm, phase in (("base", "before"), ("target", "after")):
            assert arms[arm].loss == rates["math_code", phase].loss
            assert arms[arm].tokens == 0
        assert arms[chosen].tokens > 0
        assert arms[chosen].loss != arms["target"].loss


def test_all_arms_take_equal_tokens(cache: Cache) -> None:
    """The rows of every arm's step 1; tokens counted by hand."""
    from headprint.models import load_model

    _, tokenizer = load_model("lab")
    arms = ["random", "mixture", "permuted", "named", "longer"]
    jobs = plan(parse(changed("mixtures.arms", arms))).chapters["mixture"][0].jobs
    chosen = {arm: jobs["math_code", arm, "choice"] for arm in arms}
    run_jobs(chosen.values(), cache)
    tokens, tasks, weights, longest = {}, {}, {}, 0
    for arm, job in chosen.items():
        said, mixed = read_json(cache.of(job) / "mixture.json"), list(read_json_lines(cache.of(job) / "train.jsonl"))
        counted = [len(tokenizer(row["completion"]).input_ids) + 1 for row in mixed]  # and the end of text
        assert said["tokens"] == pytest.approx(sum(counted), abs=len(mixed))
        assert said["rows"] == len(mixed)
        tokens[arm], weights[arm], tasks[arm] = said["tokens"], said["weights"], {row["task"] for row in mixed}
        longest = max(longest, *counted)
        assert said["counts"] == {name: sum(row["task"] == name for row in mixed) for name in tasks[arm]}
    for arm in arms:  # each task's share comes as near as its rows allow
        assert abs(tokens[arm] - tokens["mixture"]) <= longest / 2 * len(tasks[arm])
    assert tasks["named"] == {"math", "code"}
    assert tasks["longer"] == {"math_code"}
    assert sorted(weights["mixture"].values()) == sorted(weights["permuted"].values())
    assert cache.json(chosen["mixture"])["rows"] == 40


def test_a_selection_takes_the_tokens_of_k_average_rows(own: Plan, cache: Cache) -> None:
    chosen = own.chapters["selection"][0].jobs["math_code", "raw-cosine", "choice"]
    pool = PatternSet.load(cache.of(chosen.needs["before"]) / "set")
    target = PatternSet.load(next(cache.of(own.runs[0].tuned["math_code"]).glob("tracking/*/step-*0")))
    query = np.abs(target.values).mean(0).ravel()
    levels = np.abs(pool.values).reshape(len(pool), -1)
    cosine = levels @ query / np.linalg.norm(levels, axis=1) / np.linalg.norm(query)
    best = np.argsort(-cosine)
    said = cache.json(chosen)
    picked = {row["id"] for row in cache.lines(chosen, "train.jsonl")}
    assert picked == {pool.ids[i] for i in best[: said["rows"]]}
    budget = 8 * pool.tokens.mean()
    assert abs(said["tokens"] - budget) <= max(pool.tokens)
