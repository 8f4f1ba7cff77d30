"""The two tasks of the course: what a policy sees, what it does, and when an episode ends.

The tables are those of the seed document. This module imports nothing from the package, so that every
other room can agree on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ddpm_edu.errors import ConfigError

ObservationMode = Literal["low_dim", "image"]

ACTION_LABELS = ("dx", "dy", "dz", "drx", "dry", "drz", "gripper")
"""Names of the seven entries of an action; see `Task.action_scale` for their units."""


@dataclass(frozen=True)
class ObservationKey:
    """One entry of an observation.

    Attributes:
        name: the key in an observation dictionary and in a robomimic HDF5 file.
        shape: shape of one reading; images are (3, height, width).
        type: "low_dim" (float32) or "rgb" (uint8).
        kind: what the numbers mean, which decides how they are normalised.
    """

    name: str
    shape: tuple[int, ...]
    type: Literal["low_dim", "rgb"] = "low_dim"
    kind: Literal["position", "quaternion", "gripper", "object", "image"] = "position"


_AGENT_VIEW = ObservationKey("agentview_image", (3, 84, 84), "rgb", "image")
_EYE_IN_HAND = ObservationKey("robot0_eye_in_hand_image", (3, 84, 84), "rgb", "image")
_EEF_POS = ObservationKey("robot0_eef_pos", (3,), "low_dim", "position")
_EEF_QUAT = ObservationKey("robot0_eef_quat", (4,), "low_dim", "quaternion")
_GRIPPER_QPOS = ObservationKey("robot0_gripper_qpos", (2,), "low_dim", "gripper")
# Pose of the object in the world and relative to the hand: position 3, quaternion 4, twice.
_OBJECT = ObservationKey("object", (14,), "low_dim", "object")

_LOW_DIM = (_OBJECT, _EEF_POS, _EEF_QUAT, _GRIPPER_QPOS)
_IMAGE = (_AGENT_VIEW, _EYE_IN_HAND, _EEF_POS, _EEF_QUAT, _GRIPPER_QPOS)


@dataclass(frozen=True)
class Task:
    """What a policy sees and does in one simulated task.

    Attributes:
        name: the short name on the command line ("can", "square").
        title: the name in figures and reports.
        environment_name: robosuite's name of the environment.
        robot: robosuite's name of the robot.
        action_dim: Da of the controller's own action.
        action_scale: what +1 means for each entry: metres, radians, and 1 for the gripper (+1 closes).
        max_steps: control steps after which an episode counts as failed.
        control_frequency: control steps per second.
        object_name: robosuite's name of the object that is handled.
    """

    name: str
    title: str
    environment_name: str
    object_name: str
    robot: str = "Panda"
    action_dim: int = 7
    action_scale: tuple[float, ...] = (0.05, 0.05, 0.05, 0.5, 0.5, 0.5, 1.0)
    max_steps: int = 400
    control_frequency: int = 20
    low_dim: tuple[ObservationKey, ...] = _LOW_DIM
    image: tuple[ObservationKey, ...] = _IMAGE

    def observation(self, mode: ObservationMode) -> tuple[ObservationKey, ...]:
        """The observation keys of a mode, in the order in which a policy concatenates them.

        Raises:
            ConfigError: if `mode` is neither "low_dim" nor "image".
        """
        if mode == "low_dim":
            return self.low_dim
        if mode == "image":
            return self.image
        raise ConfigError(f"observation is {mode!r}; it must be 'low_dim' or 'image'")


CAN = Task(name="can", title="Can", environment_name="PickPlaceCan", object_name="Can")
SQUARE = Task(name="square", title="Square", environment_name="NutAssemblySquare", object_name="SquareNut")
TASKS = {task.name: task for task in (CAN, SQUARE)}


def get_task(task: str | Task) -> Task:
    """The task of a name; a `Task` passes through.

    Raises:
        ConfigError: if the name is not one of the course's tasks.
    """
    if isinstance(task, Task):
        return task
    if task not in TASKS:
        raise ConfigError(f"task is {task!r}; the tasks are {', '.join(map(repr, TASKS))}")
    return TASKS[task]
