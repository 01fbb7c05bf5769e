"""What each job of a study does: one function a kind, from settings and finished folders to a folder.

rows          a task's rows, dealt                      train.jsonl reserve.jsonl probe.jsonl test.jsonl
model         what the model is                         model.json
train         SFT with tracking                         model/ tracking/TASK/step-*/ trained.json
evaluation    answers and held-out loss                 evaluation.json answers.jsonl
levels        levels of a pool's rows                   set/
patterns      table 1, figures 1 and 5 of one run       patterns.json
correlations  figure 2                                  correlations.json
fit           figure 4                                  fit.json
mixture       rows of a first stage, table 2            train.jsonl mixture.json
selection     rows of a first stage, table 3            train.jsonl selection.json
ablation      heads switched off                        ablation.json
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from headprint.base.errors import InputError
from headprint.base.files import without_nan
from headprint.patterns.pattern_set import Pattern, PatternSet
from headprint.study import rows as data
from headprint.study.config import TaskConfig

Settings = dict[str, Any]
Needs = dict[str, Path]


def rows(settings: Settings, needs: Needs, out: Path) -> None:
    """Deal a task's rows, and keep the parts that are asked for."""
    task = TaskConfig(**settings["task"])
    sizes = {name: settings.get(name, 0) for name in ("train", "reserve", "probe", "test")}
    dealt = data.deal(task, settings["name"], seed=settings["seed"], **sizes)
    for part in settings["parts"]:
        data.write(dealt[part], out / f"{part}.jsonl")


def model(settings: Settings, needs: Needs, out: Path) -> None:
    """Describe a model, and refuse one whose heads cannot be measured before anything is trained."""
    from headprint import models
    from headprint.models.heads import locate

    loaded, _ = _load(settings, None)
    heads = locate(loaded)
    described = {
        "id": settings["model"]["model"],
        "layers": heads.layers,
        "heads": heads.heads,
        "parameters": sum(parameter.numel() for parameter in loaded.parameters()),
        "kernel": models.kernel(loaded),
        "fingerprint": models.fingerprint(loaded),
        "device": str(models.input_device(loaded)),
    }
    _write(out / "model.json", described)


def train(settings: Settings, needs: Needs, out: Path) -> None:
    """Fine-tune, and follow the patterns of the task's probes."""
    from headprint.training.fine_tuning import train as fine_tune

    given, start = settings["model"], needs.get("start")
    track = None
    if "probe" in needs:
        probes = {settings["task"]: str(needs["probe"] / "probe.jsonl")}
        track = {"probes": probes, "every": settings["track"], "batch_tokens": settings["batch_tokens"]}
    fine_tune(
        str(start / "model") if start else given["model"],
        str(needs["rows"] / "train.jsonl"),
        out,
        sft={**settings["sft"], "seed": settings["seed"]},
        lora=None if start else given["lora"],  # an adapter's own training goes on
        track=track,
        dtype=None if given["dtype"] == "auto" else given["dtype"],
        attn_implementation=given["attn_implementation"],
        trust_remote_code=given["trust_remote_code"],
    )


def evaluation(settings: Settings, needs: Needs, out: Path) -> None:
    """Judge answers, and take the held-out loss."""
    from headprint.evaluation.evaluation import evaluate

    loaded, tokenizer = _load(settings, needs.get("start"))
    outcome = evaluate(
        loaded,
        tokenizer,
        needs["rows"] / "test.jsonl",
        scorer=settings["scorer"],
        max_new_tokens=settings["max_new_tokens"],
        batch_tokens=settings["batch_tokens"],
    )
    outcome.write(out / "answers.jsonl")
    _write(out / "evaluation.json", outcome.to_dict())


def levels(settings: Settings, needs: Needs, out: Path) -> None:
    """Measure the rows of a pool."""
    from headprint.measure.extraction import extract

    loaded, tokenizer = _load(settings, needs.get("start"))
    pool = needs["rows"] / "train.jsonl"
    extract(loaded, tokenizer, pool, out=out / "set", batch_tokens=settings["batch_tokens"])


