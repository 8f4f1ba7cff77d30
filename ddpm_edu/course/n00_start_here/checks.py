"""Checks of notebook 00: how long a trajectory lasts, how many decisions, where deltas lead."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function, on_tensors

# ------------------------------------------------------------------------------------------------
# how long a trajectory lasts
# ------------------------------------------------------------------------------------------------


def seconds_of(function: Function) -> None:
    """Checks `function(trajectory (B, T, Da)) -> seconds that each trajectory lasts`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases: list[Arguments] = [
        {"trajectory": torch.zeros(size)} for size in ((5, 16, 7), (1, 10, 4), (8, 3, 2))
    ]
    passed = "Batch, time, action: you read a shape as what it means."
    check_function("seconds_of", function, _seconds, SECONDS_MISTAKES, cases, passed)


def _seconds(trajectory: Tensor) -> float:
    return trajectory.shape[1] / 20


def _lasts(axis: int, seconds: float = 0.05, less: int = 0) -> Function:
    return lambda trajectory: torch.tensor((trajectory.shape[axis] - less) * seconds)


_SHAPE = "A trajectory is (B, T, Da): how many at once, time steps, numbers in each. Time is shape[1]."
_STEP = "A control step lasts 50 ms, 0.05 seconds: there are 20 in a second."
SECONDS_MISTAKES = (
    Mistake("counts the batch, not the time steps", _lasts(0), _SHAPE),
    Mistake("counts the numbers of an action, not the time steps", _lasts(2), _SHAPE),
    Mistake("returns steps, not seconds", _lasts(1, 1.0), _STEP),
    Mistake(
        "rounds down to whole seconds",
        lambda trajectory: torch.tensor(trajectory.shape[1] // 20),
        "`//` drops what is left over. 16 steps last less than a second: divide by `/`.",
    ),
    Mistake("returns milliseconds", _lasts(1, 50.0), _STEP),
    Mistake("multiplies by 20 where it should divide", _lasts(1, 20.0), _STEP),
    Mistake(
        "counts the gaps between the steps, not the steps",
        _lasts(1, 0.05, less=1),
        "Each of the T actions takes one control step.",
    ),
    Mistake(
        "adds up the time of all trajectories of the batch",
        lambda trajectory: torch.tensor(trajectory.shape[0] * trajectory.shape[1] * 0.05),
        "The trajectories of a batch run side by side: how long does each last?",
    ),
)


# ------------------------------------------------------------------------------------------------
# how many decisions
# ------------------------------------------------------------------------------------------------


def decisions_in(function: Function) -> None:
    """Checks `function(steps, n_action_steps) -> decisions in an episode`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases: list[Arguments] = [
        {"steps": steps, "n_action_steps": Ta}
        for steps, Ta in ((117, 8), (400, 8), (3, 8), (9, 4), (5, 1), (8, 8))
    ]
    passed = "So often does the policy look, think and act."
    mistakes = map(on_tensors, DECISION_MISTAKES)
    check_function("decisions_in", function, _decisions, mistakes, cases, passed)


def _decisions(steps: int, n_action_steps: int) -> int:
    return -(-steps // n_action_steps)


_REST = "Begun is decided: a last decision that is cut short counts. Round up."
DECISION_MISTAKES = (
    Mistake("rounds down", lambda steps, Ta: steps // Ta, _REST),
    Mistake("does not round", lambda steps, Ta: steps / Ta, _REST),
    Mistake("rounds to the nearest", lambda steps, Ta: (steps / Ta).round(), _REST),
    Mistake(
        "always adds one",
        lambda steps, Ta: steps // Ta + 1,
        "When the steps divide without rest, nothing is left over: 400 steps by 8 are 50 decisions.",
    ),
    Mistake(
        "decides at every step", lambda steps, Ta: steps, "Each decision is good for Ta actions in a row."
    ),
    Mistake("multiplies", lambda steps, Ta: steps * Ta, "More actions for each decision: fewer decisions."),
)


# ------------------------------------------------------------------------------------------------
# where deltas lead
# ------------------------------------------------------------------------------------------------


def path_of_hand(function: Function) -> None:
    """Checks `function(start (3,), action (T, 7), metres_per_unit) -> (T, 3) metres`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    generator = torch.Generator().manual_seed(0)
    cases: list[Arguments] = [
        {
            "start": torch.rand(3, generator=generator),
            "action": torch.rand(T, 7, generator=generator) * 2 - 1,
            "metres_per_unit": metres,
        }
        for T, metres in ((16, 0.0125), (3, 0.05))
    ]
    passed = "From small steps to a path."
    check_function("path_of_hand", function, _path, PATH_MISTAKES, cases, passed)


def _path(start: Tensor, action: Tensor, metres_per_unit: float) -> Tensor:
    moves = metres_per_unit * action[:, :3]  # (T, 3)
    return start + moves.cumsum(dim=0)  # (T, 3)


PATH_MISTAKES = (
    Mistake(
        "does not add the steps up",
        lambda s, a, m: s + m * a[:, :3],
        "Each action goes on from where the one before has led: a running sum along time.",
    ),
    Mistake(
        "adds up along the wrong axis",
        lambda s, a, m: s + m * a[:, :3].cumsum(1),
        "Add up over time, dim=0; x, y and z stay apart.",
    ),
    Mistake("begins at the origin", lambda s, a, m: m * a[:, :3].cumsum(0), "The hand begins at `start`."),
    Mistake(
        "scales the start along with the moves",
        lambda s, a, m: m * (s + a[:, :3].cumsum(0)),
        "`start` is in metres already: multiply the moves only, then add the start.",
    ),
    Mistake(
        "returns the start as the first point, T + 1 points in all",
        lambda s, a, m: torch.cat([s[None], _path(s, a, m)]),
        "T points are wanted: where the hand is after each of the T actions.",
    ),
    Mistake(
        "takes the actions' units for metres",
        lambda s, a, m: s + a[:, :3].cumsum(0),
        "Multiply by metres_per_unit.",
    ),
    Mistake(
        "adds up the rotation, not the translation",
        lambda s, a, m: s + m * a[:, 3:6].cumsum(0),
        "An action is translation (3), rotation (3), gripper (1), in this order.",
    ),
    Mistake(
        "returns only the end",
        lambda s, a, m: s + m * a[:, :3].sum(0),
        "Every step of the path is wanted: (T, 3). There is a sum that keeps its steps.",
    ),
    Mistake(
        "adds the start again in each step",
        lambda s, a, m: (s + m * a[:, :3]).cumsum(0),
        "Add the moves up first, and the start once.",
    ),
)
