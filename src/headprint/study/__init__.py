"""The whole paper by one command: a config says what to do, chapters say which jobs each claim needs, a pipeline does
those that are not done yet, and the results become verdicts, tables, pictures and one page.

:func:`study` runs one, :func:`read_results` reads what it left, and :func:`explain_study` says what a run would do.
"""

from headprint.study.config import StudyConfig
from headprint.study.results import Results, read_results
from headprint.study.run import explain_study, study

__all__ = ["Results", "StudyConfig", "explain_study", "read_results", "study"]
