"""Lets another process read an HDF5 file first: a few wrong bytes can make HDF5 loop for ever, or crash.

The other process (`ddpm_edu.data.walker`) walks through the whole file under limits of time and memory. What
came through is remembered: in this process, and where the walk took long in the user's cache folder as well,
by the file's place, size and times. So shipped files, and one's own, are walked through once.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import h5py

from ddpm_edu.data import walker
from ddpm_edu.errors import DatasetError
from ddpm_edu.patience import patience

_SLOW = 0.5
"""Seconds; a quicker walk is not worth a place in the cache."""
_known: set[str] = set()
_lock = threading.Lock()
_helper: tuple[int, subprocess.Popen[str]] | None = None


def check_readable(path: Path) -> None:
    """Refuses a file that cannot be read to its end in finite time and memory.

    Other faults are left to who reads the file: this knows no names and no layout.

    Raises:
        DatasetError: if reading it loops, crashes, waits, or takes far more memory than the file has bytes.
    """
    try:
        key = _fingerprint(path)
    except OSError:
        return  # whoever opens it says why
    with _lock:
        if key in _known:
            return
        remembered = _cache() / key
        if not remembered.exists():
            start = time.monotonic()
            answer = _ask("walk", path)
            if answer.get("problem"):
                raise DatasetError(f"{path} is damaged: it {answer['problem']}; copy or download it again")
            if not answer.get("clean"):
                return
            if time.monotonic() - start > _SLOW:
                with contextlib.suppress(OSError):  # no home, or no room there: walked anew another time
                    remembered.parent.mkdir(parents=True, exist_ok=True)
                    remembered.touch()
        _known.add(key)


def write_masks(path: Path, masks: dict[str, list[str]]) -> None:
    """Writes masks into a file, in the other process: what can still be read may crash who writes into it.

    Raises:
        DatasetError: if the file cannot be changed, because bytes are damaged.
        OSError: if the disk is full.
    """
    with _lock:
        answer = _ask("write_masks", path, masks) or walker.write_masks(str(path), masks)
    if answer.get("full"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    if answer.get("problem"):
        raise DatasetError(f"it {answer['problem']}")


def _fingerprint(path: Path) -> str:
    state = path.stat()
    parts = (
        os.path.realpath(path), state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns,
        state.st_ctime_ns, h5py.version.hdf5_version,
    )  # fmt: skip
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "ddpm_edu" / "hdf5"


def _ask(work: str, path: Path, *arguments: object) -> dict[str, object]:
    """The helper's answer; an empty one where no helper can be started, as in a frozen program."""
    global _helper
    seconds = patience()
    if _helper is None or _helper[0] != os.getpid() or _helper[1].poll() is not None:
        _helper = _start()
    if _helper is None:
        return {}
    process = _helper[1]
    try:
        process.stdin.write(json.dumps([work, os.path.abspath(path), *arguments]) + "\n")
        process.stdin.flush()
        while True:
            line, in_time = _line(process, seconds)
            if line != ".\n":
                break
        return json.loads(line) if in_time else {"problem": f"lets its reader wait for {seconds:g} s"}
    except (OSError, ValueError):
        return {"problem": "ends the process that reads it"}
    except BaseException:  # Ctrl-C: a late answer would be taken for the next file's
        process.kill()
        raise


def _line(process: subprocess.Popen[str], seconds: float) -> tuple[str, bool]:
    """The helper's next line, and whether it came in time; if not, the helper and its fork are killed."""
    late = threading.Event()

    def end() -> None:
        late.set()
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)  # it leads a session of its own
            else:
                process.kill()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        line = process.stdout.readline()
    finally:
        timer.cancel()
    return line, not late.is_set()


def _start() -> tuple[int, subprocess.Popen[str]] | None:
    package = str(Path(__file__).parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    # one thread: threads reserve memory, and a process with threads should not fork
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "ddpm_edu.data.walker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C is for its parent
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **threads},
        )
    except OSError:
        return None
    if process.stdout.readline() != "ready\n":
        _end(process)
        return None
    atexit.register(_end, process)
    return os.getpid(), process


def _end(process: subprocess.Popen[str]) -> None:
    """Closing its input ends the helper."""
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            stream.close()
    process.wait()
