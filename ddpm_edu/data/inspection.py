"""What a robomimic HDF5 file holds, whatever its task and keys: a look before anything is trained on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tqdm.auto import tqdm

from ddpm_edu.data.hdf5 import READ_ERRORS, get_member, names_in, open_hdf5, place, read_into
from ddpm_edu.data.validation import (
    check_actions,
    check_declared,
    check_environment,
    check_held_out,
    check_layout,
    check_observations,
    data_group,
    demonstration_names,
    env_args,
    filter_keys,
    masked_names,
)
from ddpm_edu.errors import DatasetError, first_line
from ddpm_edu.tasks import ObservationKey, task_of_environment

MAX_DEPTH = 8


@dataclass(frozen=True)
class KeySummary:
    """One dataset that every demonstration has.

    Attributes:
        name: its place in a demonstration, such as "actions" or "obs/object".
        shape: shape of one step.
        dtype: as stored in the file.
        minimum: smallest value of all demonstrations; NaN where one is NaN.
        maximum: largest value.
        mean: of all values of all demonstrations.
        deviation: standard deviation of all values.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    minimum: float
    maximum: float
    mean: float
    deviation: float


@dataclass(frozen=True)
class DatasetSummary:
    """What a file of demonstrations holds; `str()` gives a table.

    Attributes:
        path: the file.
        size: of the file, bytes.
        env_name: robosuite's name of the environment.
        env_version: robosuite's version, or "unknown" where the file does not say.
        names: the demonstrations, in the order of their numbers.
        lengths: steps of each.
        keys: what every demonstration has, each with its range.
        masks: {filter key: number of demonstrations that it names}.
        attributes: {name: number of demonstrations that have this attribute}.
        problem: the first thing that training on this file would refuse, in one line; None if there is none,
            or if the file is of another environment than the tasks'.
    """

    path: Path
    size: int
    env_name: str
    env_version: str
    names: tuple[str, ...]
    lengths: tuple[int, ...]
    keys: tuple[KeySummary, ...]
    masks: dict[str, int]
    attributes: dict[str, int]
    problem: str | None = None

    @property
    def steps(self) -> int:
        """Steps of all demonstrations, N."""
        return sum(self.lengths)

    def __str__(self) -> str:
        lengths = np.array(self.lengths)
        masks = ", ".join(f"{name} ({count})" for name, count in self.masks.items()) or "none"
        lines = [
            f"file            {self.path} ({self.size / 2**20:.1f} MiB)",
            f"environment     {self.env_name}, robosuite {self.env_version}",
            f"demonstrations  {len(self.names)} ({self.names[0]} to {self.names[-1]})",
            f"steps           {self.steps}: {lengths.min()} to {lengths.max()} each, "
            f"mean {lengths.mean():.1f}",
            f"masks           {masks}",
            f"attributes      {', '.join(self.attributes)}",
            "",
        ]
        width = max(len("key"), *(len(key.name) for key in self.keys))
        columns = ("minimum", "maximum", "mean", "deviation")
        lines.append(f"{'key':{width}}  {'shape':14}  {'dtype':8}" + "".join(f"  {c:>10}" for c in columns))
        for key in self.keys:
            numbers = "".join(f"  {getattr(key, column):10.4g}" for column in columns)
            lines.append(f"{key.name:{width}}  {key.shape!s:14}  {key.dtype:8}{numbers}")
        return "\n".join(lines)


def inspect(path: str | Path) -> DatasetSummary:
    """Reads a whole file, one demonstration at a time, and says what is in it.

    It refuses less than `Demonstrations.read`: a file of another robot or with other keys can be looked at.
    For a file of one of the tasks, `problem` says what that would refuse.

    Raises:
        DatasetError: if the file is missing, broken, or not in robomimic's layout, or if a key is missing or
            has another shape or dtype in some demonstration.
    """
    path = Path(path)
    with open_hdf5(path, "name a robomimic HDF5 file, such as those in data/") as file:
        data = data_group(file)
        environment = env_args(data)
        names = demonstration_names(data)
        layout: dict[str, tuple[tuple[int, ...], str]] = {}
        numbers: dict[str, _Numbers] = {}
        lengths, attributes = [], {}
        check = _Check(data)
        for name in tqdm(names, desc=f"reading {path.name}", unit="demo", delay=5, leave=False):
            group = get_member(data, name, h5py.Group, "a demonstration is a group")
            try:
                for attribute in group.attrs:
                    if isinstance(attribute, bytes):  # not UTF-8
                        attribute = attribute.decode(errors="replace")
                    attributes[attribute] = attributes.get(attribute, 0) + 1
            except READ_ERRORS as error:
                raise DatasetError(
                    f"{path}: {name} cannot be read ({first_line(error)}); copy it again"
                ) from None
            datasets = dict(_datasets(group, ""))
            if "actions" not in datasets:
                actions = get_member(group, "actions", h5py.Dataset, "each demonstration needs them")
                raise DatasetError(
                    f"{path}: {name}/actions has shape {actions.shape} and dtype {actions.dtype}; it must be "
                    "numbers, a row for each step: collect the demonstration again"
                )
            if not layout:
                layout = {key: (found.shape[1:], str(found.dtype)) for key, found in datasets.items()}
            _check_same_layout(path, name, datasets, layout)
            lengths.append(len(datasets["actions"]))
            check.layout(group)
            for key, dataset in datasets.items():
                check_declared(dataset)
                values = np.empty(dataset.shape, dataset.dtype)
                read_into(dataset, values)
                numbers.setdefault(key, _Numbers()).add(values)
                check.values(f"{path}: {place(dataset)}", key, values)
        masks = {}
        for key in filter_keys(file):
            members = get_member(file["mask"], key, h5py.Dataset, "a mask is a list of names")
            masks[key] = int(np.prod(members.shape or 0))
            check.call(masked_names, file, key, names)
        if {"train", "valid"} <= masks.keys():
            check.call(check_held_out, file, "train", "valid")
    return DatasetSummary(
        path=path,
        size=path.stat().st_size,
        env_name=environment["env_name"],
        env_version=str(environment.get("env_version", "unknown")),
        names=tuple(names),
        lengths=tuple(lengths),
        keys=tuple(KeySummary(key, *layout[key], *numbers[key].summary()) for key in sorted(layout)),
        masks=masks,
        attributes=attributes,
        problem=check.problem,
    )


