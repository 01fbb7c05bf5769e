"""TRL's trainer, with the loss of every step added up. Needs the ``train`` extra: import it where it is used."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from trl import SFTTrainer

from headprint.training.callbacks import LossMeter


class MeteredTrainer(SFTTrainer):  # type: ignore[misc]  # TRL is untyped here
    """An ``SFTTrainer`` that shows each step's loss to a meter, and does nothing else differently.

    Args:
        args: For ``SFTTrainer``.
        meter: Gets the losses. Among the callbacks, too, its sum is saved in checkpoints.
        options: For ``SFTTrainer``.
    """

    def __init__(self, *args: Any, meter: LossMeter, **options: Any) -> None:
        super().__init__(*args, **options)
        self._meter = meter

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """Train on one micro-batch."""
        loss: Tensor = super().training_step(*args, **kwargs)
        self._meter.add(loss)
        return loss
