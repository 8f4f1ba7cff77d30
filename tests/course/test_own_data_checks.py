"""Notebook 16's checks: each known mistake gets its own message, and right answers pass in any style."""

import numpy as np
import pytest
import torch

from ddpm_edu.course import checks
from ddpm_edu.course.checks import own_data
from ddpm_edu.course.diagnosis import CheckFailed


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
def test_right_answers_pass_however_they_are_written(check, solution, capsys):
    check(solution)
    assert "correct" in capsys.readouterr().out


MISTAKES = [
    *((checks.to_xyzw, name, wrong) for name, wrong, _ in own_data.QUATERNIONS),
    *((checks.actions_from_positions, name, wrong) for name, wrong, _ in own_data.ACTIONS),
    *((checks.resample, name, wrong) for name, wrong, _ in own_data.RESAMPLED),
]


@pytest.mark.parametrize(("check", "name", "function"), MISTAKES, ids=[name for _, name, _ in MISTAKES])
def test_each_known_mistake_is_named(check, name, function):
    with pytest.raises(CheckFailed) as caught:
        check(function)
    assert f"Your function {name}" in str(caught.value)


def test_an_unknown_mistake_is_shown_with_its_numbers():
    with pytest.raises(CheckFailed, match=r"positions \(\d+, 3\), largest_step 0\.\d+\."):
        checks.actions_from_positions(lambda positions, largest_step: 0.1 * positions)


def stub(*_):
    raise NotImplementedError


@pytest.mark.parametrize("check", [checks.to_xyzw, checks.actions_from_positions, checks.resample])
@pytest.mark.parametrize("function", [stub, lambda *_: None, lambda *_: torch.tensor(0.5)])
def test_a_stub_none_and_a_constant_fail(check, function):
    with pytest.raises(CheckFailed, match="not yet"):
        check(function)
