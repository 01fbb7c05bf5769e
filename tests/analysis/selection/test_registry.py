"""The table of selectors."""

from __future__ import annotations

import pytest

from headprint.analysis.selection import SELECTORS, Cost, selector_info


@pytest.mark.parametrize("name", SELECTORS.names())
def test_every_selector_says_what_it_needs_and_costs(name):
    found = selector_info(name)
    assert isinstance(found.cost, Cost)
    free = found.needs in ("nothing", "rows")
    assert free == (found.cost == Cost())
    assert SELECTORS.load(name).__doc__


def test_one_that_says_nothing_is_taken_to_need_levels(monkeypatch):
    monkeypatch.setitem(SELECTORS._builtin, "bare", "builtins:len")
    assert selector_info("bare").needs == "levels"
    assert selector_info("bare").cost is None
