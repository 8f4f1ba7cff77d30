"""Processes of simulators, stepped together as the rows of one batch."""

from __future__ import annotations

import contextlib
import math
import os
import signal
from collections.abc import Iterator
from functools import partial
from multiprocessing import connection, resource_tracker

import numpy as np
from gymnasium.vector import AsyncVectorEnv

from ddpm_edu.simulation.slots import REST, SimulatorSlots
from ddpm_edu.tasks import ObservationMode, Task


class Simulators:
    """gymnasium's AsyncVectorEnv over processes of several simulators each, seen as rows of one batch.

    AsyncVectorEnv cannot go on once a process of it has died, so a whole new one is made then.

    Args:
        task: what is simulated.
        observation: "low_dim" or "image".
        workers: processes.
        rows: simulators in all; each process holds its share.
        n_obs_steps: To.
        n_action_steps: Ta.
        action_dim: Da, 7 for delta actions and 10 for absolute ones.

    Raises:
        EOFError, ConnectionError: if a process died; also raised by `step`.
    """

    def __init__(
        self,
        task: Task,
        observation: ObservationMode,
        workers: int,
        rows: int,
        n_obs_steps: int,
        n_action_steps: int,
        action_dim: int,
    ):
        slots = math.ceil(rows / workers)
        self.task, self.workers, self.rows, self.slots = task, workers, rows, slots
        self.action_dim = action_dim
        # The rows of the batch belong to worker 0, then to worker 1, ...; few episodes spread over all.
        self.fill_order = sorted(range(self.rows), key=lambda row: (row % slots, row // slots))
        make = partial(SimulatorSlots, task, observation, slots, n_obs_steps, n_action_steps, action_dim)
        with _single_threaded_children(), _children_without_interrupts():
            self.environment = AsyncVectorEnv([make] * workers, context="spawn")

    def step(
        self, seed: np.ndarray, action: np.ndarray
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Advance every row; see `SimulatorSlots.step`. Returns observations and status by row."""
        total = self.workers * self.slots
        padded_seed = np.full(total, REST)
        padded_seed[: self.rows] = seed
        padded_action = np.zeros((total, *action.shape[1:]), np.float32)
        padded_action[: self.rows] = action
        split = {
            "seed": padded_seed.reshape(self.workers, self.slots),
            "action": padded_action.reshape(self.workers, self.slots, *action.shape[1:]),
        }
        observations, _, _, _, info = self.environment.step(split)
        for error in info.get("error", ()):
            if error is not None:
                raise error
        by_row = {key: self._rows(value) for key, value in observations.items()}
        return by_row, {key: self._rows(info[key]) for key in ("running", "success", "length")}

    def _rows(self, value: np.ndarray) -> np.ndarray:
        return value.reshape(self.workers * self.slots, *value.shape[2:])[: self.rows]

    def obituary(self) -> str:
        """Which process died of what."""
        connection.wait([process.sentinel for process in self.environment.processes], timeout=1)
        dead = [
            (number, process.exitcode)
            for number, process in enumerate(self.environment.processes, 1)
            if process.exitcode is not None
        ]
        causes = ", ".join(f"{number} of {self.workers} ({_cause(exitcode)})" for number, exitcode in dead)
        return f"simulator process {causes or '?'} died"

    def close(self) -> None:
        """End the processes at once, in whatever state they are."""
        # AsyncVectorEnv.close waits for the answers that are due, which a dead process never gives.
        for process in self.environment.processes:
            process.terminate()
        for process in self.environment.processes:
            process.join()
        for pipe in self.environment.parent_pipes:
            if pipe is not None:
                pipe.close()
        self.environment.closed = True


def _cause(exitcode: int) -> str:
    if exitcode >= 0:
        return f"exit code {exitcode}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-exitcode).name
    return f"signal {-exitcode}"


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
