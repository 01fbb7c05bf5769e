"""The laboratory's tasks, by name."""

from headprint.lab.splits import Split
from headprint.lab.tasks.arith import ARITH
from headprint.lab.tasks.base import Kind, Row, Task
from headprint.lab.tasks.code import CODE
from headprint.lab.tasks.continuation import CONTINUE
from headprint.lab.tasks.continue_code import CONTINUE_CODE
from headprint.lab.tasks.continue_coref import CONTINUE_COREF
from headprint.lab.tasks.coref import COREF
from headprint.lab.tasks.coref_code import COREF_CODE
from headprint.lab.tasks.coref_math import COREF_MATH
from headprint.lab.tasks.facts import FACTS_TASK
from headprint.lab.tasks.facts_code import FACTS_CODE
from headprint.lab.tasks.facts_coref import FACTS_COREF
from headprint.lab.tasks.math import MATH
from headprint.lab.tasks.math_code import MATH_CODE
from headprint.lab.tasks.pool import POOL

__all__ = ["TASKS", "Kind", "Row", "Split", "Task"]

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        MATH,
        CODE,
        ARITH,
        FACTS_TASK,
        CONTINUE,
        COREF,
        MATH_CODE,
        FACTS_COREF,
        FACTS_CODE,
        COREF_MATH,
        COREF_CODE,
        CONTINUE_CODE,
        CONTINUE_COREF,
        POOL,
    )
}
"""All tasks by name."""
