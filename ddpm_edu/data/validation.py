"""What a file of demonstrations must satisfy. Each refusal names the place, what is there and the way out."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ddpm_edu.data.environment import misfit, recorded_environment
from ddpm_edu.data.hdf5 import READ_ERRORS, get_member, names_in, place
from ddpm_edu.data.walker import ALWAYS_FINE, MOST_COMPRESSION
from ddpm_edu.errors import DatasetError, first_line
from ddpm_edu.machine import container_memory_left, memory_bytes
from ddpm_edu.tasks import ObservationKey, Task

QUATERNION_TOLERANCE = 1e-3
ACTION_TOLERANCE = 1e-6
MOST_REPEATS = 10

_DEMONSTRATION = re.compile(r"demo_(\d{1,18})")  # Python reads no number of thousands of digits
_NOT_ROBOMIMIC = "demonstrations are HDF5 files in robomimic's layout: data/demo_0/obs, data/demo_0/actions"


def data_group(file: h5py.File) -> h5py.Group:
    """The group that holds the demonstrations."""
    return get_member(file, "data", h5py.Group, _NOT_ROBOMIMIC)


def env_args(data: h5py.Group) -> dict[str, Any]:
    """The description of the environment that made the file.

    Raises:
        DatasetError: if it is missing or is not JSON with an "env_name".
    """
    where = f"{data.file.filename}: the attribute data.env_args"
    try:
        text = data.attrs.get("env_args")
        if text is None:
            raise DatasetError(
                f"{where} is missing; {_NOT_ROBOMIMIC}, with the environment's name in env_args"
            )
        found = json.loads(text)
        if not isinstance(found["env_name"], str):
            raise TypeError("env_name is not text")
    except DatasetError:
        raise
    except (*READ_ERRORS, TypeError) as error:
        raise DatasetError(
            f'{where} must be JSON such as {{"env_name": "PickPlaceCan"}} ({first_line(error)})'
        ) from None
    return found


def check_environment(data: h5py.Group, task: Task) -> None:
    """Refuses demonstrations of another task, and those whose actions mean something else."""
    recorded = recorded_environment(env_args(data))
    if recorded.name != task.environment_name:
        raise DatasetError(
            f"{data.file.filename} holds demonstrations of {recorded.name}; the task {task.name!r} needs "
            f"{task.environment_name}: choose the other task, or another file"
        )
    reason = misfit(recorded, task)
    if reason is not None:
        raise DatasetError(f"{data.file.filename} {reason}: use a file that was recorded like the task")


def demonstration_names(data: h5py.Group) -> list[str]:
    """All demonstrations in the order of their numbers: demo_2 stands before demo_10.

    Raises:
        DatasetError: if there is none.
    """
    names = [name for name in names_in(data) if _DEMONSTRATION.fullmatch(name)]
    if not names:
        raise DatasetError(f"{data.file.filename} has no demonstrations in data/; {_NOT_ROBOMIMIC}")
    return sorted(names, key=_number)


def filter_keys(file: h5py.File) -> list[str]:
    """The names of the file's masks, such as "train" and "valid"."""
    if file.get("mask", getlink=True) is None:
        return []
    return sorted(names_in(get_member(file, "mask", h5py.Group, _NOT_ROBOMIMIC)))


def masked_names(file: h5py.File, filter_key: str, names: Sequence[str]) -> list[str]:
    """The demonstrations that a mask names, in the order of their numbers.

    Args:
        file: the open file.
        filter_key: the mask.
        names: the demonstrations in the file.

    Raises:
        DatasetError: if there is no such mask, or it is empty, or it names a demonstration that is not there.
    """
    known = filter_keys(file)
    if filter_key not in known:
        there = f"it has {', '.join(known)}" if known else f"it has no masks: {_split(file)}"
        raise DatasetError(f"{file.filename} has no filter key {filter_key!r}; {there}")
    mask = get_member(file["mask"], filter_key, h5py.Dataset, _NOT_ROBOMIMIC)
    where = f"{file.filename}: {place(mask)}"
    if (mask.size or 0) > MOST_REPEATS * len(names):  # not worth its memory
        raise DatasetError(
            f"{where} has {mask.size} names, and the file {len(names)} demonstrations; "
            f"{_split(file, overwrite=True)}"
        )
    check_declared(mask)
    try:
        listed = [item.decode() if isinstance(item, bytes) else str(item) for item in mask[:]]
    except (*READ_ERRORS, TypeError) as error:
        raise DatasetError(
            f"{where} must be a list of names such as 'demo_0' ({first_line(error)})"
        ) from None
    if not listed:
        others = ", ".join(key for key in known if key != filter_key)
        other = f"use another filter key: {others}, or " if others else ""
        raise DatasetError(f"{where} names no demonstrations; {other}{_split(file, overwrite=True)}")
    chosen = set(listed)
    absent = sorted(chosen.difference(names))
    if absent:
        raise DatasetError(
            f"{where} names {absent[0]}, which is not in the file (it has {len(names)} demonstrations, "
            f"{names[0]} to {names[-1]}); make the mask again, or use another filter key"
        )
    if len(chosen) < len(listed):
        twice = Counter(listed).most_common(1)[0][0]
        raise DatasetError(f"{where} names {twice} twice; {_split(file, overwrite=True)}")
    return sorted(chosen, key=_number)


