"""Processes that each keep a simulator: what is lost with one of them is done again by another.

Collecting, rendering, replaying and rollouts all work through `Workers`. A worker may be killed (often:
memory ran out) or hang; either way it is replaced, and its piece of work begins anew. Results are as if
nothing had happened, because no piece of work depends on what its worker did before.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from multiprocessing import connection, resource_tracker
from typing import Any

from tqdm.auto import tqdm

from ddpm_edu.errors import SimulatorError, UserError
from ddpm_edu.machine import usable_cores
from ddpm_edu.patience import patience

MAX_LOSSES = 3
"""A piece of work may be lost so often with its worker before everything stops."""
STARTING = 5
"""Until a worker's first sign, libraries load and compile: the limit is so many times as long."""


def default_workers(pieces: int | None = None) -> int:
    """One process for each core that this process may use, and no more than there are pieces of work."""
    cores = usable_cores()
    return min(cores, pieces) if pieces else cores


class Workers:
    """Processes that do pieces of work; use it as a context manager, at whose end they are killed.

    A script that uses it needs the usual `if __name__ == "__main__":`, because the processes are spawned: one
    that has rendered cannot be forked.

    Args:
        count: how many processes.
        start: called once in each process; returns the function that does a piece of work.
        arguments: what `start` is called with.
        describe: what a piece of work is called in messages.
    """

    def __init__(
        self,
        count: int,
        start: Callable[..., Callable[[Any], Any]],
        arguments: tuple,
        describe: Callable[[Any], str] = str,
    ) -> None:
        self._start, self._describe, self._patience = (start, arguments), describe, patience()
        self._workers: list[_Worker] = []
        self._closed = threading.Event()
        try:
            for _ in range(count):
                self._workers.append(_Worker(*self._start))
            threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the processes at once, in whatever state they are."""
        self._closed.set()
        for worker in self._workers:
            worker.process.kill()  # SIGTERM would wait for a process that is stopped
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()

    def work(self, items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Does pieces of work, taking each from `items` only when a process is free for it.

        Yields:
            The piece and its result, in whatever order they are finished.

        Raises:
            SimulatorError: if a piece was lost `MAX_LOSSES` times. What a piece raises is raised here too.
        """
        items, again = iter(items), deque()
        doing: dict[int, tuple[Any, int]] = {}  # by worker: the piece, and how often it was lost
        while True:
            for number in range(len(self._workers)):
                if number not in doing:
                    if not again and (item := next(items, self)) is not self:
                        again.append((item, 0))
                    if again:
                        doing[number] = again.popleft()
                        self._workers[number].send(doing[number][0])
            if not doing:
                return
            for number in self._ready(doing):
                item, losses = doing.pop(number)
                try:
                    result = self._workers[number].receive()
                except (EOFError, ConnectionError):
                    again.append((item, losses + 1))
                    self.replace(number, self._describe(item), losses + 1)
                else:
                    yield item, result

    def each(self, items: Mapping[int, Any]) -> dict[int, Any]:
        """Gives some processes, by number from 0, one piece of work each, and waits for all of them.

        Returns:
            Their results. Those of processes that were lost are missing: `replace` them.
        """
        for number, item in items.items():
            self._workers[number].send(item)
        waiting, results = set(items), {}
        while waiting:
            for number in self._ready(waiting):
                waiting.discard(number)
                with contextlib.suppress(EOFError, ConnectionError):
                    results[number] = self._workers[number].receive()
        return results

    def replace(self, number: int, lost: str, losses: int) -> None:
        """Puts a new process in the place of one that was lost, and says so on stderr.

        Args:
            number: the process's.
            lost: the work that was lost with it.
            losses: how often this work has been lost now.

        Raises:
            SimulatorError: if it was lost `MAX_LOSSES` times.
        """
        why = f"simulator process {number + 1} of {len(self._workers)} {self._workers[number].obituary()}"
        if losses >= MAX_LOSSES:
            raise SimulatorError(
                f"{why}, and {lost} was lost {losses} times; if memory is short, run again with fewer "
                f"--workers"
            )
        tqdm.write(f"{why}; it is replaced, and its work done again ({lost})", file=sys.stderr)
        self._workers[number].pipe.close()
        self._workers[number] = _Worker(*self._start)

    def _ready(self, numbers: Iterable[int]) -> list[int]:
        pipes = {self._workers[number].pipe: number for number in numbers}
        return [pipes[pipe] for pipe in connection.wait(list(pipes))]

    def _watch(self) -> None:
        """Kills who gives no sign for too long: to all others, a process that hangs is one that died."""
        before, tick = time.monotonic(), min(1.0, self._patience / 4)
        while not self._closed.wait(tick):
            # After Ctrl-Z and fg, or a laptop's sleep, nobody is to blame for the time in between.
            passed, before = min(time.monotonic() - before, 2 * tick), time.monotonic()
            for worker in list(self._workers):
                worker.watch(passed, self._patience)


