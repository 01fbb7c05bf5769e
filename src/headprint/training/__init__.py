"""Supervised fine-tuning by TRL, in a directory that can be replayed and resumed, and patterns followed along the way.

:mod:`.fine_tuning` is the command ``headprint train``: settings checked (:mod:`.sft_config`), the run's directory
(:mod:`.run_directory`), TRL's loop with our callbacks (:mod:`.callbacks`, :mod:`.trainer`). :mod:`.tracker` follows
activation patterns through any transformers ``Trainer``: at chosen steps (:mod:`.schedule`) it measures held-out rows
(:mod:`.probes`), or it reads the training batches' own levels out of the training backward (:mod:`.online`).
:mod:`.heads` trains some attention heads alone, and :mod:`.mixing` makes a target's training file of other tasks' rows.
"""

from headprint.training.fine_tuning import Trained, train
from headprint.training.mixing import mix_for
from headprint.training.schedule import Every
from headprint.training.tracker import PatternTracker

__all__ = ["Every", "PatternTracker", "Trained", "mix_for", "train"]
