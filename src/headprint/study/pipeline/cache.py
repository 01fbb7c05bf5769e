"""Where results of jobs lie: one folder a job, which is complete if its record is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headprint.base.files import read_json, read_json_lines
from headprint.study.pipeline.jobs import Job

DONE = "done.json"
"""The record that is written last: stage, version, label, settings, needs, seconds, versions of libraries."""


class Cache:
    """A folder of results, each in a folder named by its job's id."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def of(self, job: Job) -> Path:
        """The folder of a job's result."""
        return self.folder / job.id

    def has(self, job: Job) -> bool:
        """Whether a job is done."""
        return (self.of(job) / DONE).is_file()

    def seconds(self, job: Job) -> float:
        """How long a job that is done took."""
        return float(read_json(self.of(job) / DONE)["seconds"])

    def json(self, job: Job) -> Any:
        """The JSON that a job left, in the file named after its stage."""
        return read_json(self.of(job) / f"{job.stage.name}.json")

    def lines(self, job: Job, name: str) -> list[Any]:
        """The values of a JSON Lines file that a job left."""
        return list(read_json_lines(self.of(job) / name))

    def records(self, stage: str) -> Iterator[dict[str, Any]]:
        """The records of all results that some version of a stage left."""
        for path in sorted(self.folder.glob(f"{stage}-v*/{DONE}")):
            if path.parent.suffix != ".part":
                yield read_json(path)
