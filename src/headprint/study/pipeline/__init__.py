"""A graph of jobs whose results are cached by content, run by a few worker processes.

:mod:`.jobs` says what a job is and what its cache key is made of, :mod:`.cache` where its result lies,
:mod:`.scheduler` does what is not done yet, and :mod:`.explain` says what that is and why.
"""

from headprint.study.pipeline.cache import Cache
from headprint.study.pipeline.explain import Explanation, explain
from headprint.study.pipeline.jobs import Job, Needs, Stage, in_order, stage
from headprint.study.pipeline.scheduler import DoneJob, run

__all__ = ["Cache", "DoneJob", "Explanation", "Job", "Needs", "Stage", "explain", "in_order", "run", "stage"]
