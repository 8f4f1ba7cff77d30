"""Where the files that come with the repository are."""

from __future__ import annotations

from pathlib import Path

from ddpm_edu.errors import DatasetError
from ddpm_edu.tasks import ObservationMode, Task, get_task

DATA = Path(__file__).resolve().parent.parent / "data"


def shipped_demonstrations(task: str | Task, observation: ObservationMode = "low_dim") -> Path:
    """The shipped demonstrations of a task.

    Raises:
        DatasetError: if the file is not there, as in an installation without the repository.
    """
    name = get_task(task).name
    path = DATA / f"{name}_{observation}.hdf5"
    if not path.is_file():
        images = " --observation image" if observation == "image" else ""
        raise DatasetError(
            f"{path} is missing; make it with: ddpm-edu collect --task {name}{images} --out {path}, "
            "or name another file"
        )
    return path
