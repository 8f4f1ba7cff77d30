"""Writing files so that a stop at any moment leaves the old content or the new, never a half.

Nor do two processes that write the same thing: `only_writer` lets one of them in.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import re
import secrets
import shlex
import shutil
import socket
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from ddpm_edu.errors import BusyError, ConfigError, UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_LOCK = "ddpm-edu lock: "
"""A lock file begins so: another file of that name is somebody's, and stays."""
_ASIDE = ".set-aside"
"""How the name of a folder ends, after that of its place, while another takes that place."""


@contextlib.contextmanager
def write_atomically(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write into that takes its place only when it is complete and on the disk.

    Args:
        path: where the file shall stand; its folder is made if it is missing.

    Yields:
        The open file, beside its place under the name that `partial_name` gives. An error inside removes it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_name(path)
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # on a disk that fails, the first error is the one to tell
            partial.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextlib.contextmanager
def write_folder(path: str | Path) -> Iterator[Path]:
    """A folder to fill that takes its place only when it is complete, instead of an older one there.

    What is written into it must be on the disk by itself, as with `write_atomically`.

    Args:
        path: where the folder shall stand; its parent is made if it is missing.

    Yields:
        The new folder, beside its place under the name that `partial_name` gives. An error inside removes it.
    """
    path = Path(path)
    partial = partial_name(path)
    try:
        partial.mkdir(parents=True)
        yield partial
        sync(partial)
        if path.exists():
            _exchange(partial, path)  # killed in there, it may leave the older one set aside
        else:
            partial.rename(path)
            sync(path.parent)
            return
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync(path.parent)
    shutil.rmtree(partial, ignore_errors=True)  # the older one; what is left of it is swept up later


def refuse_foreign(folder: str | Path, ours: Iterable[str]) -> None:
    """Refuses to write into a folder with something in it, but nothing of what the command writes there.

    Args:
        folder: the folder; it may be missing.
        ours: names of files and folders that tell that the command has written there before.

    Raises:
        UserError: naming something that is there.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return
    there = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    if there and not set(ours).intersection(there):
        raise UserError(
            f"{folder} holds {there[0]} and nothing that this command has written; "
            "choose another folder, or an empty one"
        )


def refuse_foreign_file(path: str | Path, start: bytes, mark: bytes, what: str) -> None:
    """Refuses to write over something that the command has not written itself.

    Args:
        path: the file to write; nothing need be there.
        start: how the command's files begin.
        mark: what all of them have somewhere.
        what: what they are, for the message.

    Raises:
        ConfigError: if something else is there.
    """
    path = Path(path)
    if not os.path.lexists(path):
        return
    content = path.read_bytes() if path.is_file() else b""
    if not (content.startswith(start) and mark in content):
        raise ConfigError(f"{path} exists and is no {what} of ddpm-edu; give another name")


def plain_name(name: str) -> str:
    """A name that stays in the folder that it is put into.

    Raises:
        UserError: if it has a slash or is no name at all.
    """
    if not name.strip(". ") or set(name) & set("/\\\0"):
        raise UserError(f"the name {name!r} leads out of its folder; take one without slashes")
    return name


def remove_folder(path: Path) -> None:
    """Removes a folder so that a stop in the middle leaves nothing that looks whole."""
    shutil.rmtree(path.rename(partial_name(path)))


def remove_unfinished(folder: Path) -> None:
    """Mends what writers left half done in `folder` when they died. For its only writer to call.

    A folder that was set aside for a new one, which did not come any more, takes its place again.
    """
    for aside in list(folder.glob(f"?*.{'[0-9a-f]' * 8}{_ASIDE}")):
        path = aside.with_name(aside.name[: -len(".01234567") - len(_ASIDE)])
        if path.exists():
            aside.rename(partial_name(path))  # the new one has come
        else:
            aside.rename(path)
    for left in folder.glob("*.????????.partial"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def sync(path: str | Path) -> None:
    """Waits until a file, or a folder's list of names, is on the disk; Windows cannot be told to."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(one: Path, other: Path) -> None:
    """Lets two folders change places at once; where the system cannot, one after the other.

    `remove_unfinished` puts back what a kill between the two has left aside.
    """
    if _exchanged_at_once(os.fsencode(one), os.fsencode(other)):
        return
    aside = partial_name(other).with_suffix(_ASIDE)
    other.rename(aside)
    try:
        one.rename(other)
    except BaseException:
        aside.rename(other)
        raise
    aside.rename(one)


def _exchanged_at_once(one: bytes, other: bytes) -> bool:
    at_cwd, exchange = -100, 2
    with contextlib.suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None, use_errno=True)  # none on Windows: a TypeError
        if sys.platform == "darwin":
            return library.renamex_np(one, other, exchange) == 0
        return library.renameat2(at_cwd, one, at_cwd, other, exchange) == 0
    return False


def partial_name(path: Path) -> Path:
    """Where something is written until it is complete: beside `path`, under a name that nobody else takes."""
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")


@contextlib.contextmanager
def only_writer(path: str | Path) -> Iterator[None]:
    """Lets one process at a time write a file or a folder.

    A file beside it, `path` + ".lock", is locked by the kernel (flock) and says who writes. The lock of a
    process that dies, however it dies, is free at once, and what it left half written (see `partial_name`)
    is removed by the next writer. Not to be nested: a second lock of the same path is refused, in one process
    too. Where the file system knows no locks, and on Windows, everybody is let in.

    Args:
        path: what will be written; its folder is made if it is missing.

    Raises:
        BusyError: if another process is writing it, or the lock's name is taken by something else.
    """
    path = Path(os.path.realpath(path))  # one file has one lock, whatever links lead to it
    path.parent.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    lock = path.with_name(path.name + ".lock")
    descriptor = _locked(lock, path)
    try:
        ours = re.compile(re.escape(path.name) + r"\.[0-9a-f]{8}\.partial")
        for left in [entry for entry in os.scandir(path.parent) if ours.fullmatch(entry.name)]:
            if left.is_file(follow_symlinks=False):
                os.unlink(left.path)
        yield
    finally:
        lock.unlink(missing_ok=True)  # while it is held: see below
        os.close(descriptor)


def _locked(lock: Path, path: Path) -> int:
    """The open, locked lock file, with our name in it."""
    foreign = BusyError(f"{lock} is wanted as a lock, and is something else; move it away")
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise foreign from None
            raise
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise foreign
            holder = os.pread(descriptor, 1000, 0).decode(errors="replace")
            if holder and not holder.startswith(_LOCK):
                raise foreign
            if not lock_file(descriptor):
                # by now it says who: the holder may have been about to write its name
                holder = os.pread(descriptor, 1000, 0).decode(errors="replace").removeprefix(_LOCK)
                who = "".join(letter for letter in holder if letter.isprintable()) or "another process"
                raise BusyError(f"{path} is being written by {who}; wait until that has ended, or stop it")
            # A holder that ended between our opening and our locking took the file's name with it, and the
            # next one makes a new file: only the file that has the name counts.
            if os.fstat(descriptor).st_nlink:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{_LOCK}{_who()}\n".encode(), 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _who() -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    return f"process {os.getpid()} on {socket.gethostname()} since {since} ({shlex.join(sys.argv)[:400]})"


def lock_file(descriptor: int) -> bool:
    """Locks an open file until it is closed; False if another process has it locked.

    Where there are no locks, on Windows or on the file system, everybody is let in.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
    return True


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
