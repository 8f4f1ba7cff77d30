"""Where the files that come with the repository are."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ddpm_edu.errors import CheckpointError, DatasetError, NotebookError
from ddpm_edu.tasks import ObservationMode, Task, get_task
from ddpm_edu.text import shell_line

REPOSITORY = Path(__file__).resolve().parent.parent
IN_CLONE = (REPOSITORY / "scripts" / "setup.sh").is_file()
"""False where a wheel was installed: then nothing stands beside the package."""
INSTALL = "scripts/setup.sh" if IN_CLONE else "pip install --upgrade ddpm_edu"
"""The command that mends an installation."""
_OF_THE_COURSE = re.compile(r"\d\d_\w+")  # NN_what_it_is_about


def data_folder() -> Path:
    """The folder of the shipped files: a clone's, or the user's own; DDPM_EDU_DATA names another."""
    if chosen := os.environ.get("DDPM_EDU_DATA"):
        return Path(chosen).expanduser()
    if IN_CLONE:
        return REPOSITORY / "data"
    return Path(os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")) / "ddpm_edu"


DATA = data_folder()


def shipped_demonstrations(task: str | Task, observation: ObservationMode = "low_dim") -> Path:
    """The shipped demonstrations of a task.

    Raises:
        DatasetError: if the task ships none, or the file is not there, as in an installation without the
            repository.
    """
    task = get_task(task)
    path = DATA / f"{task.name}_{observation}.hdf5"
    collect = ["ddpm-edu", "collect", "--task", task.name]
    collect += ["--observation", "image"] if observation == "image" else []
    if observation not in task.shipped:
        raise DatasetError(
            f"no {observation} demonstrations of {task.title} come with the repository; make some with: "
            f"{shell_line(collect)}, and name the file with --path"
        )
    if not path.is_file():
        make = f"make it with: {shell_line([*collect, '--out', path])}, or name another file"
        if not IN_CLONE:
            make = f"fetch it with: ddpm-edu data fetch {path.name}, {make}"
        raise DatasetError(f"{path} is missing; {make}")
    return path


def shipped_policy(name: str) -> Path:
    """The folder of a trained policy that comes with the repository, for `load_policy`.

    Raises:
        CheckpointError: if it is not there; the message lists those that are.
    """
    path = DATA / "policies" / name
    if not (path / "policy.json").is_file():
        there = sorted(file.parent.name for file in path.parent.glob("*/policy.json"))
        get = "data/README.md has the command that trains each"
        if not IN_CLONE:
            get = f"fetch it with: {shell_line(['ddpm-edu', 'data', 'fetch', f'policies/{name}'])}"
        raise CheckpointError(f"{path} is missing; shipped policies: {', '.join(there) or 'none'}; {get}")
    return path


def course_notebooks() -> list[Path]:
    """The solved notebooks of the course, in reading order, without copies and scratch.

    Raises:
        NotebookError: if they are not there, as in an installation without the repository.
    """
    folder = REPOSITORY / "notebooks"
    paths = sorted(path for path in folder.glob("*.ipynb") if _OF_THE_COURSE.fullmatch(path.stem))
    if not (IN_CLONE and paths):
        where = f"{folder} holds no notebooks" if IN_CLONE else "an installed ddpm_edu brings no notebooks"
        raise NotebookError(f"{where}; work in a clone of the repository, or name the notebooks")
    return paths


def stray_notebooks() -> list[Path]:
    """What else lies among the course's notebooks, such as `04_forward_process-Copy1.ipynb`."""
    there = (REPOSITORY / "notebooks").glob("*.ipynb") if IN_CLONE else ()
    return sorted(path for path in there if not _OF_THE_COURSE.fullmatch(path.stem))
