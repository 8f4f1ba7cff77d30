"""Collects demonstrations of a scripted expert into a robomimic HDF5 file.

Attempts are numbered; attempt i is a function of the command's seed and i alone. Every finished attempt is
kept on disk at once, in a folder beside the file to be made, and the file is put together from the first n
successes in the order of their numbers. So the result does not depend on the number of workers, and a
collection that is stopped at any moment goes on where it was when the same command is given again.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ddpm_edu.data.made_from import made_from
from ddpm_edu.data.writer import DemonstrationWriter
from ddpm_edu.errors import ConfigError, DatasetError, SimulatorError
from ddpm_edu.files import only_writer, write_atomically
from ddpm_edu.simulation.env import make_env
from ddpm_edu.simulation.episodes import Disturbance, record_attempt
from ddpm_edu.simulation.kept import load_demonstration, prepare_folder, save_demonstration
from ddpm_edu.simulation.workers import Workers
from ddpm_edu.tasks import ObservationMode, Task, get_task

COLLECTION = "collection"
"""Attribute of a collected file: its settings, n among them; see `ddpm_edu.data.made_from`."""
# Changes when the same settings would give other demonstrations, so that no old attempt is mixed in.
_RECIPE = 1
_SEEDS_PER_COLLECTION = 1_000_000


@dataclass(frozen=True)
class Collection:
    """What a collection came to.

    Attributes:
        path: the file.
        demonstrations: how many it holds.
        attempts: how many attempts gave them.
        failures: how many of these were discarded.
        steps: control steps in the file.
        lengths: steps of each demonstration.
    """

    path: Path
    demonstrations: int
    attempts: int
    failures: int
    steps: int
    lengths: tuple[int, ...]

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.demonstrations} demonstrations of {min(self.lengths)} to "
            f"{max(self.lengths)} steps ({self.steps} in all); "
            f"{self.failures} of {self.attempts} attempts failed and were discarded"
        )


def collect(
    task: str | Task,
    n: int,
    out: str | Path,
    observation: ObservationMode = "low_dim",
    seed: int = 0,
    workers: int = 1,
    disturbance: Disturbance | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Collection:
    """Collects n successful demonstrations.

    Args:
        task: a task or its name, such as "can".
        n: demonstrations wanted.
        out: the HDF5 file to make.
        observation: "low_dim", or "image" to record both cameras as well.
        seed: the same seed gives the same demonstrations; different ones share no episode.
        workers: processes; a script that calls this needs the usual `if __name__ == "__main__":`.
        disturbance: how the expert is disturbed while it is recorded.
        overwrite: replace a file that was made with other settings.
        progress: show a progress bar on stderr.

    Returns:
        A summary; its text is meant for printing.

    Raises:
        ConfigError: if a number is out of range, or `out` holds something else and `overwrite` is False.
        SimulatorError: if no renderer is available for images, the disk is full, or workers keep dying.
    """
    task = get_task(task)
    task.observation(observation)
    out = Path(out)
    if n < 1:
        raise ConfigError(f"n is {n}; at least 1 demonstration is wanted")
    if workers < 1:
        raise ConfigError(f"workers is {workers}; at least 1 is wanted")
    if not 0 <= seed < 2**31 // _SEEDS_PER_COLLECTION:
        raise ConfigError(f"seed is {seed}; it must be between 0 and {2**31 // _SEEDS_PER_COLLECTION - 1}")
    settings = {
        "recipe": _RECIPE,
        "task": task.name,
        "observation": observation,
        "seed": seed,
        "disturbance": asdict(disturbance or Disturbance()),
    }
    with only_writer(out):
        return _collect(out, n, task, observation, settings, disturbance, workers, overwrite, progress)


def _collect(
    out: Path,
    n: int,
    task: Task,
    observation: ObservationMode,
    settings: dict[str, Any],
    disturbance: Disturbance | None,
    workers: int,
    overwrite: bool,
    progress: bool,
) -> Collection:
    found = made_from(out, COLLECTION)
    if found == {**settings, "n": n}:
        return _summary(out, n)
    if os.path.lexists(out) and found is None:
        raise ConfigError(f"{out} exists and is no collection of ddpm-edu collect; give another name")
    if found is not None and not overwrite:
        raise ConfigError(
            f"{out} exists and was made with other settings; give another name, or overwrite it explicitly"
        )
    folder, seed = out.with_name(out.name + ".attempts"), settings["seed"]
    try:
        kept = _prepare(folder, settings)
        with naming_full_disk(out):
            _attempt_until(kept, n, task, observation, disturbance, folder, seed, workers, progress)
            chosen = _first_successes(kept, n)
            _assemble(out, task, observation, settings, folder, kept, chosen)
    finally:
        if made_from(out, COLLECTION) == {**settings, "n": n}:
            shutil.rmtree(folder, ignore_errors=True)
    return _summary(out, n)


# ---------------------------------------------------------------------- attempts on disk


def _prepare(folder: Path, settings: dict[str, Any]) -> dict[int, bool]:
    """The attempts that an earlier run has finished: number -> success. Others' attempts are removed."""
    prepare_folder(folder, settings)
    kept = {int(path.stem.split("_")[1]): True for path in folder.glob("attempt_*.zip")}
    kept |= {int(path.stem.split("_")[1]): False for path in folder.glob("attempt_*.failed")}
    return kept


