"""Rotations and actions against closed forms, scipy's independent implementation, and their own inverses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ddpm_edu.data.actions import (
    absolute_to_delta,
    axis_angle_to_matrix,
    delta_to_absolute,
    matrix_to_axis_angle,
    matrix_to_quaternion,
    matrix_to_rotation_6d,
    quaternion_to_matrix,
    rotation_6d_to_matrix,
)
from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.errors import ConfigError
from ddpm_edu.tasks import CAN

# Angles at which formulas go wrong: none, tiny, around the half turn, and between.
ANGLES = [0, 1e-12, 1e-7, 1e-3, 0.5, 2, math.pi - 1e-3, math.pi - 1e-7, math.pi]


def axes(count: int = 40) -> np.ndarray:
    generator = np.random.default_rng(0)
    drawn = generator.normal(size=(count, 3))
    return np.concatenate([np.eye(3), -np.eye(3), drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)])


@pytest.mark.parametrize("angle", ANGLES)
def test_rotations_equal_scipys(angle: float) -> None:
    vectors = axes() * angle
    scipy = Rotation.from_rotvec(vectors)
    matrix = axis_angle_to_matrix(torch.from_numpy(vectors))
    np.testing.assert_allclose(matrix, scipy.as_matrix(), atol=1e-14)
    np.testing.assert_allclose(quaternion_to_matrix(torch.from_numpy(scipy.as_quat())), matrix, atol=1e-14)
    quaternion = matrix_to_quaternion(matrix).numpy()
    assert (quaternion[:, 3] >= 0).all()
    # q and -q are the same rotation; at the half turn w is 0 and either may come out
    sign = np.sign((quaternion * scipy.as_quat()).sum(-1, keepdims=True))
    np.testing.assert_allclose(quaternion, sign * scipy.as_quat(), atol=1e-14)
    back = matrix_to_axis_angle(matrix).numpy()
    if angle < math.pi - 1e-5:
        np.testing.assert_allclose(back, vectors, atol=1e-13)
    else:
        np.testing.assert_allclose(np.abs((back * vectors).sum(-1)), angle**2, atol=1e-6)
    np.testing.assert_allclose(Rotation.from_rotvec(back).as_matrix(), scipy.as_matrix(), atol=1e-14)


def test_a_quarter_turn_about_z() -> None:
    matrix = axis_angle_to_matrix(torch.tensor([0.0, 0.0, math.pi / 2]))
    expected = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(matrix, expected, atol=3e-7, rtol=0)
    half = math.sqrt(0.5)
    torch.testing.assert_close(matrix_to_quaternion(matrix), torch.tensor([0.0, 0.0, half, half]))
    # The first two rows, not columns.
    six = torch.tensor([0.0, -1.0, 0.0, 1.0, 0.0, 0.0])
    torch.testing.assert_close(matrix_to_rotation_6d(matrix), six, atol=3e-7, rtol=0)


@given(st.lists(st.floats(-3, 3, width=32), min_size=6, max_size=6))
def test_any_six_numbers_give_a_rotation_with_the_first_rows_direction(numbers: list[float]) -> None:
    six = torch.tensor(numbers, dtype=torch.float64)
    first, second = six[:3], six[3:]
    # zero or parallel rows name no rotation
    assume(torch.linalg.cross(first, second).norm() > 1e-3 * (1 + first.norm() * second.norm()))
    matrix = rotation_6d_to_matrix(six)
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(3, dtype=torch.float64))
    assert torch.linalg.det(matrix) > 0
    torch.testing.assert_close(matrix[0] * first.norm(), first)
    assert abs(matrix[2] @ second) < 1e-9  # the second stays in the plane of the two
    torch.testing.assert_close(rotation_6d_to_matrix(matrix_to_rotation_6d(matrix)), matrix)


def random_poses(count: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    position = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    quaternion = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    return position.to(dtype), (quaternion / quaternion.norm(dim=-1, keepdim=True)).to(dtype)


def random_actions(count: int, seed: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(count, 7, dtype=dtype).uniform_(-1, 1, generator=torch.Generator().manual_seed(seed))


def test_the_goal_is_the_pose_moved_by_the_scaled_delta() -> None:
    """In the base's frame: the turn stands to the left of the present rotation."""
    position, quaternion = random_poses(50, torch.float64)
    action = random_actions(50, seed=1, dtype=torch.float64)
    absolute = delta_to_absolute(action, position, quaternion, CAN)
    torch.testing.assert_close(absolute[:, :3], position + 0.05 * action[:, :3])
    goal = Rotation.from_rotvec(0.5 * action[:, 3:6].numpy()) * Rotation.from_quat(quaternion.numpy())
    np.testing.assert_allclose(absolute[:, 3:9], goal.as_matrix()[:, :2].reshape(-1, 6), atol=1e-14)
    assert torch.equal(absolute[:, 9], action[:, 6])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-13)])
