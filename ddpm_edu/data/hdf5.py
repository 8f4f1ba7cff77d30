"""Opens HDF5 files that come from elsewhere: every failure is one line, and nothing outside the file is read.

HDF5 lets a file name other files: by links, by external storage, by virtual datasets. A dataset that
someone downloads could so make a training run read any file of the user's. Such members are refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import h5py
import numpy as np

from ddpm_edu.data.probe import check_readable
from ddpm_edu.errors import DatasetError, first_line
from ddpm_edu.text import shell_line

Member = TypeVar("Member", h5py.Group, h5py.Dataset)

# What h5py raises where the bytes on the disk make no sense.
READ_ERRORS = (OSError, RuntimeError, KeyError, ValueError, OverflowError, RecursionError, MemoryError)


@contextlib.contextmanager
def open_hdf5(path: Path, missing_hint: str) -> Iterator[h5py.File]:
    """Opens a file for reading.

    Args:
        path: the file.
        missing_hint: what to do when there is no such file, as the end of a sentence.

    Raises:
        DatasetError: if the file is missing, unreadable, truncated, or not HDF5, or if h5py fails inside the
            block, because bytes are damaged.
    """
    if not path.exists():
        raise missing(path, missing_hint)
    if not path.is_file():
        raise DatasetError(f"{path} is not a file; name the HDF5 file itself")
    check_readable(path)
    try:
        file = h5py.File(path, "r")
    except PermissionError:
        mend = shell_line(["chmod", "u+r", path])
        raise DatasetError(f"{path} may not be read; give yourself permission: {mend}") from None
    except (*READ_ERRORS, TypeError) as error:
        reason = first_line(error)
        if "truncated" in reason:
            problem = f"is truncated ({reason}); copy or download it again"
        elif "signature" in reason:
            problem = "is not an HDF5 file; demonstrations are HDF5 files in robomimic's layout"
        elif "lock" in reason:
            problem = "is being written by another process; wait until it is done"
        else:
            problem = f"cannot be opened as HDF5 ({reason}); copy or download it again"
        raise DatasetError(f"{path} {problem}") from None
    with file:
        try:
            yield file
        except (MemoryError, RecursionError, UnicodeError) as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
            raise DatasetError(f"{path} cannot be read ({reason}); copy or download it again") from None
        except (*READ_ERRORS, TypeError) as error:
            # Damaged bytes can fail at any touch, such as asking for a dtype; ours keep their own words.
            if isinstance(error, DatasetError) or not _raised_by_h5py(error):
                raise
            raise _damaged(str(path), error) from None


def missing(path: Path, hint: str) -> DatasetError:
    """The error of a file that is not there, and what to do about it."""
    return DatasetError(f"{path} does not exist; {hint}")


def get_member(
    group: h5py.Group, name: str, kind: type[Member] | tuple[type[Member], ...], advice: str
) -> Member:
    """A group or dataset that stands in `group` itself.

    Args:
        group: where to look.
        name: one name, no path.
        kind: `h5py.Group`, `h5py.Dataset`, or both.
        advice: what to do when it is missing, as the end of a sentence.

    Raises:
        DatasetError: if it is missing, of another kind, unreadable, or kept outside the file.
    """
    where = f"{group.file.filename}: {place(group, name)}"
    wanted = "group" if kind is h5py.Group else "dataset"
    try:
        link = group.get(name, getlink=True)
        if link is None:
            raise DatasetError(f"{where} is missing; {advice}")
        if not isinstance(link, h5py.HardLink):
            target = getattr(link, "filename", "") + ":" + link.path
            raise DatasetError(
                f"{where} is a link to {target}; links are not followed, because they can leave the file: "
                "copy the data itself into the file"
            )
        member = group[name]
    except DatasetError:
        raise
    except READ_ERRORS as error:
        raise _damaged(where, error) from None
    if not isinstance(member, kind):
        raise DatasetError(f"{where} is not a {wanted}; {advice}")
    if isinstance(member, h5py.Dataset) and (member.external or member.is_virtual):
        raise DatasetError(
            f"{where} keeps its values in other files, which are not read; copy the data itself into the file"
        )
    return member


def names_in(group: h5py.Group) -> list[str]:
    """The names of what stands in a group.

    Raises:
        DatasetError: if they cannot be read, or one is not UTF-8.
    """
    where = f"{group.file.filename}: {place(group)}"
    try:
        names = list(group)
    except READ_ERRORS as error:
        raise _damaged(where, error) from None
    for name in names:
        if not isinstance(name, str):
            raise DatasetError(f"{where} has a name that is not UTF-8, {name!r}; copy the file again")
    return names


def read_into(dataset: h5py.Dataset, target: np.ndarray) -> None:
    """Reads a whole dataset into an array of its shape, converting to the array's dtype.

    Raises:
        DatasetError: if the bytes on the disk are damaged.
    """
    try:
        dataset.read_direct(target)
    except (*READ_ERRORS, TypeError) as error:
        raise _damaged(f"{dataset.file.filename}: {place(dataset)}", error) from None


def place(member: h5py.Group | h5py.Dataset, name: str = "") -> str:
    """Where something stands in its file, as in "demo_3/obs/object": robomimic keeps all under "data"."""
    path = f"{member.name}/{name}".strip("/").replace("//", "/")
    return path.removeprefix("data/")


def _raised_by_h5py(error: BaseException) -> bool:
    """Whether the innermost line of the traceback is h5py's."""
    line = error.__traceback__
    while line is not None and line.tb_next is not None:
        line = line.tb_next
    return line is not None and "h5py" in line.tb_frame.f_code.co_filename


def _damaged(where: str, error: Exception) -> DatasetError:
    return DatasetError(f"{where} cannot be read ({first_line(error)}); copy or download the file again")
