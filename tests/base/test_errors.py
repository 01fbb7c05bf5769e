"""Hints for misspelled names."""

from headprint.base.errors import did_you_mean


def test_the_nearest_name_is_suggested_or_all_are_listed():
    assert did_you_mean("meth", ["code", "math"]) == "did you mean 'math'?"
    assert did_you_mean("xyz", (name for name in ("code", "math"))) == "choose from code, math"
    assert did_you_mean("xyz", ["code"], otherwise="see the docs") == "see the docs"
    assert did_you_mean("xyz", []) == "choose from none"
