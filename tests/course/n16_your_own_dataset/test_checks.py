"""Notebook 16's checks: right answers pass in any style, and wrong ones are explained."""

import numpy as np
import pytest
import torch
from exercise_checks import assert_passes

from ddpm_edu.course import checks
from ddpm_edu.course.diagnosis import CheckFailed
from ddpm_edu.course.n16_your_own_dataset import checks as own_data


def xyzw_in_a_loop(wxyz):
    rows = [np.array([x, y, z, w]) / np.sqrt(w * w + x * x + y * y + z * z) for w, x, y, z in wxyz.tolist()]
    return torch.tensor(np.stack(rows))


def actions_in_a_loop(positions, largest_step):
    actions = torch.zeros_like(positions)
    for t in range(len(positions) - 1):
        actions[t] = ((positions[t + 1] - positions[t]) / largest_step).clip(-1, 1)
    return actions


def resample_with_numpy(times, values, wanted):
    columns = [np.interp(wanted.numpy(), times.numpy(), column.numpy()) for column in values.T]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize(
    ("check", "solution"),
    [
        (checks.to_xyzw, xyzw_in_a_loop),
        (checks.to_xyzw, lambda q: torch.nn.functional.normalize(q.roll(-1, dims=1), dim=1)),
        (checks.actions_from_positions, actions_in_a_loop),
        (checks.resample, resample_with_numpy),
        (checks.resample, own_data._resample),
    ],
)
def test_right_answers_pass_in_any_style(check, solution, capsys):
    assert_passes(check, solution, capsys)


def test_an_unknown_mistake_is_shown_with_its_numbers():
    def unlike_any(positions, largest_step):
        moves = torch.cat([positions.diff(dim=0), 0 * positions[:1]])  # (N, 3)
        return (moves / largest_step).sin() ** 3 + 0.1 * moves.cos()

    with pytest.raises(
        CheckFailed, match=r"at \[\d, \d\] it is .*\n.* gives \[\[0\.1\]\], where \[\[0\]\] is right"
    ):
        checks.actions_from_positions(unlike_any)
