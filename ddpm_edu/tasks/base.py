"""What a task is: what a policy sees and does, when an episode ends, and who can show how it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ddpm_edu.errors import ConfigError
from ddpm_edu.registry import Registry

Observation = dict[str, np.ndarray]
Expert = Callable[[Observation], np.ndarray]
"""Maps one low-dim observation to an action (Da,) in [-1, 1]."""

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
        object_body: the simulator's name of the body that is handled, such as "Can_main".
        make_expert: makes the expert of one episode, from the first low-dim observation and the generator
            that its style is drawn from. A function of a module, so that a worker process finds it. If the
            expert is a dataclass, its fields are recorded with the demonstration, as its style.
        shipped: the observations of which demonstrations come with the repository.
        laptop: settings in which this task's laptop preset differs from the others', by their names.
        elsewhere: share of the demonstrations that begin with the hand anywhere about the object, open or
            closed: they show how to begin again after a miss. See `Disturbance`.
        robot: robosuite's name of the robot.
        action_dim: Da of the controller's own action.
        action_scale: what +1 means for each entry: metres, radians, and 1 for the gripper (+1 closes).
        max_steps: control steps after which an episode counts as failed.
        control_frequency: control steps per second.
        low_dim, image: what a policy sees, in the order in which it concatenates it.
    """

    name: str
    title: str
    environment_name: str
    object_body: str
    make_expert: Callable[[Observation, np.random.Generator], Expert]
    shipped: tuple[ObservationMode, ...] = ()
    laptop: Mapping[str, Any] = field(default_factory=dict, hash=False)
    elsewhere: float = 0.0
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


TASKS: Registry[Task] = Registry("task", "tasks", "ddpm_edu.tasks")
get_task = TASKS.get


def task_of_environment(environment_name: str) -> Task | None:
    """The task that plays in robosuite's environment of that name, if there is one."""
    return next((task for task in TASKS.values() if task.environment_name == environment_name), None)
