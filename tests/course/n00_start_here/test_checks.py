"""Notebook 00's checks: right answers pass in any style (test_checks.py has the wrong ones)."""

import math

import numpy as np
import pytest
import torch
from exercise_checks import assert_passes

from ddpm_edu.course import checks
from ddpm_edu.viz.overlay import hand_path


def seconds_product(trajectory):
    return trajectory.shape[1] * 0.05


def seconds_unpacked(trajectory):
    _, T, _ = trajectory.shape
    return torch.tensor(T) / 20


def decisions_ceil(steps, n_action_steps):
    return math.ceil(steps / n_action_steps)


def decisions_loop(steps, Ta):
    return len(range(0, steps, Ta))


def path_cumsum(start, action, metres_per_unit):
    return start + metres_per_unit * torch.cumsum(action[:, :3], dim=0)


def path_loop(start, action, metres_per_unit):
    places, place = [], start
    for step in action:
        place = place + metres_per_unit * step[:3]
        places.append(place)
    return torch.stack(places)


def path_triangle(start, action, metres_per_unit):
    before = torch.ones(len(action), len(action)).tril()
    return start + metres_per_unit * torch.einsum("ts,sd->td", before, action[:, :3])


def path_of_the_package(start, action, metres_per_unit):
    return np.asarray(hand_path(start, action, metres_per_unit)[1:])


@pytest.mark.parametrize(
    ("check", "function"),
    [
        (checks.seconds_of, seconds_product),
        (checks.seconds_of, seconds_unpacked),
        (checks.decisions_in, decisions_ceil),
        (checks.decisions_in, decisions_loop),
        (checks.path_of_hand, path_cumsum),
        (checks.path_of_hand, path_loop),
        (checks.path_of_hand, path_triangle),
        (checks.path_of_hand, path_of_the_package),
    ],
    ids=lambda value: value.__name__,
)
def test_right_answers_pass_in_any_style(check, function, capsys):
    assert_passes(check, function, capsys)