def _split(file: h5py.File, overwrite: bool = False) -> str:
    words = ["ddpm-edu", "data", "split", file.filename, *["--overwrite"] * overwrite]
    return f"choose anew with: {shlex.join(words)}"


def check_held_out(file: h5py.File, train_mask: str, valid_mask: str) -> None:
    """Refuses two masks that share a demonstration: a loss on what was trained on says nothing.

    Raises:
        DatasetError: naming one that both have, and masks of the file that may be meant.
    """
    names = demonstration_names(data_group(file))
    train, valid = (masked_names(file, mask, names) for mask in (train_mask, valid_mask))
    both = sorted(set(train) & set(valid), key=_number)
    if both:
        halves = [f"{train_mask}_train", f"{train_mask}_valid"]
        advice = _split(file, overwrite=True)
        if set(halves) <= set(filter_keys(file)):
            advice = f"choose --train-mask {halves[0]} --valid-mask {halves[1]}"
        raise DatasetError(
            f"{file.filename}: mask/{train_mask} and mask/{valid_mask} share {len(both)} demonstrations, "
            f"such as {both[0]}: what is held out must not be trained on; {advice}"
        )


def check_layout(demonstration: h5py.Group, keys: Sequence[ObservationKey], action_dim: int) -> int:
    """The number of steps of a demonstration whose groups, shapes and dtypes are as they must be.

    Raises:
        DatasetError: naming what is missing or different.
    """
    file, name = demonstration.file.filename, place(demonstration)
    try:
        samples = demonstration.attrs.get("num_samples")
        if samples is None:
            raise DatasetError(f"{file}: {name} has no attribute num_samples; {_NOT_ROBOMIMIC}")
        length = int(samples)
        if length != samples:
            raise ValueError(f"it is {samples}")
    except DatasetError:
        raise
    except (*READ_ERRORS, TypeError) as error:
        raise DatasetError(
            f"{file}: {name}.num_samples must be a whole number ({first_line(error)})"
        ) from None
    if length < 1:
        raise DatasetError(f"{file}: {name} has {length} steps; remove it, or collect it again")
    action = get_member(demonstration, "actions", h5py.Dataset, _NOT_ROBOMIMIC)
    _check_dataset(action, length, (action_dim,), "f", "actions are delta actions of the OSC_POSE controller")
    obs = get_member(
        demonstration,
        "obs",
        h5py.Group,
        "the file holds states alone: add observations with robomimic's dataset_states_to_obs",
    )
    for key in keys:
        images = key.type == "rgb"
        advice = "collect with --observation image" if images else "the task's observation needs it"
        if key.name == "object" and "object" not in obs and "object-state" in obs:
            advice = "its object-state is robosuite's name for it: rename it to object"
        dataset = get_member(obs, key.name, h5py.Dataset, advice)
        if images:
            channels, height, width = key.shape
            _check_dataset(
                dataset, length, (height, width, channels), "u1", "images are uint8, channels last"
            )
        else:
            _check_dataset(dataset, length, key.shape, "f", "low-dim observations are floating point")
    return length


def check_memory(path: Path, size: int) -> None:
    """Refuses what cannot fit into the memory that is free, before anything is read."""
    memory = available_memory()
    if size > memory:
        raise DatasetError(
            f"{path} needs {in_units(size)} of memory and {in_units(memory)} are free; "
            "use fewer demonstrations (max_demonstrations), or low-dim observations"
        )


def available_memory() -> int:
    """Bytes that can still be had: what Linux says is free or can be freed, within the container's limit."""
    sizes = [memory_bytes()] if memory_bytes() else []
    with contextlib.suppress(OSError):
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        sizes += [1024 * int(found[1])] if found else []
    left = container_memory_left()
    sizes += [] if left is None else [left]
    return min(sizes) if sizes else 2**63


