"""How well a model does a task, and what it loses without some of its heads.

:func:`evaluate` asks a model the questions of rows, scores the answers and takes the held-out loss; a scorer says
what is right (:mod:`~headprint.evaluation.scorers`), and code that a model wrote runs in a sandbox
(:mod:`~headprint.evaluation.sandbox`). :func:`ablate` switches off the first heads of rankings and measures the rise
of the loss against random heads; :func:`ablate_heads` switches heads off around anything else.
:func:`compare_answers` compares two models' answers row by row. :func:`run_mathbench` and :func:`run_harness` run
published benchmarks.
"""

from typing import TYPE_CHECKING

from headprint.base.lazy import lazy_names

if TYPE_CHECKING:
    from headprint.evaluation.ablation import Ablation as Ablation
    from headprint.evaluation.ablation import Trial as Trial
    from headprint.evaluation.ablation import ablate as ablate
    from headprint.evaluation.evaluation import Evaluation as Evaluation
    from headprint.evaluation.evaluation import Outcome as Outcome
    from headprint.evaluation.evaluation import evaluate as evaluate
    from headprint.evaluation.harness import Score as Score
    from headprint.evaluation.harness import run_harness as run_harness
    from headprint.evaluation.interventions import ablate_heads as ablate_heads
    from headprint.evaluation.interventions import head_means as head_means
    from headprint.evaluation.mathbench import MathBench as MathBench
    from headprint.evaluation.mathbench import run_mathbench as run_mathbench
    from headprint.evaluation.paired import PairedAnswers as PairedAnswers
    from headprint.evaluation.paired import compare_answers as compare_answers
    from headprint.evaluation.scorers import SCORERS as SCORERS
    from headprint.evaluation.scorers import ChoiceScorer as ChoiceScorer
    from headprint.evaluation.scorers import Scorer as Scorer
    from headprint.evaluation.scorers import TextScorer as TextScorer
    from headprint.evaluation.scorers import check_rows as check_rows
    from headprint.evaluation.scorers import get_scorer as get_scorer

# Lazy, so that a scorer or a row can be checked without importing torch.
__getattr__, __all__ = lazy_names(
    __name__,
    {
        "ablation": ["Ablation", "Trial", "ablate"],
        "evaluation": ["Evaluation", "Outcome", "evaluate"],
        "harness": ["Score", "run_harness"],
        "interventions": ["ablate_heads", "head_means"],
        "mathbench": ["MathBench", "run_mathbench"],
        "paired": ["PairedAnswers", "compare_answers"],
        "scorers": ["SCORERS", "ChoiceScorer", "Scorer", "TextScorer", "check_rows", "get_scorer"],
    },
)
