"""What a study does: a YAML file that may extend others, read strictly into dataclasses. The blocks of single chapters
are beside their code, in :mod:`headprint.study.chapters`.
"""

from headprint.study.chapters.ablation import Ablations
from headprint.study.chapters.fits import Fits
from headprint.study.chapters.mixture import Mixtures
from headprint.study.chapters.selection import Selections
from headprint.study.config.files import builtin
from headprint.study.config.schema import StudyConfig, load, parse
from headprint.study.groundwork.settings import ModelConfig, Sizes, TaskConfig

__all__ = [
    "Ablations",
    "Fits",
    "Mixtures",
    "ModelConfig",
    "Selections",
    "Sizes",
    "StudyConfig",
    "TaskConfig",
    "builtin",
    "load",
    "parse",
]
