"""Tasks by name, and as objects that reach a worker process."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace

import pytest

import ddpm_edu.tasks as tasks
from ddpm_edu.errors import ConfigError, DatasetError
from ddpm_edu.paths import DATA, shipped_demonstrations
from ddpm_edu.tasks import TASKS, get_task, task_of_environment


@pytest.mark.parametrize("name", TASKS)
def test_a_file_is_a_task(name: str) -> None:
    task = TASKS[name]
    assert get_task(name) is get_task(task) is getattr(tasks, name.upper()) is task
    assert task_of_environment(task.environment_name) is task
    assert pickle.loads(pickle.dumps(task)) == task  # as a worker process gets it
    for observation in task.shipped:
        assert shipped_demonstrations(task, observation).parent == DATA


def test_what_is_not_there_is_named() -> None:
    assert not hasattr(tasks, "STACK")
    assert task_of_environment("Stack") is None
    with pytest.raises(ConfigError, match="task is 'stack'; the tasks are 'can', 'lift', 'square'"):
        get_task("stack")
    with pytest.raises(DatasetError, match=r"no image .* of Lift .* collect --task lift --observation image"):
        shipped_demonstrations("lift", "image")


def test_nobody_takes_the_name_of_another_file() -> None:
    with pytest.raises(ConfigError, match=r"two tasks are called 'can': Task of ddpm_edu.tasks.can and Task"):
        TASKS.register(replace(tasks.CAN, title="Another"))


def test_looking_up_a_task_loads_nothing_heavy() -> None:
    code = "import sys, ddpm_edu; ddpm_edu.CAN; print({'torch', 'robosuite', 'scipy'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
