"""Work for the tests of the pool, in a module that a spawned process can import."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

from ddpm_edu.errors import ConfigError


def signalled_once(folder: Path) -> Callable[[str], str]:
    """Work that sends its process the signal that it is named after, the first time."""

    def work(item: str) -> str:
        if item.startswith("SIG"):
            try:
                (folder / item).touch(exist_ok=False)
            except FileExistsError:
                return item.lower()
            os.kill(os.getpid(), getattr(signal, item))
        return item.lower()

    return work


def always_killed() -> Callable[[str], None]:
    """Work that kills its process."""
    return lambda item: os.kill(os.getpid(), signal.SIGKILL)


def refusing() -> Callable[[str], None]:
    """Work that raises the error that it is named after."""

    def work(item: str) -> None:
        raise {"user": ConfigError("mend it"), "disk": OSError(errno.ENOSPC, "full")}[item]

    return work
