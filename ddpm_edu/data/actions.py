"""Actions and rotations: the simulator's delta actions, and absolute ones that a policy can predict instead.

A delta action has Da = 7 entries in [-1, 1]: translation, rotation as axis times angle, and gripper. The
controller (robosuite 1.5, `controllers/parts/arm/osc.py`, OSC_POSE with input_type "delta") scales the first
six by `Task.action_scale`, and sets its goal from where the hand *is* when the action arrives, not from its
last goal ("achieved" goals):

    goal position = position + translation          goal rotation = Rotation(axis * angle) @ rotation

Both stand in the frame of the robot's base (input_ref_frame "base"). The base of both tasks' robot is not
turned, so its axes are the world's, and a translation in it is one in the world; the base's position cancels.

The rotation is the hand's, as `robot0_eef_quat` measures it. The controller tracks the grip site, which is
turned by a constant against the hand; a turn from the left is the same for both. One exception: the first
action after a reset is measured from the pose at which the controller was built, up to 3 cm away.

An absolute action has Da = 10 entries: the goal's position in the world in metres, the goal's rotation as six
numbers, and the gripper. It says the same without naming the present pose: a repeated absolute action holds
still, where a repeated delta action goes on moving.

Six numbers, because no continuous map leads from rotations to four numbers or fewer, and a network has to
learn one (Zhou et al. 2019, "On the Continuity of Rotation Representations in Neural Networks", section 4).
They are the first two *rows* of the rotation matrix, as in pytorch3d, which the reference implementation
uses; Zhou et al. take columns. Quaternions are robosuite's: (x, y, z, w), and q and -q are the same rotation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpm_edu.errors import ConfigError
from ddpm_edu.tasks import Task


def delta_to_absolute(action: Tensor, eef_pos: Tensor, eef_quat: Tensor, task: Task) -> Tensor:
    """The goal that a delta action sets, given the pose of the hand when it is executed.

    Args:
        action: (..., 7) delta action in [-1, 1]; the controller clips what lies beyond, and so does this.
        eef_pos: (..., 3) position of the hand in the world, metres: `robot0_eef_pos`.
        eef_quat: (..., 4) its rotation, x y z w: `robot0_eef_quat`.
        task: whose action scale to use.

    Returns:
        (..., 10): goal position 3, goal rotation 6, gripper 1.

    Raises:
        ConfigError: if a last axis has another length.
    """
    _check_last_axis(action=(action, 7), eef_pos=(eef_pos, 3), eef_quat=(eef_quat, 4))
    pose = action[..., :6].clamp(-1, 1) * _pose_scale(task, action)  # (..., 6) metres, radians
    position = eef_pos + pose[..., :3]  # (..., 3)
    rotation = axis_angle_to_matrix(pose[..., 3:]) @ quaternion_to_matrix(eef_quat)  # (..., 3, 3)
    return torch.cat([position, matrix_to_rotation_6d(rotation), action[..., 6:]], dim=-1)  # (..., 10)


def at_rest(eef_pos: Tensor, eef_quat: Tensor, task: Task, action_type: str) -> Tensor:
    """The action of an arm that rests with its hand open, as before an episode's first action.

    Args:
        eef_pos: (..., 3) where the hand is, metres.
        eef_quat: (..., 4) its rotation, x y z w.
        task: whose arm it is.
        action_type: "delta" or "absolute".

    Returns:
        (..., 7): no motion; or (..., 10): the goal is where the hand is.
    """
    rest = eef_pos.new_zeros((*eef_pos.shape[:-1], 7))
    rest[..., -1] = -1
    return rest if action_type == "delta" else delta_to_absolute(rest, eef_pos, eef_quat, task)


def absolute_to_delta(action: Tensor, eef_pos: Tensor, eef_quat: Tensor, task: Task) -> Tensor:
    """The delta action that sets a goal: the inverse of `delta_to_absolute` at the same pose.

    Args:
        action: (..., 10) absolute action. Its six rotation numbers need not be orthonormal: a network's
            are not; see `rotation_6d_to_matrix`.
        eef_pos: (..., 3) position of the hand now, in the world, metres.
        eef_quat: (..., 4) its rotation, x y z w.
        task: whose action scale to use.

    Returns:
        (..., 7). A goal that is farther than one step can go gives entries beyond [-1, 1]: clip them, which
        the controller does.

    Raises:
        ConfigError: if a last axis has another length.
    """
    _check_last_axis(action=(action, 10), eef_pos=(eef_pos, 3), eef_quat=(eef_quat, 4))
    translation = action[..., :3] - eef_pos  # (..., 3)
    goal = rotation_6d_to_matrix(action[..., 3:9])  # (..., 3, 3)
    turn = matrix_to_axis_angle(goal @ quaternion_to_matrix(eef_quat).mT)  # (..., 3)
    pose = torch.cat([translation, turn], dim=-1) / _pose_scale(task, action)  # (..., 6)
    return torch.cat([pose, action[..., 9:]], dim=-1)  # (..., 7)


def axis_angle_to_matrix(axis_angle: Tensor) -> Tensor:
    """Axis times angle (..., 3), radians, to rotation matrices (..., 3, 3): Rodrigues' formula.

    R = 1 + sin(a)/a K + (1 - cos(a))/a^2 K^2, where K v = (axis * angle) x v.
    """
    angle = torch.linalg.vector_norm(axis_angle, dim=-1)[..., None, None]  # (..., 1, 1)
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    K = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))  # (..., 3, 3)
    # sinc holds its precision at small angles; 1 - cos(a) = 2 sin^2(a/2) does, where the plain form loses it
    first = torch.sinc(angle / torch.pi)
    second = 0.5 * torch.sinc(angle / (2 * torch.pi)) ** 2
    return torch.eye(3, dtype=K.dtype, device=K.device) + first * K + second * (K @ K)


def matrix_to_axis_angle(matrix: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) to axis times angle (..., 3), the angle from 0 to pi radians."""
    quaternion = matrix_to_quaternion(matrix)  # (..., 4), w >= 0
    vector, w = quaternion[..., :3], quaternion[..., 3:]
    sine = torch.linalg.vector_norm(vector, dim=-1, keepdim=True)  # (..., 1) sin(angle / 2)
    # atan2 is precise at both ends, where acos(w) and asin(sine) each lose half their digits at one.
    angle = 2 * torch.atan2(sine, w)  # (..., 1)
    tiny = torch.finfo(matrix.dtype).tiny
    return torch.where(sine > tiny, angle / sine.clamp_min(tiny), 2.0) * vector  # (..., 3)


