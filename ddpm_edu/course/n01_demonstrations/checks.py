"""Checks of notebook 01: the rows of a window, how many windows there are, which actions are executed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function, on_tensors


def _cases(**columns: list[Any]) -> list[Arguments]:
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


# ------------------------------------------------------------------------------------------------
# the rows of one window
# ------------------------------------------------------------------------------------------------


def window_rows(function: Function) -> None:
    """Checks `function(start, horizon, length) -> (T,) rows`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = _cases(start=[3, -1, 17, -2, -1], horizon=[8, 8, 8, 16, 12], length=[20, 20, 20, 9, 5])
    passed = "Windows may look over both edges; what they see there is the edge."
    check_function("window_rows", function, _rows, ROW_MISTAKES, cases, passed)


def _steps(start: int, horizon: int) -> Tensor:
    return start + torch.arange(int(horizon))  # (T,)


def _rows(start: int, horizon: int, length: int) -> Tensor:
    steps = start + torch.arange(horizon)  # (T,)
    return steps.clamp(0, length - 1)  # (T,)


def _cut(start: int, horizon: int, length: int) -> Tensor:
    steps = _steps(start, horizon)
    return steps[(steps >= 0) & (steps < length)]


def _pushed_inside(start: int, horizon: int, length: int) -> Tensor:
    inside = max(0, min(int(start), int(length) - int(horizon)))
    return inside + torch.arange(int(horizon))  # (T,)


_EDGE = "Where a window looks over an edge, the first or the last step is repeated: limit the steps."
_LAST = "A demonstration of L steps has the rows 0 to L - 1."
ROW_MISTAKES = (
    Mistake("does not pad: it returns steps that are not there", lambda s, t, n: _steps(s, t), _EDGE),
    Mistake(
        "repeats the last row at length, which is not there", lambda s, t, n: _steps(s, t).clamp(0, n), _LAST
    ),
    Mistake(
        "pads at the beginning only",
        lambda s, t, n: _steps(s, t).clamp(min=0),
        "And at the end? " + _LAST,
    ),
    Mistake(
        "pads at the end only",
        lambda s, t, n: _steps(s, t).clamp(max=int(n) - 1),
        "Row -1 exists in Python: the last one. The policy would begin its episode by seeing its end.",
    ),
    Mistake(
        "lets a negative row count from the end of the demonstration, as Python does",
        lambda s, t, n: _steps(s, t).clamp(max=int(n) - 1) % n,
        "The policy would begin its episode by seeing its end. " + _EDGE,
    ),
    Mistake(
        "goes round: what is over one edge comes in at the other",
        lambda s, t, n: _steps(s, t) % n,
        "A demonstration is no circle: its first moment does not follow its last. " + _EDGE,
    ),
    Mistake(
        "drops the steps beyond the edges: windows get different lengths",
        _cut,
        "A batch needs windows of one length. " + _EDGE,
    ),
    Mistake(
        "moves the window inside the demonstration",
        _pushed_inside,
        "Then the policy never learns its first and last decisions, where it must look over the edge. "
        + _EDGE,
    ),
    Mistake(
        "begins one step late",
        lambda s, t, n: _steps(s + 1, t).clamp(0, int(n) - 1),
        "The first step of the window is `start` itself.",
    ),
    Mistake(
        "returns the edge's row for every step of a window that looks over it",
        lambda s, t, n: (
            _rows(s, t, n) if s >= 0 and s + t <= n else torch.full((int(t),), 0 if s < 0 else int(n) - 1)
        ),
        "Only the steps beyond the edge are repeated; limit each step by itself.",
    ),
)


# ------------------------------------------------------------------------------------------------
# how many windows
# ------------------------------------------------------------------------------------------------


