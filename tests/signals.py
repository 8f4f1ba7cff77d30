"""Real signals to the process of the tests, in the midst of what it does."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def killing() -> Iterator[None]:
    """A block in which SIGTERM and SIGHUP end the test, as they end a command that does not handle them."""

    def die(number: int, frame: object) -> None:
        raise SystemExit(f"killed by {signal.Signals(number).name}")

    before = {number: signal.signal(number, die) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def sending(function: Callable[..., Any], *numbers: int) -> Callable[..., Any]:
    """The same function; at its beginning this process is sent signals."""

    def sent(*arguments: Any, **named: Any) -> Any:
        for number in numbers:
            os.kill(os.getpid(), number)
        return function(*arguments, **named)

    return sent
