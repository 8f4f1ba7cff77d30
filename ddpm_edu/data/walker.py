"""Walks through HDF5 files, in a process of its own whose end harms nobody; see `ddpm_edu.data.probe`.

Started as `python -m ddpm_edu.data.walker`, it reads one request a line, the name and the arguments of a
function of `WORK`, and answers each with a line of JSON; a line of a dot now and then tells that it is at
work. Each file is opened in a fork, which the kernel stops when it computes for seconds without getting on,
or asks for much more memory than the file can explain.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

try:
    import resource
except ImportError:  # Windows
    resource = None

STUCK = 2
"""Seconds of computing, on a file's next small piece, after which it counts as endless."""
_SPARE = 2**30
_BLOCK = 2**25
ALWAYS_FINE = 2**26
MOST_COMPRESSION = 1100  # deflate's own limit is 1032


def walk(path: str) -> dict[str, object]:
    """Touches everything in a file: links, attributes and values.

    What cannot be read is passed over: whoever needs it meets the same error, and has words for it.

    Returns:
        `{"clean": whether all could be read, "problem": what is wrong with the file as a whole, or None}`.
    """
    _go_on(0)
    clean, declared, size = True, 0, os.path.getsize(path)
    try:
        with h5py.File(path, "r") as file:
            for member in _members(file):
                if member is None:
                    clean = False
                    continue
                try:
                    for name in member.attrs:
                        member.attrs[name]
                        _go_on(0)
                    if isinstance(member, h5py.Dataset):
                        own = _declared(member)
                        if _too_much(own, member.id.get_storage_size()):
                            clean = False  # who needs it refuses it by its name
                            continue
                        declared += own
                        if _too_much(declared, size):
                            problem = f"declares {declared / 2**30:.2f} GiB and has {size / 2**20:.1f} MiB"
                            return {"clean": False, "problem": problem}
                        _read(member)
                except MemoryError:
                    raise
                except Exception as error:
                    _refuse_allocation(error)
                    clean = False
    except MemoryError:
        return {"clean": False, "problem": "asks for more memory than its size explains"}
    except Exception:
        clean = False
    return {"clean": clean, "problem": None}


def write_masks(path: str, masks: dict[str, list[str]]) -> dict[str, object]:
    """Writes masks into a file, in the place of those that have their names.

    Returns:
        As `walk`; `"full": True` where there is no room on the disk.
    """
    _go_on(os.path.getsize(path))
    try:
        with h5py.File(path, "r+") as file:
            group = file.require_group("mask")
            for name, members in masks.items():
                if name in group:
                    del group[name]
                group[name] = np.array(members, dtype="S")
    except Exception as error:
        if "No space left" in str(error):
            return {"clean": False, "problem": None, "full": True}
        line = next(iter(str(error).strip("'\" ").splitlines()), type(error).__name__)
        return {"clean": False, "problem": f"cannot be changed ({line})"}
    return {"clean": True, "problem": None}


def _members(file: h5py.File) -> Iterator[h5py.Group | h5py.Dataset | None]:
    """Everything that stands in a file itself, each once; None for what cannot be opened."""
    seen, waiting = set(), [file["/"]]
    while waiting:
        member = waiting.pop()
        yield member
        if not isinstance(member, h5py.Group):
            continue
        try:
            for name in member:
                _go_on(0)
                try:
                    if not isinstance(member.get(name, getlink=True), h5py.HardLink):
                        continue
                    found = member[name]
                    address = h5py.h5o.get_info(found.id).addr
                except MemoryError:
                    raise
                except Exception as error:
                    _refuse_allocation(error)
                    yield None
                    continue
                if address not in seen and isinstance(found, (h5py.Group, h5py.Dataset)):
                    seen.add(address)
                    waiting.append(found)
        except MemoryError:
            raise
        except Exception as error:
            _refuse_allocation(error)
            yield None


def _too_much(declared: int, stored: int) -> bool:
    return declared > max(ALWAYS_FINE, MOST_COMPRESSION * stored)


def _declared(dataset: h5py.Dataset) -> int:
    """Bytes of a dataset that stands in the file itself."""
    outside = dataset.shape is None or dataset.is_virtual or dataset.external
    return 0 if outside else dataset.size * dataset.dtype.itemsize


def _read(dataset: h5py.Dataset) -> None:
    if not _declared(dataset):
        return
    if not dataset.shape:
        dataset[()]
        return
    rows = dataset.shape[0]
    row = _declared(dataset) // rows
    chunk = dataset.chunks[0] if dataset.chunks else 1
    step = max(1, _BLOCK // max(1, row) // chunk) * chunk  # whole chunks: none is unpacked twice
    for start in range(0, rows, step):
        _go_on(row * min(step, rows - start))
        np.asarray(dataset[start : start + step])


def _refuse_allocation(error: Exception) -> None:
    """HDF5 says in its own way that memory was not to be had."""
    if "alloc" in str(error):
        raise MemoryError


_before: tuple[int, int] | None = None
_resident_before = _most_granted = 0
_last_sign = 0.0
_signs = 1
"""File descriptor that takes a line of a dot for a sign of life."""


def _go_on(size: int) -> None:
    """Grants the next piece, of so many bytes, its time and memory; gives a sign of life."""
    global _before, _last_sign, _resident_before, _most_granted
    if time.monotonic() - _last_sign > 1:
        _last_sign = time.monotonic()
        os.write(_signs, b".\n")
    if resource is None:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    resident = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    if _before is None:
        _resident_before = resident
    elif resident > _resident_before + _most_granted:  # macOS sets no limit to a process's memory
        raise MemoryError
    now = math.ceil(used.ru_utime + used.ru_stime) + STUCK + size // 2**24
    memory = _SPARE + 2 * size
    _most_granted = max(_most_granted, memory)
    if (now, memory) != _before:
        _before = (now, memory)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CPU, (now, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        with contextlib.suppress(ValueError, OSError):  # macOS knows no such limit
            resource.setrlimit(
                resource.RLIMIT_AS, (_START + memory, resource.getrlimit(resource.RLIMIT_AS)[1])
            )


def _address_space() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError):
        return 2**40
    return pages * os.sysconf("SC_PAGE_SIZE")


def _in_fork(name: str, *arguments: object) -> dict[str, object]:
    """Works in a fork of this process; it says how the fork ended if it did not end well."""
    global _signs
    if not hasattr(os, "fork"):
        return WORK[name](*arguments)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _signs = writing
            found = json.dumps(WORK[name](*arguments))
            with os.fdopen(writing, "w") as answer:
                answer.write(found)
        finally:
            os._exit(0)
    os.close(writing)
    text = ""
    with os.fdopen(reading) as answer:
        for line in answer:
            if line == ".\n":
                print(".", flush=True)
            else:
                text = line
    status = os.waitpid(child, 0)[1]
    if text:
        return json.loads(text)
    if not os.WIFSIGNALED(status):
        return {"clean": False, "problem": "cannot be read"}
    kind = os.WTERMSIG(status)
    if kind == signal.SIGXCPU:
        return {"clean": False, "problem": "leads in a circle: reading it does not end"}
    return {"clean": False, "problem": f"makes its reader crash ({signal.Signals(kind).name})"}


_START = _address_space()
WORK = {"walk": walk, "write_masks": write_masks}


def main() -> None:
    """Answers requests, given as lines of JSON, until there are no more."""
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(_in_fork(*json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
