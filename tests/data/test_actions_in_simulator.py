"""What delta actions mean, asked of the controller that executes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ddpm_edu.data.actions import (
    absolute_to_delta,
    delta_to_absolute,
    quaternion_to_matrix,
    rotation_6d_to_matrix,
)
from ddpm_edu.simulation.env import make_env
from ddpm_edu.tasks import get_task


@pytest.mark.slow
@pytest.mark.parametrize("name", ["can", "square"])
def test_the_controllers_goal_is_the_absolute_action(name: str) -> None:
    task, env = get_task(name), make_env(name, seed=3)
    generator = np.random.default_rng(0)
    obs, _ = env.reset()
    # The first goal after a reset is set from the pose that the controller last saw, before the state was
    # put in place (robomimic's reset_to does the same), so the check begins with the second action.
    obs, *_ = env.step(np.zeros(7))
    try:
        for _ in range(30):
            action = generator.uniform(-1.2, 1.2, 7)
            pose = [torch.from_numpy(obs[key]).double() for key in ("robot0_eef_pos", "robot0_eef_quat")]
            absolute = delta_to_absolute(torch.from_numpy(action), *pose, task)
            # The controller tracks the grip site, which stands turned on the hand whose rotation is observed.
            sites = env._env.sim.data.site_xmat
            site = np.array(sites[env._env.robots[0].eef_site_id["right"]]).reshape(3, 3)
            site_in_hand = quaternion_to_matrix(pose[1]).numpy().T @ site

            obs, *_ = env.step(action)
            controller = env._env.robots[0].part_controllers["right"]
            np.testing.assert_array_equal(controller.origin_ori, np.eye(3))
            goal = controller.origin_pos + controller.goal_pos
            np.testing.assert_allclose(goal, absolute[:3], atol=1e-6)
            rotation = rotation_6d_to_matrix(absolute[3:9]).numpy() @ site_in_hand
            np.testing.assert_allclose(controller.goal_ori, rotation, atol=1e-6)

            back = absolute_to_delta(absolute, *pose, task)
            np.testing.assert_allclose(back[:6], np.clip(action[:6], -1, 1), atol=1e-9)
    finally:
        env.close()
