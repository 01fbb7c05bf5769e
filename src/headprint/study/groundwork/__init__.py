"""What all chapters build on: models and tasks as a config has them, a task's rows, fine-tuning with its probes
tracked, evaluation, and the jobs of one model and seed.
"""

from headprint.study.groundwork.run import Run
from headprint.study.groundwork.settings import BaseConfig, ModelConfig, Sizes, TaskConfig

__all__ = ["BaseConfig", "ModelConfig", "Run", "Sizes", "TaskConfig"]