def patterns(settings: Settings, needs: Needs, out: Path) -> None:
    """Table 1, figure 1 and figure 5 of one task."""
    from headprint.analysis.comparison import shape, shape_change, trajectory

    steps = tracked(needs["train"])
    sets = list(steps.values())
    bootstrap = _bootstrap(settings)
    followed = trajectory(sets, bootstrap=bootstrap)
    moved = [each.value for each in followed.mse]
    trained = json.loads((needs["train"] / "trained.json").read_text())
    first, last = sets[0].pattern(), sets[-1].pattern()
    found = {
        "n": len(sets[0]),
        "table1": shape_change(sets[0], sets[-1], bootstrap=bootstrap).to_dict(),
        "maps": {"before": plain(first), "after": plain(last), "change": plain(last - first)},
        "steps": list(steps),
        **followed.to_dict(),
        "gini": [shape(each, bootstrap=bootstrap).gini.to_dict() for each in sets],
        "loss": [float(np.mean(each.losses)) for each in sets],
        "patterns": [plain(each.pattern()) for each in sets],
        "half_way": next(step for step, x in zip(steps, moved, strict=True) if x >= moved[-1] / 2),
        "train_loss": trained["log"],
    }
    _write(out / "patterns.json", found)


def correlations(settings: Settings, needs: Needs, out: Path) -> None:
    """Figure 2: task by task, before, after, and of the changes."""
    from headprint.analysis.comparison import task_correlations

    pairs = {task: _ends(folder) for task, folder in needs.items()}
    found = task_correlations(
        {task: before for task, (before, _) in pairs.items()},
        {task: after for task, (_, after) in pairs.items()},
        bootstrap=_bootstrap(settings),
    )
    _write(out / "correlations.json", found.to_dict())


def fit(settings: Settings, needs: Needs, out: Path) -> None:
    """Figure 4: a target's change composed of those of the basis, all subsets ranked, and a basis discovered."""
    from headprint.analysis.decomposition.fit import MOST_RANKED, Options, decompose, discover

    pairs = {task: _ends(folder) for task, folder in needs.items()}
    target = settings["target"]
    basis = {task: pairs[task] for task in settings["basis"]}
    options = Options(
        method=settings["method"], relative=settings["relative"], null=settings["permutations"], seed=settings["seed"]
    )
    common: dict[str, Any] = {"name": target, "options": options, "bootstrap": _bootstrap(settings)}
    found = decompose(pairs[target], basis, subsets=len(basis) <= MOST_RANKED, **common).to_dict()
    discovered = None
    if settings["method"] == "nnls":
        catalogue = {task: pair for task, pair in pairs.items() if task != target}
        discovered = discover(pairs[target], catalogue, **common).to_dict()
    _write(out / "fit.json", {"decomposition": found, "discovery": discovered})


def mixture(settings: Settings, needs: Needs, out: Path) -> None:
    """The rows of a first stage (table 2); every arm but the mixture itself takes as many tokens as it did."""
    from headprint.analysis.mixture import mix, mixture_budgets, random_budgets, token_size

    arm, seed, basis = settings["arm"], settings["seed"], settings["basis"]
    sources = {task: data.read(needs[task] / "reserve.jsonl") for task in basis}
    weights, note = _weights(needs["fit"] / "fit.json") if "fit" in needs else ({}, None)
    size = token_size(_tokenizer(settings["model"]))
    if arm == "mixture":
        budgets = mixture_budgets(weights, settings["rows"])
        mixed = mix(sources, budgets, seed=seed, oversample=True)
    else:
        tokens = json.loads((needs["mixture"] / "mixture.json").read_text())["tokens"]
        if arm == "random":
            available = {task: len(source) for task, source in sources.items()}
            counted = random_budgets(available, settings["rows"], seed=seed, oversample=True)
            means = {task: np.mean([size(row) for row in _as_rows(source)]) for task, source in sources.items()}
            weights = {task: float(count * means[task]) for task, count in counted.items()}
        elif arm == "permuted":
            order = np.random.default_rng([seed, 1]).permutation(len(basis))
            weights = {basis[i]: weights[basis[j]] for i, j in enumerate(order)}
        elif arm == "named":
            weights = dict.fromkeys(settings["parts"], 1.0)
            sources = {task: sources[task] for task in settings["parts"]}
        else:  # longer
            sources = {settings["target"]: data.read(needs["target"] / "train.jsonl")}
            weights = {settings["target"]: 1.0}
        budgets = mixture_budgets(weights, tokens)
        mixed = mix(sources, budgets, seed=seed, oversample=True, size=size)
    total = sum(size(row) for row in _as_rows(mixed.rows))
    data.write(mixed.rows, out / "train.jsonl")
    counts = dict(Counter(row["task"] for row in mixed.rows))
    _write(
        out / "mixture.json",
        {"arm": arm, "weights": weights, "note": note, "rows": len(mixed.rows), "tokens": int(total), "counts": counts},
    )


