"""Processes that each keep a simulator, and do not outlive what started them."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from ddpm_edu.errors import SimulatorError, UserError


@contextlib.contextmanager
def worker_pool(
    workers: int, start: Callable[..., None], arguments: tuple, name: str
) -> Iterator[ProcessPoolExecutor]:
    """A pool whose processes have called `start(*arguments)`; its work is `submit(in_worker, work, item)`.

    At the end, what is still being done is thrown away.

    Args:
        workers: how many processes.
        start: makes what the work needs, once for each process.
        arguments: what it is called with.
        name: of such a process, for messages.

    Raises:
        SimulatorError: if a process died.
    """
    # "spawn", because a process that has rendered cannot be forked
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _start_process, (start, *arguments)
    )
    try:
        yield pool
    except BrokenProcessPool:
        raise SimulatorError(
            f"{name} died (often: memory ran out); what is finished is kept, run the same command again with "
            "fewer workers"
        ) from None
    finally:
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


_refusals: list[UserError] = []


def in_worker(work: Callable[[Any], Any], item: Any) -> Any:
    """Does `work(item)` in a process of a `worker_pool`, or says why that process could not start."""
    if _refusals:
        raise _refusals[0]
    return work(item)


def _start_process(start: Callable[..., None], *arguments: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    with contextlib.suppress(OSError, AttributeError):
        # A killed parent cannot stop its workers: ask the kernel to (prctl PR_SET_PDEATHSIG, Linux only).
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    try:
        start(*arguments)
    except UserError as error:  # an initializer's error would only break the pool: the first work says it
        _refusals.append(error)
