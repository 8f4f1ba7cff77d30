"""Where the files that come with the repository are."""

from __future__ import annotations

from pathlib import Path

from ddpm_edu.errors import CheckpointError, DatasetError, NotebookError
from ddpm_edu.tasks import ObservationMode, Task, get_task

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = REPOSITORY / "data"


def shipped_demonstrations(task: str | Task, observation: ObservationMode = "low_dim") -> Path:
    """The shipped demonstrations of a task.

    Raises:
        DatasetError: if the task ships none, or the file is not there, as in an installation without the
            repository.
    """
    task = get_task(task)
    name, images = task.name, " --observation image" if observation == "image" else ""
    path = DATA / f"{name}_{observation}.hdf5"
    if observation not in task.shipped:
        raise DatasetError(
            f"no {observation} demonstrations of {task.title} come with the repository; make some with: "
            f"ddpm-edu collect --task {name}{images}, and name the file with --path"
        )
    if not path.is_file():
        raise DatasetError(
            f"{path} is missing; make it with: ddpm-edu collect --task {name}{images} --out {path}, "
            "or name another file"
        )
    return path


def shipped_policy(name: str) -> Path:
    """The folder of a trained policy that comes with the repository, for `load_policy`.

    Raises:
        CheckpointError: if it is not there; the message lists those that are.
    """
    path = DATA / "policies" / name
    if not (path / "policy.json").is_file():
        there = sorted(file.parent.name for file in path.parent.glob("*/policy.json"))
        raise CheckpointError(
            f"{path} is missing; shipped policies: {', '.join(there) or 'none'}; "
            "data/README.md has the command that trains each"
        )
    return path


def course_notebooks() -> list[Path]:
    """The solved notebooks of the course, in reading order.

    Raises:
        NotebookError: if they are not there, as in an installation without the repository.
    """
    folder = REPOSITORY / "notebooks"
    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise NotebookError(
            f"{folder} holds no notebooks; work in a clone of the repository, or name the notebooks"
        )
    return paths