class _Worker:
    """One process, seen from the one that started it."""

    def __init__(self, start: Callable[..., Callable[[Any], Any]], arguments: tuple) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._signs = context.RawValue("Q", 0)
        self._seen, self._silence, self._busy, self._hung = 0, 0.0, False, 0.0
        self.process = context.Process(
            target=_serve, args=(theirs, self._signs, start, arguments), daemon=True
        )
        with _single_threaded_children(), _children_without_interrupts():
            self.process.start()
        theirs.close()

    def send(self, item: Any) -> None:
        self._silence, self._busy = 0.0, True
        with contextlib.suppress(ConnectionError):  # it has died: `receive` meets that too
            self.pipe.send(item)

    def receive(self) -> Any:
        """The result.

        Raises:
            EOFError, ConnectionError: if the process died.
        """
        result, error, trace = self.pipe.recv()
        self._busy = False
        if error is None:
            return result
        if isinstance(error, UserError):
            raise error
        raise error from RuntimeError(f"in a simulator's process:\n{trace}")

    def watch(self, passed: float, limit: float) -> None:
        signs = self._signs.value
        self._silence = self._silence + passed if signs == self._seen and self._busy else 0.0
        self._seen = signs
        if self._silence > (limit if signs else STARTING * limit):
            self._hung = self._silence
            self.process.kill()

    def obituary(self) -> str:
        """What it died of."""
        self.process.join(timeout=1)
        if self._hung:
            return f"gave no sign for {self._hung:.0f} s (DDPM_EDU_PATIENCE sets the limit)"
        code = self.process.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"died ({signal.Signals(-code).name})"
        return f"died (exit code {code})"


# ---------------------------------------------------------------------- in the process

_signs: Any = None


def sign_of_life() -> None:
    """Called by simulators at every step: a process that gives no sign for `patience()` counts as hung."""
    if _signs is not None:
        _signs.value += 1


def _serve(
    pipe: connection.Connection, signs: Any, start: Callable[..., Callable[[Any], Any]], arguments: tuple
) -> None:
    global _signs
    _signs = signs
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    with contextlib.suppress(OSError, AttributeError):
        # A killed parent cannot stop its workers: ask the kernel to (prctl PR_SET_PDEATHSIG, Linux only).
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    work = None
    while True:
        try:
            item = pipe.recv()
        except (EOFError, ConnectionError):  # the parent is gone
            return
        try:
            work = work or start(*arguments)
            answer = (work(item), None, "")
        except Exception as error:
            answer = (None, _portable(error), traceback.format_exc())
        sign_of_life()
        pipe.send(answer)


def _portable(error: Exception) -> Exception:
    """The error, or, if it does not survive the way to another process, its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


@contextlib.contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Processes that start inside use one thread each: there is one for every core already."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _children_without_interrupts() -> Iterator[None]:
    """Processes that start inside never see Ctrl-C: the parent ends them, without their tracebacks."""
    # Its own start would unblock the signal again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
