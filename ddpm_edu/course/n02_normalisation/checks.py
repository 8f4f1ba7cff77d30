"""Checks of notebook 02: scaling by limits, rotations from six numbers, goals from delta actions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function

# ------------------------------------------------------------------------------------------------
# scaling by limits
# ------------------------------------------------------------------------------------------------


def scale_to_limits(function: Function) -> None:
    """Checks `function(data (N, Do), values (B, Do)) -> (B, Do)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    generator = torch.Generator().manual_seed(0)
    size, middle = torch.tensor([0.4, 2.0, 0.01]), torch.tensor([1.0, -0.3, 0.2])
    data = torch.rand(40, 3, generator=generator) * size + middle
    constant = data.clone()
    constant[:, 1] = 0.7
    nearly = constant.clone()
    nearly[::2, 1] += 5e-5  # below 1e-4
    narrow = nearly.clone()
    narrow[:, 2] *= 0.03  # a range of 3e-4, which counts
    unseen = torch.rand(5, 3, generator=generator) * size + middle
    cases: list[Arguments] = [
        {"data": data, "values": unseen},
        {"data": constant, "values": unseen},
        {"data": nearly, "values": unseen},
        {"data": narrow, "values": unseen[:2]},
        {"data": data, "values": 3 * unseen},  # beyond the limits, as a new situation may be
        {"data": -data, "values": -unseen},  # the largest are not the farthest from 0
    ]
    passed = "Every entry fills -1 to 1, and what never varies does no harm."
    check_function("scale_to_limits", function, _limits, LIMITS_MISTAKES, cases, passed)


def _limits(data: Tensor, values: Tensor) -> Tensor:
    low, high = data.amin(dim=0), data.amax(dim=0)  # (Do,)
    scale = torch.where(high - low < 1e-4, 1.0, (high - low) / 2)  # (Do,)
    return (values - (low + high) / 2) / scale  # (B, Do)


def _unguarded(epsilon: float, guard: bool = False) -> Function:
    def scale(data: Tensor, values: Tensor) -> Tensor:
        low, high = data.amin(0), data.amax(0)
        half = (high - low) / 2 + epsilon
        if guard:
            half = torch.where(high == low, 1.0, half)
        return (values - (low + high) / 2) / half

    return scale


def _to_zero(data: Tensor, values: Tensor) -> Tensor:
    constant = data.amax(0) - data.amin(0) < 1e-4
    return torch.where(constant, 0.0, _limits(data, values))


def _from_low(data: Tensor, values: Tensor) -> Tensor:
    low, high = data.amin(0), data.amax(0)
    return (values - low) / torch.where(high - low < 1e-4, 1.0, high - low)


_AROUND_0 = "Noise has the mean 0, and so should the data: subtract the middle, divide by half the range."
_NEVER_VARIES = "An entry whose range is below 1e-4 counts as constant: divide it by 1."
LIMITS_MISTAKES = (
    Mistake("divides by zero where an entry never varies", _unguarded(0.0), _NEVER_VARIES),
    Mistake(
        "guards only against a range of exactly zero",
        _unguarded(0.0, guard=True),
        "A range of a millionth is rounding, and dividing by it turns a new value into hundreds of "
        "thousands. " + _NEVER_VARIES,
    ),
    Mistake(
        "adds 1e-8 to the range",
        _unguarded(1e-8),
        "No division by zero, but one by almost zero: a new value becomes millions. " + _NEVER_VARIES,
    ),
    Mistake("adds 1e-6 to the range", _unguarded(1e-6), "A new value becomes huge. " + _NEVER_VARIES),
    Mistake(
        "adds 1e-6 to the range before halving it",
        _unguarded(5e-7),
        "A new value becomes huge. " + _NEVER_VARIES,
    ),
    Mistake(
        "moves a constant entry to -1",
        lambda d, v: 2 * _from_low(d, v) - 1,
        "2 * (value - low) / range - 1 is right where the range is. A constant entry has its centre at low: "
        "subtract the centre, (low + high) / 2, and divide by half the range, or by 1.",
    ),
    Mistake(
        "clips what lies beyond the limits",
        lambda d, v: _limits(d, v).clamp(-1, 1),
        "A new situation may lie beyond the training data. Clipped, it looks like one at the edge, and "
        "cannot be turned back.",
    ),
    Mistake(
        "turns a constant entry into 0, whatever comes",
        _to_zero,
        "Then it cannot be turned back. Subtract its centre and divide by 1.",
    ),
    Mistake(
        "subtracts the smallest value and divides by the whole range, which gives 0 to 1",
        lambda d, v: _from_low(d, v),
        _AROUND_0,
    ),
    Mistake(
        "gives 0 to 1, and divides by zero where an entry never varies",
        lambda d, v: (v - d.amin(0)) / (d.amax(0) - d.amin(0)),
        _AROUND_0 + " " + _NEVER_VARIES,
    ),
    Mistake(
        "scales to the range from 0 to 1",
        lambda d, v: (_limits(d, v) + 1) / 2,
        _AROUND_0,
    ),
    Mistake(
        "divides by the whole range",
        lambda d, v: _limits(d, v) / 2,
        "From the middle it is half a range to either end.",
    ),
    Mistake(
        "gives all entries one common scale",
        lambda d, v: (v - (d.amin() + d.amax()) / 2) / ((d.amax() - d.amin()) / 2),
        "The small entries drown. Take minimum and maximum along the first axis only: dim=0.",
    ),
    Mistake(
        "takes mean and standard deviation",
        lambda d, v: (v - d.mean(0)) / torch.where(d.std(0) < 1e-4, 1.0, d.std(0)),
        "Its results leave the range from -1 to 1, where samplers clip.",
    ),
    Mistake(
        "takes the limits of `values`, not of `data`",
        lambda d, v: _limits(v, v),
        "In a rollout each batch would be scaled in its own way. The limits are the training data's.",
    ),
    Mistake(
        "does not subtract the middle",
        lambda d, v: v / torch.where(d.amax(0) - d.amin(0) < 1e-4, 1.0, (d.amax(0) - d.amin(0)) / 2),
        "The data must lie around 0: subtract (low + high) / 2 first.",
    ),
)


# ------------------------------------------------------------------------------------------------
# rotations from six numbers
# ------------------------------------------------------------------------------------------------


def rotation_from_six(function: Function) -> None:
    """Checks `function(six (B, 6)) -> (B, 3, 3)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    six = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))
    cases: list[Arguments] = [{"six": six}, {"six": six[:3] * torch.tensor([0.1, 0.1, 0.1, 9, 9, 9])}]
    passed = "Any six numbers become a rotation: rows of length 1, perpendicular, never a mirror image."
    check_function("rotation_from_six", function, _rotation, SIX_MISTAKES, cases, passed)