# ---------------------------------------------------------------------- running attempts


def _first_successes(kept: dict[int, bool], n: int) -> list[int] | None:
    """The first n successes in the order of attempts, or None while an attempt before them is missing."""
    chosen: list[int] = []
    number = 0
    while number in kept and len(chosen) < n:
        if kept[number]:
            chosen.append(number)
        number += 1
    return chosen if len(chosen) == n else None


def _attempt_until(
    kept: dict[int, bool],
    n: int,
    task: Task,
    observation: ObservationMode,
    disturbance: Disturbance | None,
    folder: Path,
    seed: int,
    workers: int,
    progress: bool,
) -> None:
    """Runs attempts until the first n successes are known, and enters them in `kept`."""
    if _first_successes(kept, n) is not None:
        return
    bar = tqdm(total=n, initial=min(n, sum(kept.values())), unit="demo", disable=not progress)
    bar.set_description(f"{task.title}, {observation}")
    arguments = (task, observation, disturbance, folder, seed)
    missing = (number for number in range(_SEEDS_PER_COLLECTION) if number not in kept)
    with bar, Workers(workers, _Attempts, arguments, "attempt {}".format) as pool:
        for number, success in pool.work(missing):
            kept[number] = success
            bar.update(bool(success) and bar.n < n)
            bar.set_postfix(failed=sum(not success for success in kept.values()))
            if _first_successes(kept, n) is not None:
                return
            if len(kept) >= 20 and not any(kept.values()):
                raise SimulatorError(
                    f"the expert failed all of {len(kept)} attempts at {task.title}: disturb it less"
                )


class _Attempts:
    """Makes attempts, in a process of `Workers`."""

    def __init__(
        self,
        task: Task,
        observation: ObservationMode,
        disturbance: Disturbance | None,
        folder: Path,
        seed: int,
    ) -> None:
        self.env = make_env(task, observation)
        self.disturbance, self.folder, self.first_seed = disturbance, folder, seed * _SEEDS_PER_COLLECTION

    def __call__(self, number: int) -> bool:
        demonstration, success = record_attempt(self.env, self.first_seed + number, self.disturbance)
        if success:
            save_demonstration(self.folder / f"attempt_{number}.zip", demonstration)
        else:
            with write_atomically(self.folder / f"attempt_{number}.failed"):
                pass
        return success


# ---------------------------------------------------------------------- the file


def _assemble(
    out: Path,
    task: Task,
    observation: ObservationMode,
    settings: dict[str, Any],
    folder: Path,
    kept: dict[int, bool],
    chosen: list[int],
) -> None:
    env = make_env(task)
    try:
        env_args = env.env_args(observation)
    finally:
        env.close()
    attempts = chosen[-1] + 1
    attributes = {
        COLLECTION: json.dumps({**settings, "n": len(chosen)}),
        "attempts": attempts,
        "failures": sum(not kept[number] for number in range(attempts)),
    }
    with DemonstrationWriter(out, env_args, seed=settings["seed"], attributes=attributes) as writer:
        for number in chosen:
            writer.add(load_demonstration(folder / f"attempt_{number}.zip"))


def _summary(out: Path, n: int) -> Collection:
    import h5py

    with h5py.File(out, "r") as file:
        data = file["data"]
        lengths = tuple(int(data[f"demo_{i}"].attrs["num_samples"]) for i in range(len(data)))
        attempts, failures = int(data.attrs["attempts"]), int(data.attrs["failures"])
    if len(lengths) != n:
        raise DatasetError(f"{out} holds {len(lengths)} of {n} demonstrations; remove it and collect again")
    return Collection(out, len(lengths), attempts, failures, sum(lengths), lengths)


@contextlib.contextmanager
def naming_full_disk(out: Path, work: str = "collecting") -> Iterator[None]:
    """Says in one line that the disk is full, however deep the library that met it."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # h5py raises RuntimeError, with the system's text in it
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if full or any(os.strerror(code) in str(error) for code in (errno.ENOSPC, errno.EDQUOT)):
            raise SimulatorError(
                f"the disk is full while {work} {out}; what is finished is kept: free some space and run "
                "the same command again"
            ) from error
        raise
