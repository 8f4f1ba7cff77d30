"""Notebook 00's checks: each known mistake gets its own message, and right answers pass in any style."""

import math

import numpy as np
import pytest
import torch

from ddpm_edu.course import checks
from ddpm_edu.course.checks.start_here import DECISION_MISTAKES, PATH_MISTAKES, SECONDS_MISTAKES
from ddpm_edu.course.diagnosis import CheckFailed
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
    check(function)
    assert capsys.readouterr().out.startswith(f"{check.__name__}: correct.")


LISTED = [
    *((checks.seconds_of, mistake) for mistake in SECONDS_MISTAKES),
    *((checks.decisions_in, mistake) for mistake in DECISION_MISTAKES),
    *((checks.path_of_hand, mistake) for mistake in PATH_MISTAKES),
]


def message_of(check, function):
    with pytest.raises(CheckFailed) as caught:
        check(function)
    return str(caught.value)


@pytest.mark.parametrize(
    ("check", "mistake"), LISTED, ids=lambda value: getattr(value, "__name__", getattr(value, "name", None))
)
def test_every_listed_mistake_is_named(check, mistake):
    def as_a_student_has_it(*arguments):  # plain numbers in, as the check hands them out
        return mistake.function(*(torch.as_tensor(value) for value in arguments))

    message = message_of(check, as_a_student_has_it)
    assert f"Your function {mistake.name}.\n" in message
    assert mistake.hint in message


def test_no_two_mistakes_share_a_name():
    names = [(check.__name__, mistake.name) for check, mistake in LISTED]
    assert len(names) == len(set(names))


def stub(*arguments):
    raise NotImplementedError


@pytest.mark.parametrize("check", [checks.seconds_of, checks.decisions_in, checks.path_of_hand])
@pytest.mark.parametrize(
    "function",
    [
        stub,
        lambda *arguments: None,
        lambda *arguments: 3,
        lambda *arguments: torch.tensor(1.0),
        lambda *arguments: arguments[0],
        lambda *arguments: 1 / 0,
    ],
    ids=["stub", "none", "number", "scalar", "first argument", "error"],
)
def test_stubs_and_constants_fail_in_one_short_message(check, function):
    message = message_of(check, function)
    assert message.startswith(f"{check.__name__}: not yet.\n")
    assert len(message.splitlines()) == 3
