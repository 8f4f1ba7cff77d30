"""Recorded episodes: the experts are functions of the observation, and successful."""

from __future__ import annotations

import numpy as np
import pytest

from ddpm_edu.simulation.env import ManipulationEnv, make_env
from ddpm_edu.simulation.episodes import Disturbance, record_attempt


@pytest.mark.parametrize("seed", [900, 901, 902])
def test_succeeds_and_is_recorded_as_executed(env: ManipulationEnv, seed: int) -> None:
    demonstration, success = record_attempt(env, seed)
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
    _, success = record_attempt(env, 903, Disturbance(unsteadiness=0.08, push_chance=0.05, push_size=1.0))
    assert success


def test_the_same_seed_records_the_same(can: ManipulationEnv) -> None:
    first, _ = record_attempt(can, 904)
    record_attempt(can, 905, Disturbance(push_chance=0.0))
    again, _ = record_attempt(can, 904)
    np.testing.assert_array_equal(first.states, again.states)
    np.testing.assert_array_equal(first.actions, again.actions)


def test_lift_is_solved_from_each_start(lift: ManipulationEnv) -> None:
    episodes = [record_attempt(lift, seed) for seed in range(900, 905)]
    assert all(success for _, success in episodes)
    assert max(len(demonstration.actions) for demonstration, _ in episodes) < 50
    again, _ = record_attempt(make_env("lift"), 904)  # its cube has the same size in every environment
    assert again.model_xml == lift.model_xml
    np.testing.assert_array_equal(again.states, episodes[-1][0].states)


def test_lift_is_also_begun_elsewhere_and_the_way_there_is_not_recorded(lift: ManipulationEnv) -> None:
    episodes = [record_attempt(lift, seed, Disturbance(elsewhere=1.0)) for seed in range(910, 914)]
    assert all(success for _, success in episodes)
    firsts = [{key: values[0] for key, values in episode.obs.items()} for episode, _ in episodes]
    below = [float(np.abs(first["object"][:3] - first["robot0_eef_pos"]).max()) for first in firsts]
    assert max(below) < 0.16  # the simulator begins 0.2 m above
    assert len({bool(np.ptp(first["robot0_gripper_qpos"]) < 0.01) for first in firsts}) == 2
    usual, _ = record_attempt(lift, 910, Disturbance(elsewhere=0.0))
    assert len(usual.actions) < 50
