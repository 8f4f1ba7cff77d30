"""The losses of the last steps: read seldom, because a GPU has to be waited for, and none is overlooked."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from accelerate import Accelerator

from ddpm_edu.config import TrainingConfig
from ddpm_edu.errors import TrainingError
from ddpm_edu.training.checkpoint import newest_step


class Losses:
    """Keeps the loss of every step until the log's next entry.

    Args:
        checkpoints: the run's folder of them, to say what is kept.
        training: the run's settings, to say which to change.
        accelerator: of several processes; all of them must `read` at the same step.
    """

    def __init__(
        self, checkpoints: Path, training: TrainingConfig, accelerator: Accelerator | None = None
    ) -> None:
        self.read_already: list[float] = []
        self._checkpoints, self._training, self._accelerator = checkpoints, training, accelerator
        self._waiting: list[torch.Tensor] = []

    def add(self, loss: torch.Tensor) -> None:
        """Take a step's loss (), wherever it is, without waiting for it."""
        self._waiting.append(loss)

    def read(self, step: int) -> None:
        """Wait for the losses up to `step` and look at each.

        Raises:
            TrainingError: naming the first step whose loss is not finite, and what to do.
        """
        if not self._waiting:
            return
        values = torch.stack(self._waiting)  # (n,)
        if self._accelerator is not None and self._accelerator.num_processes > 1:
            values = self._accelerator.reduce(values.double(), reduction="mean")
        first = step - len(values) + 1
        self._waiting = []
        for number, value in enumerate(values.tolist(), start=first):
            if not math.isfinite(value):
                raise diverged(f"the loss is {value} at step {number}", self._checkpoints, self._training)
            self.read_already.append(value)

    def mean(self) -> float:
        """The mean of all that were read since the last call."""
        values, self.read_already = torch.tensor(self.read_already), []
        return float(values.mean())


def diverged(what: str, checkpoints: Path, training: TrainingConfig) -> TrainingError:
    """The error of a run that has left the finite numbers: what happened, what is kept, what to do."""
    newest = newest_step(checkpoints)
    kept = f"{checkpoints} keeps step {newest}" if newest else "nothing was saved"
    return TrainingError(
        f"{what}, and {kept}; train again in another --run-dir with a lower --learning-rate than "
        f"{training.learning_rate:g}"
    )
