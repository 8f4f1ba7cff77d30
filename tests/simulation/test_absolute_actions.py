"""Absolute actions do in the simulator what the delta actions did that they were made from."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.errors import SimulatorError
from ddpm_edu.paths import shipped_demonstrations
from ddpm_edu.simulation.env import make_env


@pytest.mark.parametrize("task", ["can", "square"])
def test_a_demonstration_succeeds_when_its_actions_are_absolute(task):
    path = shipped_demonstrations(task)
    demonstrations = Demonstrations.read(path, task, max_demonstrations=1)
    absolute = demonstrations.to_absolute().action  # (N, 10)
    with h5py.File(path) as file:
        seed = int(file["data/demo_0"].attrs["seed"])
    env = make_env(task)
    try:
        env.reset(seed=seed)
        positions, success = [], False
        for action in absolute:
            observation, _, _, _, info = env.step(action)
            positions.append(observation["robot0_eef_pos"])
            success = info["success"]
    finally:
        env.close()
    assert success
    # Row t of the file is before action t, and of `positions` after it.
    recorded = demonstrations.obs["robot0_eef_pos"]
    assert np.abs(np.array(positions[:-1]) - recorded[1:]).max() < 2e-3  # metres


def test_other_numbers_of_entries_are_refused():
    env = make_env("can", seed=0)
    env.reset()
    with pytest.raises(SimulatorError, match=r"shape \(8,\)"):
        env.step(np.zeros(8))
    env.close()
