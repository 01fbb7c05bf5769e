"""``python -m support.run_chain CACHE WORKERS``: the chain of jobs in a process that a test can kill."""

from __future__ import annotations

import sys

from headprint.study.pipeline import Cache, run
from support.study_work import chain

if __name__ == "__main__":
    run([chain()], Cache(sys.argv[1]), workers=int(sys.argv[2]))
