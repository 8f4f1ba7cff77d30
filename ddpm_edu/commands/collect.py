"""`ddpm-edu collect`: demonstrations by a scripted expert in the simulator."""

from __future__ import annotations

import sys
from pathlib import Path

from ddpm_edu.simulation.episodes import Disturbance
from ddpm_edu.tasks import ObservationMode

DEFAULT_DISTURBANCE = Disturbance()


def collect(
    task: str = "can",
    n: int = 200,
    observation: ObservationMode = "low_dim",
    out: Path | None = None,
    seed: int = 0,
    workers: int | None = None,
    disturbance: Disturbance = DEFAULT_DISTURBANCE,
    overwrite: bool = False,
) -> int:
    """Collect demonstrations of a scripted expert into a robomimic HDF5 file.

    Failed attempts are discarded and counted. Stopped at any moment, the same command goes on from where it
    was, and the file is the same for any number of workers.

    Args:
        task: its name, such as can.
        n: demonstrations wanted.
        observation: low_dim, or image to record both cameras as well.
        out: the file to make; by default runs/demonstrations/TASK_OBSERVATION.hdf5.
        seed: the same seed gives the same demonstrations; different ones share no episode.
        workers: processes; by default one for each core.
        disturbance: how the expert is disturbed, so that the data also shows how to recover.
        overwrite: replace a file that was made with other settings.
    """
    from ddpm_edu.simulation.collect import collect as collect_demonstrations
    from ddpm_edu.simulation.workers import default_workers

    out = out or Path("runs") / "demonstrations" / f"{task}_{observation}.hdf5"
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        collection = collect_demonstrations(
            task, n, out, observation, seed, workers or default_workers(n), disturbance, overwrite
        )
    except KeyboardInterrupt:
        print("\ninterrupted; what is finished is kept, the same command goes on from there", file=sys.stderr)
        return 130
    print(collection)
    return 0
