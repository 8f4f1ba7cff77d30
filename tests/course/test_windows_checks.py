"""Notebook 01's checks: each known mistake gets its own message, and right answers pass in any style."""

import numpy as np
import pytest
import torch

from ddpm_edu.course import checks
from ddpm_edu.course.checks.windows import COUNT_MISTAKES, EXECUTED_MISTAKES, ROW_MISTAKES, _with_numbers
from ddpm_edu.course.diagnosis import CheckFailed


def rows_clamped(start, horizon, length):
    return (start + torch.arange(horizon)).clamp(0, length - 1)


def rows_loop(start, horizon, length):
    return [min(max(start + i, 0), length - 1) for i in range(horizon)]


def rows_numpy(start, horizon, length):
    return np.clip(np.arange(start, start + horizon), 0, length - 1)


def count_sum(lengths, horizon, n_obs_steps, n_action_steps):
    return sum(max(1, length - horizon + n_obs_steps + n_action_steps - 1) for length in lengths)


def count_by_hand(lengths, horizon, n_obs_steps, n_action_steps):
    count = 0
    for length in lengths:
        first = -(n_obs_steps - 1)
        last = length + n_action_steps - 1 - horizon
        count += len(range(first, max(first, last) + 1))
    return count


def count_tensor(lengths, horizon, n_obs_steps, n_action_steps):
    return (torch.tensor(lengths) - horizon + n_obs_steps + n_action_steps - 1).clamp(min=1).sum()


def executed_slice(trajectory, n_obs_steps, n_action_steps):
    return trajectory[:, n_obs_steps - 1 : n_obs_steps - 1 + n_action_steps]


def executed_loop(trajectory, To, Ta):
    return torch.stack([trajectory[:, To - 1 + i] for i in range(Ta)], dim=1)


def executed_narrow(trajectory, To, Ta):
    return torch.narrow(trajectory, 1, To - 1, Ta)


def executed_numpy(trajectory, To, Ta):
    return trajectory.numpy()[:, np.arange(Ta) + To - 1]


@pytest.mark.parametrize(
    ("check", "function"),
    [
        (checks.window_rows, rows_clamped),
        (checks.window_rows, rows_loop),
        (checks.window_rows, rows_numpy),
        (checks.count_windows, count_sum),
        (checks.count_windows, count_by_hand),
        (checks.count_windows, count_tensor),
        (checks.executed_actions, executed_slice),
        (checks.executed_actions, executed_loop),
        (checks.executed_actions, executed_narrow),
        (checks.executed_actions, executed_numpy),
    ],
    ids=lambda value: value.__name__,
)
def test_right_answers_pass_in_any_style(check, function, capsys):
    check(function)
    assert capsys.readouterr().out.startswith(f"{check.__name__}: correct.")


LISTED = [
    *((checks.window_rows, mistake) for mistake in ROW_MISTAKES),
    *((checks.count_windows, mistake) for mistake in COUNT_MISTAKES),
    *((checks.executed_actions, mistake) for mistake in EXECUTED_MISTAKES),
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


@pytest.mark.parametrize("check", [checks.window_rows, checks.count_windows, checks.executed_actions])
@pytest.mark.parametrize(
    "function",
    [
        stub,
        lambda *arguments: None,
        lambda *arguments: 1,
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


def test_in_python_a_negative_row_is_the_last_one():
    """The mistake as students write it: an index that goes through a Python list."""

    def wraps(start, horizon, length):
        steps = range(start, start + horizon)
        return [list(range(length))[min(step, length - 1)] for step in steps]

    assert "lets a negative row count from the end" in message_of(checks.window_rows, wraps)


def test_students_get_plain_numbers():
    seen = []
    _with_numbers(lambda *arguments: seen.extend(arguments))(
        torch.tensor(3), torch.tensor([4, 5]), torch.ones(2)
    )
    assert seen[:2] == [3, [4, 5]]
    assert torch.equal(seen[2], torch.ones(2))
