"""A study's figures as pictures and as CSV files, from the descriptions that the page is made of, too."""

from headprint.study.render.csv import write_tables
from headprint.study.render.png import write_pictures

__all__ = ["write_pictures", "write_tables"]
