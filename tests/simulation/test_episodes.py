"""The experts: functions of the observation, successful, and different from episode to episode."""

from __future__ import annotations

import numpy as np
import pytest

from ddpm_edu.simulation.env import ManipulationEnv
from ddpm_edu.simulation.episodes import Disturbance, record_episode
from ddpm_edu.simulation.experts import CanStyle, SquareStyle, make_expert, rotation_of, wrap, yaw_of


@pytest.mark.parametrize("seed", [900, 901, 902])
def test_succeeds_and_is_recorded_as_executed(env: ManipulationEnv, seed: int) -> None:
    demonstration, success = record_episode(env, seed)
    assert success
    assert 60 < len(demonstration.actions) < 250
    assert np.abs(demonstration.actions).max() <= 1
    assert demonstration.rewards[-1] == 1
    assert demonstration.rewards[:-1].sum() == 0
    env.reset_to(demonstration.states[0], demonstration.model_xml)
    for action, state in zip(demonstration.actions, demonstration.states, strict=True):
        np.testing.assert_array_equal(env.get_state(), state)
        *_, info = env.step(action)
    assert info["success"]


def test_action_depends_on_the_observation_alone(env: ManipulationEnv) -> None:
    observation, _ = env.reset(seed=4)
    expert = env.task.make_expert(observation, np.random.default_rng(0))
    seen = []
    for _ in range(40):
        action = expert(observation)
        seen.append((observation, action))
        observation, *_ = env.step(action)
    for observation, action in reversed(seen):  # in another order, after other calls
        np.testing.assert_array_equal(expert(observation), action)


def test_recovers_from_a_push(env: ManipulationEnv) -> None:
    _, success = record_episode(env, 903, Disturbance(unsteadiness=0.08, push_chance=0.05, push_size=1.0))
    assert success


def test_the_same_seed_records_the_same(can: ManipulationEnv) -> None:
    first, _ = record_episode(can, 904)
    record_episode(can, 905, Disturbance(push_chance=0.0))
    again, _ = record_episode(can, 904)
    np.testing.assert_array_equal(first.states, again.states)
    np.testing.assert_array_equal(first.actions, again.actions)


def test_styles_differ() -> None:
    rng = np.random.default_rng(0)
    sides = [CanStyle.draw(rng).side for _ in range(200)]
    assert 70 < sides.count(1) < 130
    nut = [SquareStyle.draw(rng, rng.uniform(-np.pi, np.pi)) for _ in range(400)]
    ways = [(style.flip, round(np.degrees(style.final_yaw)) % 360) for style in nut]
    assert len(set(ways)) >= 5
    assert min(ways.count(way) for way in set(ways)) > 20
    same = [SquareStyle.draw(rng, 0.1) for _ in range(100)]
    assert len({style.final_yaw for style in same}) >= 2


@pytest.mark.parametrize("angle", np.linspace(-9, 9, 13))
def test_angles(angle: float) -> None:
    assert -np.pi <= wrap(angle) < np.pi
    assert np.isclose(np.exp(1j * wrap(angle)), np.exp(1j * angle))
    half = angle / 2
    assert yaw_of(np.array([0, 0, np.sin(half), np.cos(half)])) == pytest.approx(wrap(angle))


def test_rotation_of_equals_an_independent_implementation() -> None:
    from scipy.spatial.transform import Rotation

    for rotation in Rotation.random(20, random_state=0):
        np.testing.assert_allclose(rotation_of(rotation.as_quat()), rotation.as_matrix(), atol=1e-12)