@given(seed=st.integers(0, 1000))
def test_absolute_and_back_is_the_same_action(dtype: torch.dtype, tolerance: float, seed: int) -> None:
    position, quaternion = random_poses(20, dtype)
    action = random_actions(20, seed, dtype)
    absolute = delta_to_absolute(action, position, quaternion, CAN)
    back = absolute_to_delta(absolute, position, quaternion, CAN)
    torch.testing.assert_close(back, action, atol=tolerance, rtol=0)


def test_any_batch_shape_and_both_signs_of_the_quaternion() -> None:
    position, quaternion = random_poses(6)
    action = random_actions(6, seed=0)
    flat = delta_to_absolute(action, position, quaternion, CAN)
    deep = delta_to_absolute(*(x.view(2, 3, -1) for x in (action, position, -quaternion)), CAN)
    torch.testing.assert_close(deep.flatten(0, 1), flat)


def test_delta_actions_beyond_the_controllers_limits_are_clipped_as_it_does() -> None:
    position, quaternion = random_poses(1)
    wide, limit = torch.full((1, 7), 3.0), torch.ones(1, 7)
    expected = delta_to_absolute(limit, position, quaternion, CAN)
    assert torch.equal(delta_to_absolute(wide, position, quaternion, CAN)[:, :9], expected[:, :9])


def test_holding_still_is_the_zero_action() -> None:
    position, quaternion = random_poses(5, torch.float64)
    six = matrix_to_rotation_6d(quaternion_to_matrix(quaternion))
    hold = torch.cat([position, six, torch.ones(5, 1, dtype=torch.float64)], dim=-1)
    delta = absolute_to_delta(hold, position, quaternion, CAN)
    torch.testing.assert_close(delta[:, :6], torch.zeros(5, 6, dtype=torch.float64), atol=1e-13, rtol=0)
    assert (delta[:, 6] == 1).all()


def test_whole_demonstrations_become_absolute(write_file) -> None:
    demonstrations = Demonstrations.read(write_file(), "can")
    absolute = demonstrations.to_absolute()
    assert (absolute.action.shape, absolute.action.dtype) == ((37, 10), np.float32)
    assert absolute.action_type == "absolute"
    assert demonstrations.action.shape == (37, 7)
    back = absolute_to_delta(
        torch.from_numpy(absolute.action),
        torch.from_numpy(demonstrations.obs["robot0_eef_pos"]),
        torch.from_numpy(demonstrations.obs["robot0_eef_quat"]),
        CAN,
    )
    np.testing.assert_allclose(back, demonstrations.action, atol=2e-5)
    assert absolute.to_absolute() is absolute


@pytest.mark.parametrize(
    ("action", "pos", "quat", "message"),
    [
        (10, 3, 4, r"action has shape \(10,\); its last axis must have 7"),
        (7, 2, 4, r"eef_pos has shape \(2,\)"),
        (7, 3, 3, r"eef_quat has shape \(3,\)"),
    ],
)
def test_wrong_shapes_are_refused(action: int, pos: int, quat: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        delta_to_absolute(torch.zeros(action), torch.zeros(pos), torch.ones(quat), CAN)
