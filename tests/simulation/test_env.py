"""The environments: what an observation holds, and that nothing of the past leaks into an episode."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from ddpm_edu.errors import ConfigError, SimulatorError
from ddpm_edu.simulation.env import ManipulationEnv, make_env


def play(env: ManipulationEnv, actions: np.ndarray) -> np.ndarray:
    """The states met while executing actions, (N, S)."""
    states = []
    for action in actions:
        env.step(action)
        states.append(env.get_state())
    return np.array(states)


def random_actions(steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, 7))


def test_follows_gymnasiums_rules(env: ManipulationEnv) -> None:
    check_env(env, skip_close_check=True)


def test_observations_are_those_of_the_task(env: ManipulationEnv) -> None:
    observation, info = env.reset(seed=0)
    assert list(observation) == [key.name for key in env.task.low_dim]
    assert observation in env.observation_space
    assert info == {"success": False, "seed": 0}
    assert sum(value.size for value in observation.values()) == 23


def test_same_seed_gives_the_same_episode_whatever_ran_before(env: ManipulationEnv) -> None:
    actions = random_actions(12)
    first, _ = env.reset(seed=7)
    states = play(env, actions)
    env.reset(seed=8)
    play(env, random_actions(5, seed=1))
    again, _ = env.reset(seed=7)
    np.testing.assert_equal(again, first)
    np.testing.assert_array_equal(play(env, actions), states)
    fresh = make_env(env.task, seed=7)
    observation, _ = fresh.reset()
    np.testing.assert_equal(observation, first)
    np.testing.assert_array_equal(play(fresh, actions), states)
    fresh.close()


def test_does_not_touch_global_random_state(env: ManipulationEnv) -> None:
    np.random.seed(0)
    expected = np.random.rand(3)
    np.random.seed(0)
    env.reset(seed=1)
    np.testing.assert_array_equal(np.random.rand(3), expected)


def test_seeds_of_later_episodes_follow_from_the_first(can: ManipulationEnv) -> None:
    def seeds() -> list[int]:
        can.reset(seed=3)
        return [can.reset()[1]["seed"] for _ in range(3)]

    first = seeds()
    assert first == seeds()
    assert len(set(first)) == 3


def test_reset_to_continues_a_recorded_episode_bit_by_bit(env: ManipulationEnv) -> None:
    actions = random_actions(12)
    env.reset(seed=5)
    begin = env.get_state()
    states = play(env, actions)
    env.reset(seed=6)
    observation = env.reset_to(begin, env.model_xml)
    np.testing.assert_equal(observation, env.reset(seed=5)[0])
    env.reset_to(begin)
    np.testing.assert_array_equal(play(env, actions), states)


def test_an_observation_is_a_function_of_the_state(env: ManipulationEnv) -> None:
    env.reset(seed=5)
    for action in random_actions(5):
        observation, *_ = env.step(action)
    np.testing.assert_equal(env.set_state(env.get_state()), observation)


def test_entries_equal_robosuites_sensors(env: ManipulationEnv) -> None:
    """Except that robosuite's lag: they are read twice after a forced update, when all have caught up."""
    import robosuite

    args = env.env_args("low_dim")
    reference = robosuite.make(args["env_name"], **args["env_kwargs"])
    env.reset(seed=2)
    play(env, random_actions(8))
    reference.reset()
    reference.sim.set_state_from_flattened(env.get_state())
    reference.sim.forward()
    reference._get_observations(force_update=True)
    wanted = reference._get_observations(force_update=True)
    ours = env.low_dim_observation()
    for key in ("robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos"):
        np.testing.assert_allclose(ours[key], wanted[key], atol=1e-6)
    name = env.task.object_body.removesuffix("_main")
    pose = [f"{name}_pos", f"{name}_quat", f"{name}_to_robot0_eef_pos", f"{name}_to_robot0_eef_quat"]
    np.testing.assert_allclose(ours["object"], np.concatenate([wanted[key] for key in pose]), atol=1e-6)
    reference.close()


