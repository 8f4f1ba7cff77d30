"""The experts' styles: different from episode to episode, in the ways that the demonstrations show."""

from __future__ import annotations

import numpy as np

from ddpm_edu.tasks import CAN, LIFT, SQUARE
from ddpm_edu.tasks.base import Observation


def lying(yaw: float) -> Observation:
    """A first observation of an object that lies turned."""
    return {"object": np.array([0, 0, 0.83, 0, 0, np.sin(yaw / 2), np.cos(yaw / 2), *np.zeros(7)])}


def test_styles_differ() -> None:
    rng = np.random.default_rng(0)
    sides = [CAN.make_expert(lying(0.0), rng).side for _ in range(200)]
    assert 70 < sides.count(1) < 130
    nut = [SQUARE.make_expert(lying(rng.uniform(-np.pi, np.pi)), rng) for _ in range(400)]
    ways = [(expert.flip, round(np.degrees(expert.final_yaw)) % 360) for expert in nut]
    assert len(set(ways)) >= 5
    assert min(ways.count(way) for way in set(ways)) > 20
    same = [SQUARE.make_expert(lying(0.1), rng) for _ in range(100)]
    assert len({expert.final_yaw for expert in same}) >= 2


def test_lift_grasps_the_side_that_is_near_and_either_one_between_two() -> None:
    rng = np.random.default_rng(0)
    near = [LIFT.make_expert(lying(np.pi / 2 + 0.1), rng).quarter for _ in range(50)]
    assert set(near) == {3 * np.pi / 2}
    between = [round(np.degrees(LIFT.make_expert(lying(np.pi / 4), rng).quarter)) for _ in range(100)]
    assert set(between) == {0, 270}
    assert 30 < between.count(0) < 70
