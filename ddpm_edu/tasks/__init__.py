"""The tasks: one file each, with everything about it, its scripted expert included.

A new file here is a new task: it ends in `TASKS.register(Task(...))`. Another package does the same in its
own file; see `ddpm_edu.registry` for how that is found. `ddpm_edu.tasks.CAN` is the task called "can".
"""

from __future__ import annotations

from typing import Any

from ddpm_edu.tasks.base import (
    ACTION_LABELS,
    TASKS,
    ObservationKey,
    ObservationMode,
    Task,
    get_task,
    task_of_environment,
)

__all__ = [
    "ACTION_LABELS",
    "TASKS",
    "ObservationKey",
    "ObservationMode",
    "Task",
    "get_task",
    "task_of_environment",
]


def __getattr__(name: str) -> Any:
    if name.isupper() and name.lower() in TASKS.names():
        return TASKS[name.lower()]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