def _rotation(six: Tensor) -> Tensor:
    first = F.normalize(six[:, :3], dim=-1)  # (B, 3)
    second = six[:, 3:]
    second = second - (first * second).sum(-1, keepdim=True) * first
    second = F.normalize(second, dim=-1)  # (B, 3)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-2)  # (B, 3, 3)


def _only_along(six: Tensor) -> Tensor:
    a, b = F.normalize(six[:, :3], dim=-1), six[:, 3:]
    b = F.normalize((a * b).sum(-1, keepdim=True) * a, dim=-1)
    return torch.stack([a, b, torch.linalg.cross(a, b)], dim=-2)  # (B, 3, 3)


def _gram_schmidt(
    unit_first: bool = True,
    straighten: bool = True,
    unit_second: bool = True,
    sign: int = 1,
    column: bool = False,
    raw_dot: bool = False,
) -> Function:
    def rotation(six: Tensor) -> Tensor:
        raw, b = six[:, :3], six[:, 3:]
        a = F.normalize(raw, dim=-1) if unit_first else raw
        along = raw if raw_dot else a
        if straighten:
            b = b - (along * b).sum(-1, keepdim=True) * along
        b = F.normalize(b, dim=-1) if unit_second else b
        c = sign * torch.linalg.cross(a, b)
        return torch.stack([a, b, c], dim=-1 if column else -2)  # (B, 3, 3)

    return rotation


