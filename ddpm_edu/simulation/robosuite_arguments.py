"""How robosuite's environment of a task is set up, here and wherever robomimic rebuilds it."""

from __future__ import annotations

from typing import Any

from ddpm_edu.tasks import Task
from ddpm_edu.third_party import import_robosuite

IMAGE_SIZE = 84
CAMERAS = ("agentview", "robot0_eye_in_hand")


def robosuite_arguments(task: Task, images: bool) -> dict[str, Any]:
    """The arguments of `robosuite.make` after the environment's name, fit for JSON.

    Args:
        task: robot and control frequency are its own; the controller is robosuite's for that robot: the
            hand's pose, by differences (5 cm and 0.5 rad at most), in the frame of the robot's base.
        images: whether robosuite itself renders the two cameras; our environments never let it.
    """
    controller = import_robosuite().load_composite_controller_config(controller="BASIC", robot=task.robot)
    return {
        "robots": [task.robot],
        "controller_configs": controller,
        "control_freq": task.control_frequency,
        "lite_physics": True,
        "has_renderer": False,
        "has_offscreen_renderer": images,
        "renderer": "mujoco",
        "hard_reset": False,  # the model is the same in every episode
        "ignore_done": True,
        "use_object_obs": True,
        "use_camera_obs": images,
        "camera_names": list(CAMERAS),
        "camera_heights": IMAGE_SIZE,
        "camera_widths": IMAGE_SIZE,
        "camera_depths": False,
        "reward_shaping": False,
    }
