"""What a robomimic HDF5 file holds, whatever its task and keys: a look before anything is trained on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from tqdm.auto import tqdm

from ddpm_edu.data.hdf5 import READ_ERRORS, first_line, get_member, open_hdf5, place, read_into
from ddpm_edu.data.validation import check_memory, data_group, demonstration_names, env_args, filter_keys
from ddpm_edu.errors import DatasetError

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
        for name in tqdm(names, desc=f"reading {path.name}", unit="demo", delay=5, leave=False):
            group = get_member(data, name, h5py.Group, "a demonstration is a group")
            for attribute in group.attrs:
                attributes[attribute] = attributes.get(attribute, 0) + 1
            datasets = dict(_datasets(group, ""))
            if "actions" not in datasets:
                raise DatasetError(f"{path}: {name}/actions is missing; each demonstration needs its actions")
            if not layout:
                layout = {key: (found.shape[1:], str(found.dtype)) for key, found in datasets.items()}
            _check_same_layout(path, name, datasets, layout)
            lengths.append(len(datasets["actions"]))
            for key, dataset in datasets.items():
                numbers.setdefault(key, _Numbers()).add(dataset)
        masks = {
            key: int(np.prod(get_member(file["mask"], key, h5py.Dataset, "a mask is a list of names").shape))
            for key in filter_keys(file)
        }
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
    )


def _datasets(group: h5py.Group, prefix: str) -> Iterator[tuple[str, h5py.Dataset]]:
    """Every numeric dataset below a group, with its place."""
    where = f"{group.file.filename}: {place(group)}"
    if prefix.count("/") > MAX_DEPTH:  # hard links can form a ring
        raise DatasetError(f"{where} lies {MAX_DEPTH} groups deep; robomimic's layout has two: make it again")
    try:
        names = list(group)
    except READ_ERRORS as error:
        raise DatasetError(f"{where} cannot be read ({first_line(error)}); copy the file again") from None
    for name in names:
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


class _Numbers:
    """Range, mean and deviation of a key, gathered demonstration by demonstration."""

    def __init__(self) -> None:
        self._low, self._high = float("inf"), float("-inf")
        self._count, self._mean, self._squares = 0, 0.0, 0.0

    def add(self, dataset: h5py.Dataset) -> None:
        """Takes in the values of one demonstration."""
        where = f"{dataset.file.filename}: {place(dataset)}"
        check_memory(dataset.file.filename, dataset.size * dataset.dtype.itemsize, where)
        values = np.empty(dataset.shape, dataset.dtype)
        read_into(dataset, values)
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
