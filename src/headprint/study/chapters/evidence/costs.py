"""What scoring a pool for one target costs: floating-point operations, and seconds here."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from headprint.base.files import read_json
from headprint.study.chapters.chapter import Planned
from headprint.study.chapters.evidence.scoring import SCORES
from headprint.study.chapters.evidence.settings import ALL_WEIGHTS
from headprint.study.pipeline import Cache
from headprint.study.records import STRICT

_FORWARD = 2
"""Operations for each parameter and token of a forward pass, the unit of a selector's costs."""

_TRAINING = 3 * _FORWARD


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Cost:
    """Of one method.

    Attributes:
        method: A selector.
        flops: To score the pool for one target; None where the selector does not say.
        share: The same as a share of one training pass over the pool.
        seconds: That scoring took here, without the extraction that levels and head gradients share.
    """

    method: str
    flops: float | None
    share: float | None
    seconds: float


def costs_of(planned: Planned, cache: Cache) -> list[Cost]:
    """What every method cost that scored the pool for some target."""
    from headprint.analysis.selection import selector_info
    from headprint.base.options import TuningOptions, from_keywords

    jobs = planned.jobs
    pool = read_json(cache.of(jobs["", "", "", "pool"]) / "measured.json")
    parameters = cache.json(planned.run.described)["parameters"]
    tuning = from_keywords(TuningOptions, None, {})
    found = []
    for (method, target, _, kind), job in jobs.items():
        if kind != "scores":
            continue
        query = read_json(cache.of(jobs["", target, "", "query"]) / "measured.json")
        tokens: float | None
        if method == ALL_WEIGHTS:
            tokens = _TRAINING / _FORWARD * (pool["tokens"] + query["tokens"])
        elif (cost := selector_info(method).cost) is None:
            tokens = None
        else:
            rows = tuning.tuning_steps * tuning.tuning_batch
            tokens = cost.pool * pool["tokens"] + cost.query * query["tokens"]
            tokens += cost.step_rows * rows * query["tokens"] / query["rows"]
        found.append(
            Cost(
                method=method,
                flops=None if tokens is None else _FORWARD * parameters * tokens,
                share=None if tokens is None else _FORWARD * tokens / (_TRAINING * pool["tokens"]),
                seconds=read_json(cache.of(job) / SCORES)["seconds"],
            )
        )
    return found
