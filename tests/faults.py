"""Lets the n-th thing that a piece of work asks of the disk fail, as SQLite's tests do."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
import safetensors.torch

from ddpm_edu import files


class DiskFails:
    """Counts opening, writing, syncing, renaming, new folders and large allocations, and fails one of them.

    Args:
        monkeypatch: puts everything back.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.done: list[str] = []
        self.fails_at: int | None = None
        self.lasting = False
        # What the counting sees is enough: no test can cut the power.
        monkeypatch.setattr(os, "fsync", self._counted("fsync", lambda descriptor: None))
        for owner, name in (
            (Path, "rename"),
            (Path, "replace"),
            (Path, "mkdir"),
            (files, "_exchange"),
            (h5py.Group, "create_dataset"),
        ):
            monkeypatch.setattr(owner, name, self._counted(name, getattr(owner, name)))
        allocating = self._counted("allocate", safetensors.torch.save, MemoryError())
        monkeypatch.setattr(safetensors.torch, "save", allocating)
        plain_open, unlink, rmtree = Path.open, Path.unlink, shutil.rmtree

        def open_counted(path: Path, mode: str = "r", *arguments: Any, **named: Any) -> Any:
            if not set(mode) & set("wxa"):
                return plain_open(path, mode, *arguments, **named)
            self._count("open")
            return _Counted(plain_open(path, mode, *arguments, **named), self._count)

        def unlink_alive(path: Path, missing_ok: bool = False) -> None:
            if self.dead and path.suffix != ".lock":  # the lock of a dead process is free
                raise OSError(errno.EIO, "dead")
            unlink(path, missing_ok)

        monkeypatch.setattr(Path, "open", open_counted)
        monkeypatch.setattr(Path, "unlink", unlink_alive)
        monkeypatch.setattr(shutil, "rmtree", lambda *a, **k: None if self.dead else rmtree(*a, **k))

    @property
    def dead(self) -> bool:
        """Whether nothing reaches the disk any more, as after a power cut."""
        return self.lasting and self.fails_at is not None and len(self.done) >= self.fails_at

    @contextlib.contextmanager
    def at(self, number: int, lasting: bool) -> Iterator[None]:
        """The `number`-th request fails, or with `lasting` that one and all after it."""
        self.done, self.fails_at, self.lasting = [], number, lasting
        try:
            yield
        finally:
            self.fails_at = None

    def _count(self, name: str, error: BaseException | None = None) -> None:
        self.done.append(name)
        if self.fails_at is None:
            return
        if len(self.done) == self.fails_at or self.dead:
            raise error or OSError(errno.EIO, f"request {len(self.done)}: {name} fails")

    def _counted(self, name: str, real: Callable, error: BaseException | None = None) -> Callable:
        def counted(*arguments: Any, **named: Any) -> Any:
            self._count(name, error)
            return real(*arguments, **named)

        return counted


class _Counted:
    """A file whose writes are counted."""

    def __init__(self, file: Any, count: Callable[[str], None]):
        self._file, self._count = file, count

    def write(self, content: Any) -> int:
        self._count("write")
        return self._file.write(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Counted:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._file.close()


def for_every_request(
    disk: DiskFails,
    prepare: Callable[[], None],
    work: Callable[[], Any],
    state: Callable[[], Any],
) -> int:
    """Fails each request of `work` once, and from each on all; returns how many there are.

    Asserts that afterwards the state is the old or the new one, and that the same work then succeeds.

    Args:
        disk: what fails.
        prepare: makes the old state anew.
        work: what is tested.
        state: reads what stands there; it raises if that is neither whole.
    """
    prepare()
    old = state()
    disk.done = []
    work()
    new, count = state(), len(disk.done)
    assert new != old
    for lasting in (False, True):
        for number in range(1, count + 1):
            prepare()
            with disk.at(number, lasting), contextlib.suppress(OSError, MemoryError):
                work()
            found = state()
            assert found in (old, new), f"request {number} ({disk.done[number - 1]}), lasting {lasting}"
            work()
            assert state() == new, f"after request {number}, lasting {lasting}"
    return count
