"""What the low-dim entries of an observation are, read from the simulator's present state."""

from __future__ import annotations

from typing import Any

import numpy as np

from ddpm_edu.tasks import Task


class Sensors:
    """Reads hand, fingers and object off a simulator.

    The formulas are robosuite's, so that a policy trained on robomimic's data understands them; the values
    are those of the present state, where robosuite's own sensors lag.

    Args:
        environment: robosuite's environment, its model loaded; a newly loaded model needs new sensors.
        task: which object is meant.
    """

    def __init__(self, environment: Any, task: Task) -> None:
        robot, model = environment.robots[0], environment.sim.model
        self._sim = environment.sim
        self._object = model.body_name2id(task.object_body)
        self._hand = model.body_name2id(robot.robot_model.eef_name["right"])
        self._grip = robot.eef_site_id["right"]
        self._fingers = list(robot._ref_gripper_joint_pos_indexes["right"])

    def refresh(self) -> None:
        """Brings positions of bodies and cameras up to the state that a step has reached.

        Only kinematics: `mj_forward` would change the solver's warm start and with it the next step.
        """
        import mujoco

        model, data = self._sim.model._model, self._sim.data._data
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_camlight(model, data)

    def read(self) -> dict[str, np.ndarray]:
        """All low-dim entries, float32.

        Returns:
            `robot0_eef_pos` (3,): the point between the finger tips. `robot0_eef_quat` (4,): of the hand,
            (x, y, z, w). `robot0_gripper_qpos` (2,): both fingers. `object` (14,): position and quaternion in
            the world, then relative to the hand.
        """
        import robosuite.utils.transform_utils as transforms

        data = self._sim.data
        hand = np.array(data.site_xpos[self._grip]), _w_last(data.body_xquat[self._hand])
        thing = np.array(data.body_xpos[self._object]), _w_last(data.body_xquat[self._object])
        world_in_hand = transforms.pose_inv(transforms.pose2mat(hand))
        in_hand = transforms.pose_in_A_to_pose_in_B(transforms.pose2mat(thing), world_in_hand)
        values = {
            "object": np.concatenate([*thing, *transforms.mat2pose(in_hand)]),
            "robot0_eef_pos": hand[0],
            "robot0_eef_quat": hand[1],
            "robot0_gripper_qpos": data.qpos[self._fingers],
        }
        return {key: value.astype(np.float32) for key, value in values.items()}


def _w_last(quaternion: np.ndarray) -> np.ndarray:
    return np.roll(quaternion, -1)  # MuJoCo puts w first