def _datasets(group: h5py.Group, prefix: str) -> Iterator[tuple[str, h5py.Dataset]]:
    """Every numeric dataset below a group, with its place."""
    where = f"{group.file.filename}: {place(group)}"
    if prefix.count("/") > MAX_DEPTH:  # hard links can form a ring
        raise DatasetError(f"{where} lies {MAX_DEPTH} groups deep; robomimic's layout has two: make it again")
    for name in names_in(group):
        member = get_member(group, name, (h5py.Group, h5py.Dataset), "it must be a group or a dataset")
        if isinstance(member, h5py.Group):
            yield from _datasets(member, f"{prefix}{name}/")
        elif member.dtype.kind in "fiub" and member.shape:
            yield prefix + name, member


def _check_same_layout(
    path: Path, name: str, datasets: dict[str, h5py.Dataset], layout: dict[str, tuple[tuple[int, ...], str]]
) -> None:
    for key in sorted(datasets.keys() ^ layout.keys()):
        there = "has" if key in datasets else "has no"
        raise DatasetError(
            f"{path}: {name} {there} {key!r}, unlike the first demonstration; collect it again"
        )
    for key, dataset in datasets.items():
        found = (dataset.shape[1:], str(dataset.dtype))
        if found != layout[key]:
            raise DatasetError(
                f"{path}: {name}/{key} has steps of shape {found[0]} and dtype {found[1]}; the first "
                f"demonstration's have {layout[key][0]} and {layout[key][1]}: collect it again"
            )


class _Check:
    """Finds the first thing in a file of a task's environment that `Demonstrations.read` would refuse."""

    def __init__(self, data: h5py.Group) -> None:
        self.problem: str | None = None
        self._task = task_of_environment(env_args(data)["env_name"])
        self._keys: list[ObservationKey] | None = None
        if self._task is not None:
            self.call(check_environment, data, self._task)

    def call(self, check: Callable[..., object], *arguments: Any) -> None:
        """Makes one check, unless something has been found before."""
        if self._task is None or self.problem is not None:
            return
        try:
            check(*arguments)
        except DatasetError as error:
            self.problem = str(error)

    def layout(self, demonstration: h5py.Group) -> None:
        """Shapes and dtypes of the task's keys; which of them there are is for the first one to say."""
        if self._task is None:
            return
        if self._keys is None:
            obs = demonstration.get("obs", getclass=True)
            there = set(demonstration["obs"]) if obs is h5py.Group else set()
            low_dim, image = (
                {key.name: key for key in keys} for keys in (self._task.low_dim, self._task.image)
            )
            present = {name: key for name, key in {**low_dim, **image}.items() if name in there}
            if obs is None:  # states and actions alone: a raw file
                present = {}
            elif not (low_dim.keys() <= there or image.keys() <= there):
                present = low_dim  # no policy can be trained: the check names what is missing
            self._keys = list(present.values())
        if self._keys:
            self.call(check_layout, demonstration, self._keys, self._task.action_dim)

    def values(self, where: str, name: str, values: np.ndarray) -> None:
        """Values of one dataset: its place in the file, its name, and (N, ...)."""
        if name == "actions":
            self.call(check_actions, where, values)
        for key in self._keys or ():
            if name == f"obs/{key.name}" and key.type == "low_dim":
                self.call(check_observations, where, values, key)


class _Numbers:
    """Range, mean and deviation of a key, gathered demonstration by demonstration."""

    def __init__(self) -> None:
        self._low, self._high = float("inf"), float("-inf")
        self._count, self._mean, self._squares = 0, 0.0, 0.0

    def add(self, values: np.ndarray) -> None:
        """Takes in the values of one demonstration."""
        if values.size == 0:
            return
        # np.minimum keeps a NaN, where min() may drop it
        self._low = float(np.minimum(self._low, float(values.min())))
        self._high = float(np.maximum(self._high, float(values.max())))
        # Sums of all values lose digits; the parts' own means and squares are merged (Chan et al. 1979)
        count, total = values.size, self._count + values.size
        with np.errstate(invalid="ignore", over="ignore"):
            mean = float(values.mean(dtype=np.float64))
            squares = float(values.var(dtype=np.float64)) * count
        shift = mean - self._mean
        self._mean += shift * count / total
        self._squares += squares + shift * shift * self._count * count / total
        self._count = total

    def summary(self) -> tuple[float, float, float, float]:
        """Minimum, maximum, mean and standard deviation; NaN where there is no value."""
        if not self._count:
            return (float("nan"),) * 4
        return self._low, self._high, self._mean, float(np.sqrt(self._squares / self._count))
