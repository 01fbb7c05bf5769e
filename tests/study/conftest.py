"""One tiny study, run once for all tests that read it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache as cached
from pathlib import Path

import pytest

from headprint.study.groundwork import run as groundwork_run
from headprint.study.pipeline import Cache
from headprint.study.plan import Plan, plan
from headprint.study.results import Results
from headprint.study.run import study
from support.tiny_study import tiny


@pytest.fixture(scope="session", autouse=True)
def _lab_hashed_once() -> Iterator[None]:
    """The laboratory's rows do not change while tests run; to make them takes most of a plan's time."""
    own = groundwork_run.fingerprint
    hashed = cached(own)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            groundwork_run,
            "fingerprint",
            lambda at, *, split: (hashed if at.startswith("lab:") else own)(at, split=split),
        )
        yield


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the tiny study."""
    return tmp_path_factory.mktemp("study") / "run"


@pytest.fixture(scope="session")
def results(home: Path) -> Results:
    """The tiny study, done."""
    return study(tiny(), home, workers=1)


@pytest.fixture
def cache(home: Path, results: Results) -> Cache:
    """What its jobs left."""
    return Cache(home / "cache")


@pytest.fixture(scope="session")
def planned() -> Plan:
    """The tiny study's jobs, with two seeds."""
    return plan(tiny(seeds=[0, 1]))
