"""Check of notebook 02: the goals that delta actions set."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function
from ddpm_edu.data.actions import axis_angle_to_matrix, quaternion_to_matrix


def absolute_actions(function: Function) -> None:
    """Checks `function(action (N, 7), position (N, 3), rotation (N, 3, 3)) -> absolute actions (N, 10)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases: list[Arguments] = []
    for seed, N in enumerate((4, 6, 3)):
        generator = torch.Generator().manual_seed(seed)
        action = 1.2 * torch.randn(N, 7, generator=generator)
        action[0, 3:6] = 0  # does not turn
        cases.append(
            {
                "action": action,
                "position": torch.randn(N, 3, generator=generator),
                "rotation": quaternion_to_matrix(torch.randn(N, 4, generator=generator)),
            }
        )
    check_function(
        "absolute_actions",
        function,
        _absolute_actions,
        ABSOLUTE_MISTAKES,
        cases,
        "The same motions, said without naming the present pose.",
    )


def _absolute_actions(
    action: Tensor,
    position: Tensor,
    rotation: Tensor,
    clipped: bool = True,
    metres: float = 0.05,
    radians: float = 0.5,
    from_the_right: bool = False,
    columns: bool = False,
    gripper_first: bool = False,
    turned: bool = True,
    back: bool = False,
    minus: bool = False,
    rows: int = 0,
) -> Tensor:
    """The right goals; each option is a mistake."""
    pose = action[:, :6].clamp(-1, 1) if clipped else action[:, :6]
    goal = position + (-metres if minus else metres) * pose[:, :3]  # (N, 3)
    turn = axis_angle_to_matrix(radians * pose[:, 3:])  # (N, 3, 3)
    turn = turn.mT if back else turn
    if not turned:
        turn = torch.eye(3).expand_as(turn)
    wanted = rotation @ turn if from_the_right else turn @ rotation
    six = (wanted[:, :, :2].mT if columns else wanted[:, rows : rows + 2]).flatten(1)  # (N, 6)
    parts = [goal, action[:, 6:], six] if gripper_first else [goal, six, action[:, 6:]]
    return torch.cat(parts, dim=-1)


ABSOLUTE_MISTAKES = (
    Mistake(
        "does not clip the action",
        lambda *a: _absolute_actions(*a, clipped=False),
        "The controller does not do more than 1; only the gripper's number stays as it is.",
    ),
    Mistake(
        "takes 1 for a metre",
        lambda *a: _absolute_actions(*a, metres=1.0),
        "A 1 is 0.05 metres.",
    ),
    Mistake(
        "takes 1 for a whole radian",
        lambda *a: _absolute_actions(*a, radians=1.0),
        "A 1 is half a radian.",
    ),
    Mistake(
        "turns about the hand's own axes",
        lambda *a: _absolute_actions(*a, from_the_right=True),
        "The turn is given in the robot's frame: it stands on the left, turned @ rotation.",
    ),
    Mistake(
        "takes the first two columns of the goal's rotation",
        lambda *a: _absolute_actions(*a, columns=True),
        "The six numbers are the first two rows: [:, :2].",
    ),
    Mistake(
        "leaves the rotation as it was",
        lambda *a: _absolute_actions(*a, turned=False),
        "Entries 3 to 5 of the action turn the hand: Rodrigues' formula, then turned @ rotation.",
    ),
    Mistake(
        "puts the gripper before the rotation",
        lambda *a: _absolute_actions(*a, gripper_first=True),
        "Position 3, rotation 6, gripper 1.",
    ),
    Mistake(
        "turns the other way round",
        lambda *a: _absolute_actions(*a, back=True),
        "Mind the signs in K: its first row is (0, -z, y).",
    ),
    Mistake(
        "moves the other way",
        lambda *a: _absolute_actions(*a, minus=True),
        "The goal is position + 0.05 * move.",
    ),
    Mistake(
        "takes the last two rows of the goal's rotation",
        lambda *a: _absolute_actions(*a, rows=1),
        "The first two: [:, :2].",
    ),
)
