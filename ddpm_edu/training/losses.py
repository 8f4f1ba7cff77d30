"""The losses of the last steps: read seldom, because a GPU has to be waited for, and none is overlooked."""

from __future__ import annotations

import math

import torch
from accelerate import Accelerator

from ddpm_edu.errors import TrainingError


class Losses:
    """Keeps the loss of every step until the log's next entry.

    Args:
        accelerator: of several processes; all of them must `read` at the same step.
    """

    def __init__(self, accelerator: Accelerator):
        self.read_already: list[float] = []
        self._accelerator = accelerator
        self._waiting: list[torch.Tensor] = []

    def add(self, loss: torch.Tensor) -> None:
        """Take a step's loss (), wherever it is, without waiting for it."""
        self._waiting.append(loss)

    def read(self, step: int) -> None:
        """Wait for the losses up to `step` and look at each.

        Raises:
            TrainingError: naming the first step whose loss is not finite.
        """
        if not self._waiting:
            return
        values = torch.stack(self._waiting)  # (n,)
        if self._accelerator.num_processes > 1:
            values = self._accelerator.reduce(values.double(), reduction="mean")
        first = step - len(values) + 1
        self._waiting = []
        for number, value in enumerate(values.tolist(), start=first):
            if not math.isfinite(value):
                raise TrainingError(f"the loss is {value} at step {number}")
            self.read_already.append(value)

    def mean(self) -> float:
        """The mean of all that were read since the last call."""
        values, self.read_already = torch.tensor(self.read_already), []
        return float(values.mean())