def in_units(size: int) -> str:
    """Bytes in words: "3.2 GiB", "17 MiB"."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def check_declared(dataset: h5py.Dataset) -> None:
    """Refuses a dataset that declares far more values than it stores: a few bytes could fill the memory."""
    declared = dataset.size * dataset.dtype.itemsize
    try:
        stored = dataset.id.get_storage_size()
    except READ_ERRORS as error:
        raise DatasetError(
            f"{dataset.file.filename}: {place(dataset)} cannot be read ({first_line(error)}); copy or "
            "download the file again"
        ) from None
    if declared > ALWAYS_FINE and declared > MOST_COMPRESSION * stored:
        raise DatasetError(
            f"{dataset.file.filename}: {place(dataset)} declares {declared / 2**30:.2f} GiB, of which "
            f"{stored / 2**20:.1f} MiB are stored; the file was not written to its end: copy it again"
        )
    check_memory(Path(dataset.file.filename), declared)


def check_observations(where: str, values: np.ndarray, key: ObservationKey) -> None:
    """Refuses low-dim observations that are not finite, and quaternions that are no rotations.

    Args:
        where: file, demonstration and key.
        values: (N, Do) of one demonstration.
        key: what the values mean.
    """
    _check_finite(where, values)
    if key.kind == "quaternion":
        with np.errstate(over="ignore"):
            norm = np.linalg.norm(values, axis=-1)  # (N,)
        wrong = np.flatnonzero(np.abs(norm - 1) > QUATERNION_TOLERANCE)
        if len(wrong):
            raise DatasetError(
                f"{where}[{wrong[0]}] has length {norm[wrong[0]]:.4g}; a quaternion must have length 1 "
                f"(within {QUATERNION_TOLERANCE}): normalise it, or collect the demonstration again"
            )


def check_actions(where: str, values: np.ndarray) -> None:
    """Refuses delta actions that are not finite or lie outside [-1, 1], which the controller would clip.

    Args:
        where: file, demonstration and key.
        values: (N, Da) of one demonstration.
    """
    _check_finite(where, values)
    wrong = np.argwhere(np.abs(values) > 1 + ACTION_TOLERANCE)
    if len(wrong):
        step, entry = wrong[0]
        value = values[step, entry]
        text = f"{value:.6g}" if abs(value) > 1.0001 else f"{value:.9g}"  # 1.000002 is not "1"
        raise DatasetError(
            f"{where}[{step}, {entry}] is {text}; delta actions must lie in [-1, 1]: clip "
            "them, which is what the controller does, or use a file of delta actions if these are absolute"
        )


def _check_dataset(dataset: h5py.Dataset, length: int, shape: tuple[int, ...], dtype: str, why: str) -> None:
    where = f"{dataset.file.filename}: {place(dataset)}"
    wanted = (length, *shape)
    if dataset.shape is not None:
        check_declared(dataset)
    if dataset.shape is None or dataset.shape[1:] != shape or len(dataset.shape) != len(wanted):
        raise DatasetError(
            f"{where} has shape {dataset.shape}; it must be {wanted}: {_of_shape(dataset, shape)}"
        )
    if dataset.shape[0] == length + 1 and "/obs/" in dataset.name:
        raise DatasetError(
            f"{where} has {length + 1} steps, one more than the {length} actions: it has the state after "
            "the last action; drop its last step"
        )
    if dataset.shape[0] != length:
        raise DatasetError(
            f"{where} has {dataset.shape[0]} steps, but the demonstration's num_samples is {length}; "
            "remove the demonstration, or collect it again"
        )
    found = dataset.dtype
    if found.kind != dtype[0] or (dtype == "u1" and found.itemsize != 1):
        raise DatasetError(f"{where} has dtype {found}; {why}: convert it")


def _of_shape(dataset: h5py.Dataset, shape: tuple[int, ...]) -> str:
    """What the axes after the first are, and which way out there is."""
    if len(shape) == 3:
        if dataset.shape is not None and dataset.shape[1:] == (shape[2], *shape[:2]):
            return "images have their channels last: move the axis"
        return f"images are {shape[0]} x {shape[1]} pixels, channels last: render or resize them"
    if shape == (7,) and dataset.name.endswith("/actions"):
        return "actions are delta actions of the OSC_POSE controller, 7 numbers a step: convert them"
    return f"a row for each step, {shape[0]} numbers: write it so, or collect it again"


def _check_finite(where: str, values: np.ndarray) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        step, entry = np.argwhere(~finite)[0]
        raise DatasetError(
            f"{where}[{step}, {entry}] is {values[step, entry]}; values must be finite: remove the "
            "demonstration, or collect it again"
        )


def _number(name: str) -> int:
    return int(_DEMONSTRATION.fullmatch(name)[1])
