"""What sets a file apart from what the task's own demonstrations are like: each difference in one line."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py
import numpy as np

from ddpm_edu.data.environment import RecordedEnvironment, misfit, recorded_environment
from ddpm_edu.data.hdf5 import READ_ERRORS, get_member, open_hdf5
from ddpm_edu.data.object_layout import SCENES, to_task
from ddpm_edu.data.validation import check_declared, data_group, demonstration_names, env_args
from ddpm_edu.errors import DatasetError
from ddpm_edu.tasks import TASKS, Task, task_of_environment

Kind = Literal["refused", "understood", "harmless"]


@dataclass(frozen=True)
class Difference:
    """One difference between a file and the task.

    Attributes:
        kind: "refused" by `Demonstrations.read`; "understood", that is brought to the task's way; or
            "harmless".
        text: what differs, and what becomes of it.
    """

    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"{self.kind:10}  {self.text}"


def differences(path: str | Path, task: Task | None = None) -> tuple[Difference, ...]:
    """All differences, looked for in the description of the environment and in the first demonstration.

    Args:
        path: the file.
        task: what to compare with; by default the task whose environment the file names.

    Raises:
        DatasetError: if the file cannot be read at all.
    """
    with open_hdf5(Path(path), "name a robomimic HDF5 file, such as those in data/") as file:
        data = data_group(file)
        recorded = recorded_environment(env_args(data))
        if task is None:
            task = task_of_environment(recorded.name)
        if task is None or task.environment_name != recorded.name:
            wanted = " or ".join(t.environment_name for t in (TASKS.values() if task is None else [task]))
            return (Difference("refused", f"demonstrations of {recorded.name}, not of {wanted}"),)
        names = demonstration_names(data)
        first = get_member(data, names[0], h5py.Group, "a demonstration is a group")
        lengths = [_length(data, name) for name in names]
        found = [*_of_environment(recorded, task), *_of_lengths(lengths, task)]
        with contextlib.suppress(
            *READ_ERRORS, TypeError
        ):  # what is damaged is named by who reads it in earnest
            found.extend(_of_keys(first, task))
        with contextlib.suppress(*READ_ERRORS, TypeError, DatasetError):
            found.extend(_of_poses(data, names))
    return tuple(
        sorted(found, key=lambda difference: ("refused", "understood", "harmless").index(difference.kind))
    )


def _of_environment(recorded: RecordedEnvironment, task: Task) -> Iterator[Difference]:
    reason = misfit(recorded, task)
    if reason is not None:
        yield Difference("refused", reason)
    version = (recorded.version or "").split(".")
    if recorded.version is None:
        yield Difference("harmless", "it does not say which version of robosuite recorded it")
    elif version[:2] != ["1", "5"]:
        yield Difference(
            "harmless",
            f"robosuite {recorded.version} recorded it, 1.5 runs here: another contact physics, and its "
            "simulator states and models cannot be replayed or rendered",
        )
    if recorded.flat:
        yield Difference(
            "understood", "the controller is written as before robosuite 1.5, without body_parts"
        )
    if recorded.frame == "world":
        yield Difference(
            "understood", "actions stand in the world's frame, the task's in the robot's base: here the same"
        )


def _of_lengths(lengths: list[int | None], task: Task) -> Iterator[Difference]:
    long = [length for length in lengths if length is not None and length > task.max_steps]
    if long:
        yield Difference(
            "harmless",
            f"{len(long)} of {len(lengths)} demonstrations are longer than the {task.max_steps} steps of an "
            f"episode, up to {max(long)}",
        )


def _of_keys(demonstration: h5py.Group, task: Task) -> Iterator[Difference]:
    obs = demonstration.get("obs") if "obs" in demonstration else None
    if not isinstance(obs, h5py.Group):
        yield Difference(
            "refused",
            "it holds states and actions alone, no observations: add them with ddpm-edu data render",
        )
        return
    known = {key.name for key in (*task.low_dim, *task.image)}
    missing = {
        mode: [key.name for key in task.observation(mode) if key.name not in obs]
        for mode in ("low_dim", "image")
    }
    for mode, keys in missing.items():
        if keys:
            advice = ": ddpm-edu data render adds them" if mode == "image" else ""
            yield Difference("refused", f"by {mode} policies, for want of {', '.join(keys)}{advice}")
    more = sorted(set(obs) - known)
    if more:
        yield Difference("harmless", f"more observations than the task has, not read: {', '.join(more)}")
    beside = sorted(set(demonstration) - {"actions", "states", "rewards", "dones", "obs"})
    if beside:
        yield Difference("harmless", f"beside the observations, not read: {', '.join(beside)}")
    wide = sorted(
        name
        for name in known & set(obs)
        if isinstance(obs[name], h5py.Dataset) and obs[name].dtype == np.float64
    )
    if wide:
        yield Difference("understood", f"float64 where the task has float32: {', '.join(wide)}")
    rewards = demonstration.get("rewards")
    if isinstance(rewards, h5py.Dataset) and (count := int(np.count_nonzero(rewards[:]))) > 1:
        yield Difference(
            "harmless", f"it goes on after the success: {count} rewarded steps in the first demonstration"
        )


def _of_poses(data: h5py.Group, names: list[str]) -> Iterator[Difference]:
    """What is wrong with the order and the sign of hand and object, in every demonstration."""
    repaired: Counter[str] = Counter()
    for name in names:
        obs = get_member(get_member(data, name, h5py.Group, ""), "obs", h5py.Group, "")
        values = {}
        for key, size in {"object": 14, "robot0_eef_pos": 3, "robot0_eef_quat": 4}.items():
            if key != "object" or key in obs:
                dataset = get_member(obs, key, h5py.Dataset, "")
                if dataset.shape is None or dataset.shape[1:] != (size,) or dataset.dtype.kind != "f":
                    return
                check_declared(dataset)
                values[key] = dataset[:]
        if len({len(value) for value in values.values()}) != 1 or not len(values["robot0_eef_quat"]):
            return
        try:
            moving = SCENES not in data[name].attrs
            repaired.update(to_task(f"{data.file.filename}: {name}", values, moving)[1])
        except DatasetError as error:
            yield Difference("refused", str(error))
            return
    for repair, count in repaired.items():
        yield Difference("understood", f"{count} of {len(names)} demonstrations: {repair}")


def _length(data: h5py.Group, name: str) -> int | None:
    try:
        return int(get_member(data, name, h5py.Group, "a demonstration is a group").attrs["num_samples"])
    except (*READ_ERRORS, TypeError, DatasetError):
        return None
