"""The page that a person reads: one HTML file that needs nothing else.

write(results, path)                 one study
write_comparison(a, b, path)         two studies side by side
"""

from headprint.study.report.page import write, write_comparison

__all__ = ["write", "write_comparison"]