def quaternion_to_matrix(quaternion: Tensor) -> Tensor:
    """Quaternions (..., 4), x y z w, to rotation matrices (..., 3, 3). They are normalised first."""
    x, y, z, w = F.normalize(quaternion, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))  # (..., 3, 3)


def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) to quaternions (..., 4), x y z w, with w >= 0.

    The matrix holds every product of two quaternion entries. Each entry's own square gives one way to divide
    them out; the way of the largest square is taken, because a small one would magnify rounding errors.
    """
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = matrix.flatten(-2).unbind(-1)
    # Row i holds 4 * q_i * (x, y, z, w).
    rows = [
        1 + m00 - m11 - m22, m01 + m10, m02 + m20, m21 - m12,
        m01 + m10, 1 - m00 + m11 - m22, m12 + m21, m02 - m20,
        m02 + m20, m12 + m21, 1 - m00 - m11 + m22, m10 - m01,
        m21 - m12, m02 - m20, m10 - m01, 1 + m00 + m11 + m22,
    ]  # fmt: skip
    products = torch.stack(rows, dim=-1).unflatten(-1, (4, 4))  # (..., 4, 4)
    largest = products.diagonal(dim1=-2, dim2=-1).argmax(-1)  # (...)
    chosen = products.take_along_dim(largest[..., None, None], dim=-2).squeeze(-2)  # (..., 4)
    quaternion = F.normalize(chosen, dim=-1)
    return torch.where(quaternion[..., 3:] < 0, -quaternion, quaternion)  # (..., 4)


def matrix_to_rotation_6d(matrix: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) to their first two rows (..., 6)."""
    return matrix[..., :2, :].flatten(-2)  # (..., 6)


def rotation_6d_to_matrix(rotation: Tensor) -> Tensor:
    """Six numbers (..., 6) to the rotation matrix (..., 3, 3) whose first two rows they are nearest to.

    Gram and Schmidt's way (Zhou et al. 2019, equation 15): the first row is normalised; the second loses its
    part along the first and is normalised; the third is their cross product. Rows that are zero or parallel
    name no rotation, and give a matrix that is none.
    """
    first, second = rotation[..., :3], rotation[..., 3:]
    first = F.normalize(first, dim=-1)  # (..., 3)
    second = F.normalize(second - (first * second).sum(-1, keepdim=True) * first, dim=-1)  # (..., 3)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-2)  # (..., 3, 3)


def _pose_scale(task: Task, like: Tensor) -> Tensor:
    return torch.tensor(task.action_scale[:6], dtype=like.dtype, device=like.device)  # (6,)


def _check_last_axis(**tensors: tuple[Tensor, int]) -> None:
    for name, (tensor, size) in tensors.items():
        if tensor.ndim == 0 or tensor.shape[-1] != size:
            raise ConfigError(
                f"{name} has shape {tuple(tensor.shape)}; its last axis must have {size} entries"
            )
