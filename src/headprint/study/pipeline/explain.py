"""What a run would do: each job, what its key is made of, who reads it, and why it is not in the cache."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from headprint.base.settings import differences
from headprint.study.pipeline.cache import Cache
from headprint.study.pipeline.jobs import Job, in_order


@dataclass(frozen=True)
class Explanation:
    """One job of the graph.

    Attributes:
        job: Which.
        readers: Exhibits that are made of its result, directly or through other jobs.
        cached: Whether it is done.
        reason: Why it is not done; empty if it is.
    """

    job: Job
    readers: tuple[str, ...]
    cached: bool
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return {
            "id": self.job.id,
            "stage": self.job.stage.name,
            "version": self.job.stage.version,
            "label": self.job.label,
            "key": self.job.key,
            "ignores": sorted(self.job.stage.ignores),
            "needs": {name: need.id for name, need in self.job.needs.items()},
            "readers": list(self.readers),
            "cached": self.cached,
            "reason": self.reason,
        }


def explain(wanted: Mapping[str, Iterable[Job]], cache: Cache) -> list[Explanation]:
    """Explain every job that is needed.

    Args:
        wanted: Jobs by the name of what is made of their results.
        cache: Where results are.

    Returns:
        One explanation a job, each after those of the jobs that it needs.
    """
    readers: dict[str, list[str]] = {}
    for name, jobs in wanted.items():
        for job in in_order(jobs):
            readers.setdefault(job.id, []).append(name)
    records: dict[str, list[dict[str, Any]]] = {}
    found = []
    for job in in_order(job for jobs in wanted.values() for job in jobs):
        cached = cache.has(job)
        reason = ""
        if not cached:
            stage = job.stage.name
            if stage not in records:
                records[stage] = list(cache.records(stage))
            reason = _reason(job, records[stage])
        found.append(Explanation(job, tuple(readers[job.id]), cached, reason))
    return found


def _reason(job: Job, records: list[dict[str, Any]]) -> str:
    """How a job differs from the result in the cache that is most like it, of the same label if there is one."""
    found = [(record["label"] != job.label, _differences(job, record)) for record in records]
    if not found:
        return "never done"
    _, nearest = min(found, key=lambda each: (each[0], len(each[1])))
    return "; ".join(nearest) or "not done yet"


def _differences(job: Job, record: Mapping[str, Any]) -> list[str]:
    there = {name: value for name, value in record["settings"].items() if name not in job.stage.ignores}
    found = differences(there, job.key)
    if record["version"] != job.stage.version:
        found.append(f"its code is version {record['version']} there and {job.stage.version} here")
    needs = {name: need.id for name, need in job.needs.items()}
    for name in sorted(needs.keys() | record["needs"].keys()):
        if needs.get(name) != record["needs"].get(name):
            found.append(f"it reads another {name} ({job.needs[name]})" if name in needs else f"it reads no {name}")
    return found