def selection(settings: Settings, needs: Needs, out: Path) -> None:
    """The rows of a first stage (table 3): those of the pool that are most like the target, by one method."""
    from headprint.analysis.selection import SelectionInputs, choose, score

    before = PatternSet.load(needs["before"] / "set")
    first, last = _ends(needs["target"])
    kind, _, method = settings["method"].partition("-")
    if kind == "random":
        scores = score(SelectionInputs(first.pattern(), before, seed=settings["seed"]), "random")
    elif kind == "change":
        after = PatternSet.load(needs["after"] / "set")
        change = last.pattern() - first.pattern()
        scores = score(SelectionInputs(change, after, pool_before=before, levels="change"), method)
    else:
        scores = score(SelectionInputs(first.pattern(), before, levels=cast(Any, kind)), method)
    chosen = choose(scores, tokens=round(settings["rows"] * float(before.tokens.mean())))
    pool = data.read(needs["rows"] / "train.jsonl")
    picked = [pool[index] for index in chosen.indices]
    # In random order: the first rows of an epoch are not to be those that fit best.
    order = np.random.default_rng([settings["seed"], 2]).permutation(len(picked))
    data.write([picked[index] for index in order], out / "train.jsonl")
    skills = Counter(skill for row in picked for skill in row.get("skills") or [])
    share = {skill: count / len(picked) for skill, count in skills.most_common()} or None
    _write(out / "selection.json", {"rows": len(picked), "tokens": chosen.tokens, "share": share})


def ablation(settings: Settings, needs: Needs, out: Path) -> None:
    """Switch off the most active, the most changed and random heads of a tuned model."""
    from headprint.evaluation import ablate, head_means

    loaded, tokenizer = _load(settings, needs["start"])
    before, after = (each.pattern() for each in _ends(needs["start"]))
    known = int(np.isfinite(after.values).sum())
    ks = [k for k in settings["ks"] if k <= known]
    rankings = {"active": after.top(max(ks)), "changed": (after - before).top(max(ks), by="absolute")}
    means = None
    if settings["mode"] == "mean":
        means = head_means(loaded, tokenizer, data.read(needs["probe"] / "probe.jsonl"))
    found = ablate(
        loaded,
        tokenizer,
        needs["rows"] / "test.jsonl",
        rankings=rankings,
        ks=ks,
        mode=settings["mode"],
        means=means,
        random=settings["random"],
        layer_matched=settings["same_layers"],
        seed=settings["seed"],
        scorer=settings["scorer"],
        scored_draws=1,  # answers take far longer than losses
        limit=settings["limit"],
        max_new_tokens=settings["max_new_tokens"],
        batch_tokens=settings["batch_tokens"],
    )
    _write(out / "ablation.json", found.to_dict())


def tracked(folder: Path) -> dict[int, PatternSet]:
    """The pattern sets that a training left, by step.

    Raises:
        InputError: There are fewer than two.
    """
    found = sorted(folder.glob("tracking/*/step-*"))
    if len(found) < 2:
        raise InputError(f"{folder}: the training left {len(found)} pattern sets, 2 are wanted: more steps, or track")
    return {int(path.name.removeprefix("step-")): PatternSet.load(path) for path in found}


def plain(pattern: Pattern) -> list[list[float | None]]:
    """A pattern as JSON-able rows; None where there is no head."""
    return [[float(f"{x:.5g}") if np.isfinite(x) else None for x in row] for row in pattern.values.tolist()]


def _ends(folder: Path) -> tuple[PatternSet, PatternSet]:
    sets = list(tracked(folder).values())
    return sets[0], sets[-1]


def _weights(path: Path) -> tuple[dict[str, float], str | None]:
    """The weights of a fit; equal ones, and a note, if the fit found none."""
    found = {task: each["value"] for task, each in json.loads(path.read_text())["decomposition"]["weights"].items()}
    if any(weight > 0 for weight in found.values()):
        return found, None
    return dict.fromkeys(found, 1.0), "the fit gave no task a positive weight: equal shares were taken"


def _load(settings: Settings, start: Path | None) -> tuple[Any, Any]:
    """The study's model, or what a training left."""
    from headprint import models

    given = settings["model"]
    return models.load_model(
        str(start / "model") if start else given["model"],
        dtype=given["dtype"],
        attn_implementation=given["attn_implementation"],
        trust_remote_code=given["trust_remote_code"],
    )


def _tokenizer(given: Mapping[str, Any]) -> Any:
    from headprint.models import load_tokenizer

    return load_tokenizer(given["model"])


def _as_rows(source: list[dict[str, Any]]) -> Any:
    from headprint.data.rows import read_rows

    return read_rows(source)


def _bootstrap(settings: Settings) -> Any:
    from headprint.analysis.bootstrap import Bootstrap

    return Bootstrap(draws=settings["draws"], seed=settings["seed"])


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(without_nan(content), ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
