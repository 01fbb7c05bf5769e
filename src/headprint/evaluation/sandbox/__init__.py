"""Run Python that a model wrote, in a process that can compute and nothing else.

:func:`run` starts the process and reads its :class:`Result`; ``child.py`` is what runs inside it.
"""

from headprint.evaluation.sandbox.runner import Result, run

__all__ = ["Result", "run"]
