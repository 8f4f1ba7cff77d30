"""Notebook 01's checks: right answers pass in any style, and wrong ones are explained."""

import numpy as np
import pytest
import torch
from exercise_checks import assert_passes, message_of

from ddpm_edu.course import checks


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
    assert_passes(check, function, capsys)


def test_in_python_a_negative_row_is_the_last_one():
    """The mistake as students write it: an index that goes through a Python list."""

    def wraps(start, horizon, length):
        steps = range(start, start + horizon)
        return [list(range(length))[min(step, length - 1)] for step in steps]

    assert "lets a negative row count from the end" in message_of(checks.window_rows, wraps)


def test_students_get_plain_numbers():
    seen = []
    message_of(checks.count_windows, lambda *arguments: seen.append(arguments))
    assert seen == [([100], 16, 2, 8)]
