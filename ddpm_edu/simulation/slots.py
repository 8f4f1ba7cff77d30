"""The simulators of one worker process, as one environment that gymnasium's AsyncVectorEnv can drive.

This module is imported in every worker, so it does not import torch.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import gymnasium
import numpy as np

from ddpm_edu.errors import UserError
from ddpm_edu.tasks import ObservationMode, Task

GO_ON, REST = -1, -2
"""What a slot is told instead of a seed: play the chunk of actions, or do nothing."""


class SimulatorSlots(gymnasium.Env):
    """Several simulators of one process; a step of each is a whole chunk of Ta actions, or a new episode.

    Three things about it serve speed. A chunk is one message instead of Ta. A slot begins its next episode
    in the same step in which the others play on, where `AsyncVectorEnv.reset` would have everybody wait. And
    simulators share a process, because the libraries alone fill half a gigabyte in each.

    The action is {"seed": (slots,) int64, "action": (slots, Ta, Da)}: a seed >= 0 begins that episode,
    `GO_ON` plays the chunk and stops early where the episode ends, `REST` does nothing. The observation is
    {key: (slots, To, ...)}, the last To of each slot; the first one stands repeated after a reset. The info
    holds "running" and "success", bool (slots,), and "length", the control steps so far (slots,).
    """

    def __init__(
        self,
        task: Task,
        observation: ObservationMode,
        slots: int,
        n_obs_steps: int,
        n_action_steps: int,
        action_dim: int,
    ):
        self.task, self.mode, self.slots, self.n_obs_steps = task, observation, slots, n_obs_steps
        self.keys = task.observation(observation)
        self.observation_space = gymnasium.spaces.Dict(
            {
                key.name: gymnasium.spaces.Box(0, 255, (slots, n_obs_steps, *key.shape), np.uint8)
                if key.type == "rgb"
                else gymnasium.spaces.Box(-np.inf, np.inf, (slots, n_obs_steps, *key.shape), np.float32)
                for key in self.keys
            }
        )
        self.action_space = gymnasium.spaces.Dict(
            {
                "seed": gymnasium.spaces.Box(REST, np.iinfo(np.int64).max, (slots,), np.int64),
                "action": gymnasium.spaces.Box(
                    -np.inf, np.inf, (slots, n_action_steps, action_dim), np.float32
                ),
            }
        )
        # AsyncVectorEnv also makes one of these in the parent, to ask for the spaces: simulators come later.
        self.simulators: list[gymnasium.Env | None] = [None] * slots
        self.history: list[deque[dict[str, np.ndarray]] | None] = [None] * slots
        self.running = np.zeros(slots, bool)
        self.success = np.zeros(slots, bool)
        self.length = np.zeros(slots, np.int64)

    def step(self, action: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float, bool, bool, dict]:
        """Advance every slot by a chunk, or begin its next episode."""
        info: dict[str, Any] = {}
        try:
            for slot, seed in enumerate(action["seed"]):
                if seed >= 0:
                    self._begin(slot, int(seed))
                elif seed == GO_ON:
                    self._play(slot, action["action"][slot])
        except UserError as error:
            # Raised here, gymnasium would log a traceback around the one line that helps.
            info["error"] = error
        info |= {"running": self.running, "success": self.success, "length": self.length}
        return self._observations(), 0.0, False, False, info

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

    def _observations(self) -> dict[str, np.ndarray]:
        observations = {}
        for key, space in self.observation_space.items():
            stacked = np.zeros(space.shape, space.dtype)  # (slots, To, ...)
            for slot, history in enumerate(self.history):
                if history is not None:
                    stacked[slot] = [observation[key] for observation in history]
            observations[key] = stacked
        return observations

    def close(self) -> None:
        """Close the simulators that were made."""
        for simulator in self.simulators:
            if simulator is not None:
                simulator.close()
