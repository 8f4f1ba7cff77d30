"""Notebook 02's checks: right answers pass in any style (test_checks.py has the wrong ones)."""

import numpy as np
import pytest
import torch
from exercise_checks import assert_passes

from ddpm_edu.course import checks
from ddpm_edu.data import actions
from ddpm_edu.data.normalizer import KeyNormalizer
from ddpm_edu.tasks import CAN


def limits_of_the_package(data, values):
    normalizer = KeyNormalizer("key", ("limits",) * data.shape[1])
    normalizer.fit(data.numpy())
    return normalizer.normalize(values)


def limits_loop(data, values):
    columns = []
    for i in range(data.shape[1]):
        low, high = data[:, i].min(), data[:, i].max()
        half = 1.0 if high - low < 1e-4 else (high - low) / 2
        columns.append((values[:, i] - (low + high) / 2) / half)
    return torch.stack(columns, dim=1)


def limits_numpy(data, values):
    data, values = data.numpy(), values.numpy()
    low, reach = data.min(0), np.ptp(data, 0)
    return (values - low - reach / 2) / np.where(reach < 1e-4, 1, reach / 2)


def six_columns_then_transposed(six):
    a = six[:, :3] / six[:, :3].norm(dim=1, keepdim=True)
    b = six[:, 3:] - torch.einsum("bi,bi->b", a, six[:, 3:])[:, None] * a
    b = b / b.norm(dim=1, keepdim=True)
    return torch.stack([a, b, a.cross(b, dim=1)], dim=2).mT


def six_loop(six):
    matrices = []
    for row in six.double().numpy():
        a = row[:3] / np.linalg.norm(row[:3])
        b = row[3:] - (a @ row[3:]) * a
        b /= np.linalg.norm(b)
        matrices.append(np.stack([a, b, np.cross(a, b)]))
    return np.stack(matrices)


def goal_of_the_package(action, eef_pos):
    upright = torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(len(action), 4)
    return actions.delta_to_absolute(action, eef_pos, upright, CAN)[:, :3]


def goal_limited_after(action, eef_pos):
    return eef_pos + (0.05 * action[:, :3]).clamp(-0.05, 0.05)


@pytest.mark.parametrize(
    ("check", "function"),
    [
        (checks.scale_to_limits, limits_of_the_package),
        (checks.scale_to_limits, limits_loop),
        (checks.scale_to_limits, limits_numpy),
        (checks.rotation_from_six, actions.rotation_6d_to_matrix),
        (checks.rotation_from_six, six_columns_then_transposed),
        (checks.rotation_from_six, six_loop),
        (checks.goal_position, goal_of_the_package),
        (checks.goal_position, goal_limited_after),
    ],
    ids=lambda value: value.__name__,
)
def test_right_answers_pass_in_any_style(check, function, capsys):
    assert_passes(check, function, capsys)
