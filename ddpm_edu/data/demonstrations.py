"""Demonstrations of a task, read from robomimic HDF5 into one contiguous array for each key."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
from tqdm.auto import tqdm

from ddpm_edu.data.hdf5 import get_member, open_hdf5, place, read_into
from ddpm_edu.data.object_layout import HAND_FIRST, SCENES, to_task
from ddpm_edu.data.validation import (
    check_actions,
    check_environment,
    check_held_out,
    check_layout,
    check_memory,
    check_observations,
    data_group,
    demonstration_names,
    masked_names,
)
from ddpm_edu.errors import ConfigError
from ddpm_edu.tasks import ObservationMode, Task, get_task
from ddpm_edu.text import shell_line


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """All steps of all demonstrations, one after the other.

    One array for each key, instead of one for each demonstration, makes a batch of windows a single gather.

    Attributes:
        task: the task that was demonstrated.
        observation: which of the task's observations were read.
        obs: {key: (N, ...)}; low-dim keys float32; images uint8 (N, 3, height, width), views of memory that
            keeps the channels last, as the file does.
        action: (N, Da) float32; delta actions of the simulator, in [-1, 1], or absolute ones.
        action_type: "delta" (Da = 7) or "absolute" (Da = 10, see `ddpm_edu.data.actions`).
        episode_ends: (E,) int64, for each demonstration the index after its last step.
        names: the demonstrations' names in the file, such as "demo_7".
        path: the file.
    """

    task: Task
    observation: ObservationMode
    obs: dict[str, np.ndarray]
    action: np.ndarray
    episode_ends: np.ndarray
    names: list[str]
    path: Path
    action_type: Literal["delta", "absolute"] = "delta"

    @classmethod
    def read(
        cls,
        path: str | Path,
        task: str | Task,
        observation: ObservationMode = "low_dim",
        filter_key: str | None = None,
        max_demonstrations: int | None = None,
    ) -> Demonstrations:
        """Reads and checks a robomimic HDF5 file: our own, or robomimic's published ones.

        The numbers of `object` and of `robot0_eef_quat` come in the task's order and sign, whichever the file
        has (see `ddpm_edu.data.object_layout`); quaternions that had to be mended are said on stderr.

        Args:
            path: the file.
            task: the task that it must hold.
            observation: which observations to read.
            filter_key: read only the demonstrations of this mask, such as "train" or "valid".
            max_demonstrations: read only the first so many.

        Raises:
            ConfigError: if the task or the observation is unknown, or `max_demonstrations` is below 1.
            DatasetError: if the file is missing, broken, of another task, or holds values that cannot be
                right; the message names the demonstration and the key.
        """
        path, task = Path(path), get_task(task)
        keys = task.observation(observation)
        if max_demonstrations is not None and max_demonstrations < 1:
            raise ConfigError(f"max_demonstrations is {max_demonstrations}; it must be at least 1")
        collect = ["ddpm-edu", "collect", "--task", task.name]
        collect += ["--observation", "image"] if observation == "image" else []
        with open_hdf5(path, f"make it with: {shell_line([*collect, '--out', path])}") as file:
            data = data_group(file)
            check_environment(data, task)
            names = demonstration_names(data)
            if filter_key is not None:
                names = masked_names(file, filter_key, names)
            names = names[:max_demonstrations]
            groups = [get_member(data, name, h5py.Group, "a demonstration is a group") for name in names]
            lengths = [check_layout(group, keys, task.action_dim) for group in groups]
            episode_ends = np.cumsum(lengths, dtype=np.int64)  # (E,)

            N = sum(lengths)
            sizes = {key.name: int(np.prod(key.shape)) * (1 if key.type == "rgb" else 4) for key in keys}
            check_memory(path, N * (sum(sizes.values()) + 4 * task.action_dim))
            repaired: Counter[str] = Counter()
            action = np.empty((N, task.action_dim), np.float32)  # (N, Da)
            obs = {}
            for key in keys:
                if key.type == "rgb":
                    channels, height, width = key.shape
                    obs[key.name] = np.empty((N, height, width, channels), np.uint8)  # (N, H, W, 3)
                else:
                    obs[key.name] = np.empty((N, *key.shape), np.float32)  # (N, ...)

            # Low-dim files are read at once; the bar shows where cameras make it take longer. As an iterator
            # it would show itself red in a notebook whenever a demonstration is refused.
            with tqdm(
                total=len(groups), desc=f"reading {path.name}", unit="demo", delay=5, leave=False
            ) as bar:
                for group, end, length in zip(groups, episode_ends, lengths, strict=True):
                    rows, where = slice(end - length, end), f"{path}: {place(group)}"
                    read_into(group["actions"], action[rows])
                    check_actions(f"{where}/actions", action[rows])
                    for key in keys:
                        read_into(group["obs"][key.name], obs[key.name][rows])
                        if key.type == "low_dim":
                            check_observations(f"{where}/obs/{key.name}", obs[key.name][rows], key)
                    low_dim = {key.name: obs[key.name][rows] for key in keys if key.type == "low_dim"}
                    changed, found = to_task(where, low_dim, moving=SCENES not in group.attrs)
                    for key_name, values in changed.items():
                        obs[key_name][rows] = values
                    repaired.update(found)
                    bar.update()
        for repair, count in repaired.items():
            if repair != HAND_FIRST:  # that is how robosuite 1.5 writes; the others are somebody's mistake
                print(f"{path}: {count} demonstrations: {repair}", file=sys.stderr)
        for key in keys:
            if key.type == "rgb":
                obs[key.name] = np.moveaxis(obs[key.name], -1, 1)  # (N, 3, H, W), a view
        return cls(task, observation, obs, action, episode_ends, names, path)

    def __len__(self) -> int:
        """Number of demonstrations, E."""
        return len(self.episode_ends)

    @property
    def lengths(self) -> np.ndarray:
        """(E,) int64: steps of each demonstration."""
        return np.diff(self.episode_ends, prepend=0)

    def steps(self, index: int) -> slice:
        """The rows of one demonstration, so that `action[demonstrations.steps(0)]` is the first one's.

        Raises:
            IndexError: if there is no such demonstration.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"demonstration {index} of {len(self)}")
        return slice(int(self.episode_ends[index - 1]) if index else 0, int(self.episode_ends[index]))

    def to_absolute(self) -> Demonstrations:
        """The same demonstrations with absolute actions (N, 10): position 3, rotation 6, gripper 1.

        An action of the simulator moves the hand relative to where it is; see `ddpm_edu.data.actions`.
        """
        if self.action_type == "absolute":
            return self
        import torch

        from ddpm_edu.data.actions import delta_to_absolute

        action = delta_to_absolute(
            torch.from_numpy(self.action),  # (N, 7)
            torch.from_numpy(self.obs["robot0_eef_pos"]),
            torch.from_numpy(self.obs["robot0_eef_quat"]),
            self.task,
        )  # (N, 10)
        return replace(self, action=action.numpy(), action_type="absolute")


def read_split(
    path: str | Path,
    task: str | Task,
    observation: ObservationMode = "low_dim",
    train_mask: str = "train",
    valid_mask: str = "valid",
    max_demonstrations: int | None = None,
) -> tuple[Demonstrations, Demonstrations]:
    """What is trained on, and what is held out: two masks of one file that share no demonstration.

    Args:
        path: the file.
        task: the task that it must hold.
        observation: which observations to read.
        train_mask: names what is trained on.
        valid_mask: names what is held out.
        max_demonstrations: train on only the first so many; what is held out stays whole.

    Raises:
        ConfigError, DatasetError: as `Demonstrations.read`, and if both masks name one demonstration.
    """
    train = Demonstrations.read(path, task, observation, train_mask, max_demonstrations)
    with open_hdf5(train.path, "it was there a moment ago") as file:
        check_held_out(file, train_mask, valid_mask)
    return train, Demonstrations.read(path, task, observation, valid_mask)
