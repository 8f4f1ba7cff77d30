"""The simulators of one worker process.

This module is imported in every worker, so it does not import torch.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ddpm_edu.tasks import ObservationMode, Task

if TYPE_CHECKING:
    from ddpm_edu.simulation.env import ManipulationEnv

GO_ON, REST = -1, -2
"""What a slot is told instead of a seed: play the chunk of actions, or do nothing."""


class Status(NamedTuple):
    """What has become of each slot's episode.

    Attributes:
        observations: {key: (slots, To, ...)}, the last To of each slot; the first one stands repeated after
            a reset.
        running: bool (slots,).
        success: bool (slots,).
        length: the control steps so far (slots,).
    """

    observations: dict[str, np.ndarray]
    running: np.ndarray
    success: np.ndarray
    length: np.ndarray


class SimulatorSlots:
    """Several simulators of one process; a step of each is a whole chunk of Ta actions, or a new episode.

    Three things about it serve speed. A chunk is one message instead of Ta. A slot begins its next episode
    in the same step in which the others play on. And simulators share a process, because the libraries alone
    fill half a gigabyte in each.
    """

    def __init__(self, task: Task, observation: ObservationMode, slots: int, n_obs_steps: int) -> None:
        self.task, self.mode, self.slots, self.n_obs_steps = task, observation, slots, n_obs_steps
        self.keys = task.observation(observation)
        self.simulators: list[ManipulationEnv | None] = [None] * slots  # made when they are needed
        self.history: list[deque[dict[str, np.ndarray]] | None] = [None] * slots
        self.running = np.zeros(slots, bool)
        self.success = np.zeros(slots, bool)
        self.length = np.zeros(slots, np.int64)

    def __call__(self, told: tuple[np.ndarray, np.ndarray]) -> Status:
        """Advance every slot by a chunk, or begin its next episode.

        Args:
            told: seeds (slots,) and actions (slots, Ta, Da); further slots rest. A seed >= 0 begins that
                episode, `GO_ON` plays the chunk and stops early where the episode ends, `REST` does nothing.
        """
        for slot, (seed, actions) in enumerate(zip(*told, strict=True)):
            if seed >= 0:
                self._begin(slot, int(seed))
            elif seed == GO_ON:
                self._play(slot, actions)
        return self.status()

    def _begin(self, slot: int, seed: int) -> None:
        simulator = self.simulators[slot]
        if simulator is None:
            from ddpm_edu.simulation.env import make_env

            simulator = self.simulators[slot] = make_env(self.task, self.mode)
        observation, _ = simulator.reset(seed=seed)
        self.history[slot] = deque([observation] * self.n_obs_steps, maxlen=self.n_obs_steps)
        self.running[slot], self.success[slot], self.length[slot] = True, False, 0

    def _play(self, slot: int, actions: np.ndarray) -> None:
        simulator, history = self.simulators[slot], self.history[slot]
        for action in actions:  # (Da,)
            observation, _, terminated, truncated, info = simulator.step(action)
            history.append(observation)
            self.length[slot] += 1
            self.success[slot] = bool(info["success"])
            if terminated or truncated:
                self.running[slot] = False
                return

    def status(self) -> Status:
        """What has become of each slot's episode so far."""
        observations = {}
        for key in self.keys:
            dtype = np.uint8 if key.type == "rgb" else np.float32
            stacked = np.zeros((self.slots, self.n_obs_steps, *key.shape), dtype)
            for slot, history in enumerate(self.history):
                if history is not None:
                    stacked[slot] = [observation[key.name] for observation in history]
            observations[key.name] = stacked
        return Status(observations, self.running, self.success, self.length)