def count_windows(function: Function) -> None:
    """Checks `function(lengths, horizon, n_obs_steps, n_action_steps) -> number of windows`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = _cases(
        lengths=[[100], [81, 166, 117], [30, 5, 60], [40, 12, 33], [7, 50]],
        horizon=[16, 16, 16, 10, 12],
        n_obs_steps=[2, 2, 2, 1, 3],
        n_action_steps=[8, 8, 8, 6, 6],
    )
    passed = "You know how many examples a file of demonstrations holds."
    mistakes = map(on_tensors, COUNT_MISTAKES)
    check_function("count_windows", function, _count, mistakes, cases, passed)


def _count(lengths: list[int], horizon: int, n_obs_steps: int, n_action_steps: int) -> int:
    padding = (n_obs_steps - 1) + (n_action_steps - 1)
    return sum(max(1, length - horizon + 1 + padding) for length in lengths)


def _windows_of(extra: Function, least: int | None = 1) -> Function:
    """Counts L - T + extra windows of each demonstration."""

    def count(lengths: Tensor, T: Tensor, To: Tensor, Ta: Tensor) -> Tensor:
        each = lengths - T + extra(To, Ta, T)  # (E,)
        return (each if least is None else each.clamp(min=least)).sum()

    return count


_BOTH = (
    "Without padding there are L - T + 1; To - 1 more begin before the demonstration, "
    "and Ta - 1 more end after it."
)
_FENCE = "A window of T steps fits into T steps once, not zero times: L - T + 1 without padding."
COUNT_MISTAKES = (
    Mistake("leaves the padding out", _windows_of(lambda To, Ta, T: 1), _BOTH),
    Mistake(
        "leaves the padding out, and lets a short demonstration count for less than nothing",
        _windows_of(lambda To, Ta, T: 1, None),
        _BOTH + " And each demonstration has at least one window.",
    ),
    Mistake(
        "leaves the padding out, and is off by one",
        _windows_of(lambda To, Ta, T: 0, 0),
        _FENCE + " " + _BOTH,
    ),
    Mistake("counts the padding before, but not after", _windows_of(lambda To, Ta, T: To), _BOTH),
    Mistake("counts the padding after, but not before", _windows_of(lambda To, Ta, T: Ta), _BOTH),
    Mistake("is off by one in each demonstration", _windows_of(lambda To, Ta, T: To + Ta - 2), _FENCE),
    Mistake(
        "pads To steps before and Ta after",
        _windows_of(lambda To, Ta, T: To + Ta + 1),
        "One observation, and one action, lie inside the demonstration: To - 1 and Ta - 1 are padded.",
    ),
    Mistake(
        "pads with T - 1 steps on both sides",
        _windows_of(lambda To, Ta, T: 2 * T - 1),
        "Such windows would hold hardly anything but padding. " + _BOTH,
    ),
    Mistake(
        "lets a short demonstration count for less than nothing",
        _windows_of(lambda To, Ta, T: To + Ta - 1, None),
        "L - T + To + Ta - 1 can be negative; each demonstration has at least one window.",
    ),
    Mistake(
        "gives a short demonstration no window",
        _windows_of(lambda To, Ta, T: To + Ta - 1, 0),
        "What is shorter than T is padded further at its end: each demonstration has at least one window.",
    ),
    Mistake(
        "slides over all demonstrations as if they were one",
        lambda lengths, T, To, Ta: lengths.sum() - T + To + Ta - 1,
        "Then some windows begin in one demonstration and end in the next. Count each by itself, then add.",
    ),
    Mistake("counts one window for each step", lambda lengths, T, To, Ta: lengths.sum(), _BOTH),
    Mistake("counts the demonstrations", lambda lengths, T, To, Ta: torch.tensor(len(lengths)), _BOTH),
    Mistake(
        "counts the windows of the first demonstration only",
        lambda lengths, T, To, Ta: _count(lengths[:1], T, To, Ta),
        "`lengths` holds the length of every demonstration: add up over all.",
    ),
)


# ------------------------------------------------------------------------------------------------
# which actions are executed
# ------------------------------------------------------------------------------------------------


def executed_actions(function: Function) -> None:
    """Checks `function(trajectory (B, T, Da), n_obs_steps, n_action_steps) -> (B, Ta, Da)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    generator = torch.Generator().manual_seed(0)
    sizes = ((3, 16, 7), (2, 10, 4), (1, 12, 3), (12, 12, 12))
    cases = _cases(
        trajectory=[torch.randn(size, generator=generator) for size in sizes],
        n_obs_steps=[2, 1, 4, 3],
        n_action_steps=[8, 4, 5, 6],
    )
    passed = "The robot does what was meant for now, and not for a moment ago."
    check_function("executed_actions", function, _executed, EXECUTED_MISTAKES, cases, passed)


def _executed(trajectory: Tensor, n_obs_steps: int, n_action_steps: int) -> Tensor:
    now = n_obs_steps - 1
    return trajectory[:, now : now + n_action_steps]  # (B, Ta, Da)


def _sliced(
    begin: Function = lambda T, To, Ta: To - 1, end: Function = lambda T, To, Ta: To - 1 + Ta
) -> Function:
    def cut(trajectory: Tensor, To: int, Ta: int) -> Tensor:
        T = trajectory.shape[1]
        return trajectory[:, begin(T, To, Ta) : end(T, To, Ta)]  # (B, Ta, Da)

    return cut


_NOW = "The window's first To steps are observed and the last of those is now: index To - 1."
EXECUTED_MISTAKES = (
    Mistake(
        "takes the first Ta actions",
        _sliced(lambda *_: 0, lambda T, To, Ta: Ta),
        "Index 0 is the window's first step, To - 1 steps ago: the robot would repeat its past. " + _NOW,
    ),
    Mistake(
        "begins at index To, one step late",
        _sliced(lambda T, To, Ta: To, lambda T, To, Ta: To + Ta),
        "The action for now would be skipped. " + _NOW,
    ),
    Mistake(
        "ends at index Ta: it returns Ta - To + 1 actions",
        _sliced(end=lambda T, To, Ta: Ta),
        "A slice ends at an index, not after a number of entries: begin + Ta.",
    ),
    Mistake(
        "ends one action early",
        _sliced(end=lambda T, To, Ta: To - 2 + Ta),
        "A slice leaves its end out: from To - 1, Ta entries end at To - 1 + Ta.",
    ),
    Mistake(
        "returns one action too many",
        _sliced(end=lambda T, To, Ta: To + Ta),
        "A slice leaves its end out: from To - 1, Ta entries end at To - 1 + Ta.",
    ),
    Mistake(
        "returns all actions from now on",
        _sliced(end=lambda T, To, Ta: T),
        "Only Ta are executed; then the policy looks again.",
    ),
    Mistake(
        "returns the whole trajectory",
        lambda x, To, Ta: x,
        "It also holds what lies before now and what comes after the next look. " + _NOW,
    ),
    Mistake(
        "takes the last Ta actions",
        _sliced(lambda T, To, Ta: T - Ta, lambda T, To, Ta: T),
        "Those are farthest in the future. " + _NOW,
    ),
    Mistake(
        "cuts the batch axis, not the time axis",
        lambda x, To, Ta: x[int(To) - 1 : int(To) - 1 + int(Ta)],
        "trajectory is (B, T, Da): time is the second axis. trajectory[:, begin:end].",
    ),
    Mistake(
        "cuts the last axis, the entries of an action",
        lambda x, To, Ta: x[..., int(To) - 1 : int(To) - 1 + int(Ta)],
        "trajectory is (B, T, Da): time is the second axis. trajectory[:, begin:end].",
    ),
    Mistake(
        "returns only the action for now",
        _sliced(end=lambda T, To, Ta: To),
        "Ta actions are executed before the policy looks again.",
    ),
)
