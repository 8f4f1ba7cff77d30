"""What a rollout found, and how it is kept: JSON for the numbers, NPZ for the actions."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ddpm_edu.errors import DatasetError, first_line
from ddpm_edu.files import write_atomically
from ddpm_edu.simulation.intervals import wilson_interval
from ddpm_edu.simulation.kept import READ_ERRORS

NUMBERS, ACTIONS = "rollout.json", "rollout_actions.npz"


@dataclass(frozen=True)
class Episode:
    """One episode of a policy in the simulator.

    Attributes:
        seed: the simulator's seed; the noise of the policy follows from it and the rollout's `noise_seed`.
        success: whether the task was done.
        length: control steps.
        actions: what was executed (length, Da), enough to play the episode again; None if not kept.
    """

    seed: int
    success: bool
    length: int
    actions: np.ndarray | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class RolloutResult:
    """The episodes of one rollout, in the order of their seeds.

    Attributes:
        task: name of the task.
        observation: "low_dim" or "image".
        episodes: one entry for each.
        noise_seed: seed of the policy's noise.
        inference_seconds: duration of each call of the policy.
        batch_size: episodes that one call decides for.
        chunks: chunks of actions that were asked for, over all episodes.
        seconds: duration of the whole rollout.
        workers: processes that simulated.
        restarts: how often a process of simulators died or hung, and was replaced.
    """

    task: str
    observation: str
    episodes: tuple[Episode, ...]
    noise_seed: int
    inference_seconds: tuple[float, ...]
    batch_size: int
    chunks: int
    seconds: float
    workers: int
    restarts: int = 0

    @property
    def successes(self) -> int:
        """How many episodes succeeded."""
        return sum(episode.success for episode in self.episodes)

    @property
    def success_rate(self) -> float:
        """Fraction of the episodes that succeeded."""
        return self.successes / len(self.episodes)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the success rate."""
        return wilson_interval(self.successes, len(self.episodes))

    @property
    def seconds_per_call(self) -> float:
        """Median time in which the policy decides for a whole batch of episodes."""
        return statistics.median(self.inference_seconds)

    @property
    def seconds_per_chunk(self) -> float:
        """Time of all calls, divided by the chunks that were used."""
        return sum(self.inference_seconds) / max(1, self.chunks)

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.successes} of {len(self.episodes)} episodes succeeded: {self.success_rate:.0%} "
            f"(95 % interval {low:.0%} to {high:.0%})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain containers for JSON, without the actions; `from_dict` is the inverse."""
        low, high = self.interval
        return {
            "task": self.task,
            "observation": self.observation,
            "success_rate": self.success_rate,
            "interval_95": [low, high],
            "noise_seed": self.noise_seed,
            "batch_size": self.batch_size,
            "chunks": self.chunks,
            "seconds": round(self.seconds, 3),
            "workers": self.workers,
            "restarts": self.restarts,
            "inference_seconds": [round(seconds, 6) for seconds in self.inference_seconds],
            "episodes": [
                {"seed": episode.seed, "success": episode.success, "length": episode.length}
                for episode in self.episodes
            ],
        }

    @classmethod
    def from_dict(
        cls, values: Mapping[str, Any], actions: Mapping[str, np.ndarray] | None = None
    ) -> RolloutResult:
        """The result that `to_dict` wrote; `actions` by the seed's decimal digits, where they were kept."""
        actions = actions or {}
        return cls(
            task=values["task"],
            observation=values["observation"],
            episodes=tuple(
                Episode(e["seed"], e["success"], e["length"], actions.get(str(e["seed"])))
                for e in values["episodes"]
            ),
            noise_seed=values["noise_seed"],
            inference_seconds=tuple(values["inference_seconds"]),
            batch_size=values["batch_size"],
            chunks=values["chunks"],
            seconds=values["seconds"],
            workers=values["workers"],
            restarts=values["restarts"],
        )

    def save(self, folder: str | Path) -> Path:
        """Write `rollout.json` and `rollout_actions.npz` into a folder, each at once or not at all."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        actions = {str(e.seed): e.actions for e in self.episodes if e.actions is not None}
        with write_atomically(folder / ACTIONS) as file:
            np.savez_compressed(file, **actions)
        with write_atomically(folder / NUMBERS) as file:
            file.write(json.dumps(self.to_dict(), indent=1).encode())
        return folder / NUMBERS

    @classmethod
    def load(cls, folder: str | Path) -> RolloutResult:
        """The result that `save` wrote.

        Raises:
            DatasetError: if the folder holds none, or one that cannot be read.
        """
        path = Path(folder) / NUMBERS
        try:
            values = json.loads(path.read_text())
            actions = {}
            if (Path(folder) / ACTIONS).exists():
                # Opened here: numpy leaves a damaged file open.
                with (Path(folder) / ACTIONS).open("rb") as file, np.load(file, allow_pickle=False) as stored:
                    actions = {name: stored[name] for name in stored.files}
            return cls.from_dict(values, actions)
        except FileNotFoundError:
            raise DatasetError(f"{path}: there is no rollout; make one with ddpm-edu rollout") from None
        except READ_ERRORS as error:
            raise DatasetError(
                f"{path}: not a rollout that can be read ({first_line(error)}); make it again"
            ) from error
