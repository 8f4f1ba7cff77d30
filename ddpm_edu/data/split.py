"""Divides a file's demonstrations into those that are trained on and those that are held out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ddpm_edu.data.hdf5 import missing, open_hdf5
from ddpm_edu.data.probe import write_masks
from ddpm_edu.data.validation import data_group, demonstration_names, filter_keys
from ddpm_edu.data.writer import valid_demonstrations
from ddpm_edu.errors import ConfigError, DatasetError
from ddpm_edu.files import only_writer, partial_name

_NAME_ONE = "name a robomimic HDF5 file"


def split(
    path: str | Path,
    valid_fraction: float = 0.1,
    seed: int = 0,
    train_mask: str = "train",
    valid_mask: str = "valid",
    overwrite: bool = False,
) -> tuple[int, int]:
    """Writes two masks into a file, by way of a copy beside it that takes its place when it is complete.

    Args:
        path: a robomimic HDF5 file.
        valid_fraction: share that is held out, above 0 and below 1; each mask gets at least one.
        seed: decides which.
        train_mask: name of the mask that is trained on.
        valid_mask: name of the other.
        overwrite: replace masks of these names; otherwise they are refused.

    Returns:
        How many demonstrations are trained on, and how many held out.

    Raises:
        ConfigError: if a setting cannot be, or a mask is there and `overwrite` is False.
        DatasetError: if the file is broken, or has a single demonstration.
        BusyError: if another process is writing the file.
    """
    path = Path(os.path.realpath(path))  # a link stays a link
    if not 0 < valid_fraction < 1:
        raise ConfigError(f"valid_fraction is {valid_fraction}; it must lie between 0 and 1")
    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must be at least 0")
    if train_mask == valid_mask or not all(
        name and not set("/.") & set(name) for name in (train_mask, valid_mask)
    ):
        raise ConfigError(f"masks {train_mask!r} and {valid_mask!r} must be two names without / and .")
    if not path.exists():
        raise missing(path, _NAME_ONE)
    with only_writer(path):  # before looking: another call may be dividing it
        chosen = _chosen(path, valid_fraction, seed, train_mask, valid_mask, overwrite)
        copy = partial_name(path)
        try:
            shutil.copy(path, copy)
            try:
                write_masks(copy, chosen)
            except DatasetError as error:
                raise DatasetError(f"{path} is damaged: {error}; copy or download it again") from None
            with copy.open("rb") as whole:
                os.fsync(whole.fileno())
            copy.replace(path)
        finally:
            copy.unlink(missing_ok=True)
    return len(chosen[train_mask]), len(chosen[valid_mask])


def _chosen(
    path: Path, valid_fraction: float, seed: int, train_mask: str, valid_mask: str, overwrite: bool
) -> dict[str, list[str]]:
    """The names of the demonstrations of both masks, which the file has not or may lose."""
    with open_hdf5(path, _NAME_ONE) as file:
        names = demonstration_names(data_group(file))
        there = [name for name in (train_mask, valid_mask) if name in filter_keys(file)]
    if there and not overwrite:
        raise ConfigError(f"{path} has the mask {there[0]} already; --overwrite replaces it")
    if len(names) < 2:
        raise DatasetError(f"{path} has one demonstration; two are wanted, to hold one out: collect more")
    valid = valid_demonstrations(len(names), valid_fraction, seed)
    return {
        train_mask: [name for index, name in enumerate(names) if index not in valid],
        valid_mask: [name for index, name in enumerate(names) if index in valid],
    }