def test_first_observation_holds_the_relative_pose(env: ManipulationEnv) -> None:
    observation, _ = env.reset(seed=0)
    distance = np.linalg.norm(observation["object"][:3] - observation["robot0_eef_pos"])
    assert np.linalg.norm(observation["object"][7:10]) == pytest.approx(distance, rel=1e-5)
    assert np.linalg.norm(observation["object"][10:14]) == pytest.approx(1.0, rel=1e-5)


def test_action_moves_the_hand_in_the_base_frame_and_the_fingers(can: ManipulationEnv) -> None:
    can.reset(seed=0)
    for _ in range(10):  # first steps start at rest
        before, *_ = can.step(np.array([1, 0, 0, 0, 0, 0, -1]))
    after, *_ = can.step(np.array([1, 0, 0, 0, 0, 0, -1]))
    moved = after["robot0_eef_pos"] - before["robot0_eef_pos"]
    assert 0.009 < moved[0] < 0.016  # about 1.3 cm of the commanded 5
    assert abs(moved[1:]).max() < 0.004
    assert np.ptp(after["robot0_gripper_qpos"]) > 0.07
    for _ in range(20):
        observation, *_ = can.step(np.array([0, 0, 0, 0, 0, 0, 1]))
    assert np.ptp(observation["robot0_gripper_qpos"]) < 0.01


def test_truncates_after_max_steps_without_success() -> None:
    env = make_env("can", max_steps=3)
    env.reset(seed=0)
    ends = [env.step(np.zeros(7))[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]
    env.close()


def test_default_horizon_is_the_tasks(env: ManipulationEnv) -> None:
    assert env.max_steps == 400


@pytest.mark.parametrize(
    ("action", "found"),
    [
        (np.zeros(6), r"\(6,\)"),
        (np.full(7, np.nan), "not finite"),
        (np.array([*np.zeros(9), np.inf]), "not finite"),
        (np.zeros((2, 10)), r"\(2, 10\); .* \(10,\) for an absolute one"),
    ],
)
def test_refuses_bad_actions(can: ManipulationEnv, action: np.ndarray, found: str) -> None:
    can.reset(seed=0)
    with pytest.raises(SimulatorError, match=found):
        can.step(action)


def test_refuses_a_state_of_another_model(can: ManipulationEnv, square: ManipulationEnv) -> None:
    with pytest.raises(SimulatorError, match="wants"):
        can.reset_to(square.get_state())


@pytest.mark.parametrize("broken", ["<mujoco><nonsense/></mujoco>", "truncated", "renamed"])
def test_refuses_a_model_that_does_not_load(can: ManipulationEnv, broken: str) -> None:
    first, _ = can.reset(seed=0)
    own = can.model_xml
    models = {"truncated": own[:1000], "renamed": own.replace("robot0_joint1", "elbow")}
    with pytest.raises(SimulatorError, match="cannot load the recorded model"):
        can.reset_to(can.get_state(), models.get(broken, broken))
    np.testing.assert_equal(can.reset(seed=0)[0], first)  # and goes on working
    can.step(np.zeros(7))


def test_refuses_unknown_names() -> None:
    with pytest.raises(ConfigError, match="'tool_hang'"):
        make_env("tool_hang")
    with pytest.raises(ConfigError, match="'pixels'"):
        make_env("can", "pixels")


def test_model_is_portable_and_holds_no_absolute_path(env: ManipulationEnv) -> None:
    assert 'file="robosuite/models/assets/' in env.model_xml
    assert 'file="/' not in env.model_xml
    assert json.loads(json.dumps(env.env_args())) == env.env_args()


@pytest.mark.parametrize("backend", ["disable", "nonsense"])
def test_physics_needs_no_renderer_and_pictures_say_what_they_need(backend: str) -> None:
    program = (
        "from ddpm_edu.simulation.env import make_env\n"
        "from ddpm_edu.errors import SimulatorError\n"
        "env = make_env('can'); env.reset(seed=0); env.step(env.action_space.sample() * 0)\n"
        "try:\n"
        "    make_env('can', 'image')\n"
        "except SimulatorError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "MUJOCO_GL": backend},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("\n") == 1
    assert "MUJOCO_GL" in done.stdout
    assert "osmesa" in done.stdout
    assert done.stderr == ""
