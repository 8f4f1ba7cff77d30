"""Processes of simulators, stepped together as the rows of one batch."""

from __future__ import annotations

import math

import numpy as np

from ddpm_edu.simulation.slots import REST, SimulatorSlots, Status
from ddpm_edu.simulation.workers import Workers
from ddpm_edu.tasks import ObservationMode, Task


class Simulators(Workers):
    """Several simulators in each of some processes, seen as rows of one batch. A context manager.

    Args:
        task: what is simulated.
        observation: "low_dim" or "image".
        workers: processes.
        rows: simulators in all, at least as many as processes; each process holds its share.
        n_obs_steps: To.
    """

    def __init__(
        self, task: Task, observation: ObservationMode, workers: int, rows: int, n_obs_steps: int
    ) -> None:
        # The rows of the batch belong to worker 0, then to worker 1, ...; few episodes spread over all.
        self._parts = np.array_split(np.arange(rows), workers)
        self.fill_order = sorted(range(rows), key=lambda row: self._place(row)[::-1])
        # Until its first episode a row shows zeros, as an empty slot does.
        self._status = SimulatorSlots(task, observation, rows, n_obs_steps).status()
        slots = math.ceil(rows / workers)
        super().__init__(workers, SimulatorSlots, (task, observation, slots, n_obs_steps))

    def _place(self, row: int) -> tuple[int, int]:
        """A row's worker, and which of its slots it is."""
        worker = next(number for number, part in enumerate(self._parts) if row <= part[-1])
        return worker, row - self._parts[worker][0]

    def step(self, seed: np.ndarray, action: np.ndarray) -> tuple[Status, dict[int, np.ndarray]]:
        """Advance every row.

        Args:
            seed: for each row a seed, `GO_ON` or `REST` (rows,); see `SimulatorSlots`.
            action: (rows, Ta, Da).

        Returns:
            The status by row, and {process: its rows} of those that were lost in doing so, with their
            episodes. Such a process is to be replaced.
        """
        told = {
            number: (seed[part], action[part])
            for number, part in enumerate(self._parts)
            if (seed[part] != REST).any()
        }
        answers = self.each(told)
        for number, answer in answers.items():
            part = self._parts[number]
            for key, value in answer.observations.items():
                self._status.observations[key][part] = value[: len(part)]
            for by_row, value in zip(self._status[1:], answer[1:], strict=True):
                by_row[part] = value[: len(part)]
        return self._status, {number: self._parts[number] for number in told if number not in answers}