_ORDER = "First a = unit(first three); then b = unit(last three - (a . last three) a); then c = a x b."
SIX_MISTAKES = (
    Mistake(
        "keeps the second's part along the first, and throws the rest away",
        _only_along,
        "(a . b) a is the part to take away: b - (a . b) a is perpendicular to a.",
    ),
    Mistake(
        "puts the vectors into columns",
        _gram_schmidt(column=True),
        "That is the inverse rotation. Here, as in pytorch3d, they are rows; Zhou et al. take columns.",
    ),
    Mistake(
        "returns a mirror image: its third row points the wrong way",
        _gram_schmidt(sign=-1),
        "The determinant is -1. The third row is first x second, in this order.",
    ),
    Mistake(
        "normalises, but does not make the rows perpendicular",
        _gram_schmidt(straighten=False),
        "Take from the second what it has along the first. " + _ORDER,
    ),
    Mistake("does not normalise the first row", _gram_schmidt(unit_first=False), _ORDER),
    Mistake("does not normalise the second row", _gram_schmidt(unit_second=False), _ORDER),
    Mistake(
        "normalises nothing",
        _gram_schmidt(unit_first=False, unit_second=False),
        "Rows of length 1. " + _ORDER,
    ),
    Mistake(
        "takes away the second's part along the first before the first has length 1",
        _gram_schmidt(raw_dot=True),
        _ORDER,
    ),
    Mistake(
        "only fills in the cross product",
        _gram_schmidt(unit_first=False, straighten=False, unit_second=False),
        "A network's six numbers are neither of length 1 nor perpendicular. " + _ORDER,
    ),
)


# ------------------------------------------------------------------------------------------------
# goals from delta actions
# ------------------------------------------------------------------------------------------------


def goal_position(function: Function) -> None:
    """Checks `function(action (B, 7), eef_pos (B, 3)) -> (B, 3) metres`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    generator = torch.Generator().manual_seed(0)
    action = torch.rand(6, 7, generator=generator) * 2 - 1
    hand = torch.rand(6, 3, generator=generator)
    cases: list[Arguments] = [
        {"action": action, "eef_pos": hand},
        {"action": 2.5 * action[:3], "eef_pos": hand[:3]},
    ]
    passed = "You know where a delta action sends the hand."
    check_function("goal_position", function, _goal, GOAL_MISTAKES, cases, passed)


def _goal(action: Tensor, eef_pos: Tensor) -> Tensor:
    return eef_pos + 0.05 * action[:, :3].clamp(-1, 1)  # (B, 3)


_CLIP = (
    "The controller limits each entry to [-1, 1], 5 cm; a network's output can lie beyond. Clip before you "
    "scale: scaled, nothing reaches 1."
)
_UNIT = "1 stands for 5 cm: 0.05 metres."
GOAL_MISTAKES = (
    Mistake(
        "adds centimetres to metres",
        lambda a, p: p + 5 * a[:, :3].clamp(-1, 1),
        "1 stands for 5 cm: 0.05 metres.",
    ),
    Mistake("does not clip the action", lambda a, p: p + 0.05 * a[:, :3], _CLIP),
    Mistake("takes the action's units for metres", lambda a, p: p + a[:, :3].clamp(-1, 1), _UNIT),
    Mistake("takes the action's units for centimetres", lambda a, p: p + 0.01 * a[:, :3].clamp(-1, 1), _UNIT),
    Mistake("takes the scale of the rotation, 0.5", lambda a, p: p + 0.5 * a[:, :3].clamp(-1, 1), _UNIT),
    Mistake(
        "takes the rotation's entries for the translation",
        lambda a, p: p + 0.05 * a[:, 3:6].clamp(-1, 1),
        "An action is translation (3), rotation (3), gripper (1), in this order.",
    ),
    Mistake(
        "subtracts the translation", lambda a, p: p - 0.05 * a[:, :3].clamp(-1, 1), "It moves the hand on."
    ),
    Mistake(
        "returns the translation, not the goal",
        lambda a, p: 0.05 * a[:, :3].clamp(-1, 1),
        "A goal is a place in the world: begin at the hand's position.",
    ),
)
