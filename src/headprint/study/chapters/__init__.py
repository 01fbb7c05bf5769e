"""One file for each claim of the paper, and for each question of our own: its settings in the config, the work of its
jobs, which jobs it needs, the types of its numbers, and what a reader sees of them. :data:`CHAPTERS` lists them in the
order of the report; a new one is a file and a line here.
"""

from typing import Any

from headprint.study.chapters import (
    ablation,
    base_rates,
    composition,
    early_change,
    mixture,
    selection,
    similarity,
    spread,
)
from headprint.study.chapters.chapter import Chapter
from headprint.study.chapters.evidence import calibration, mixtures, selecting, surface, transfer

_EXPERIMENTS: tuple[Chapter[Any], ...] = (
    calibration.CHAPTER,
    transfer.CHAPTER,
    mixtures.CHAPTER,
    surface.CHAPTER,
    selecting.CHAPTER,
)

CHAPTERS: tuple[Chapter[Any], ...] = (
    base_rates.CHAPTER,
    spread.CHAPTER,
    similarity.CHAPTER,
    composition.CHAPTER,
    early_change.CHAPTER,
    mixture.CHAPTER,
    selection.CHAPTER,
    ablation.CHAPTER,
    *_EXPERIMENTS,
)

EXPERIMENTS = frozenset(chapter.name for chapter in _EXPERIMENTS)
"""Names of the chapters that read no tracked fine-tunes."""

__all__ = ["CHAPTERS", "EXPERIMENTS", "Chapter"]
