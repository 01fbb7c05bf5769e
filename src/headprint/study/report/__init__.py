"""The page that a person reads: one HTML file that needs nothing else, of one study or of two side by side."""

from headprint.study.report.page import write, write_comparison

__all__ = ["write", "write_comparison"]
