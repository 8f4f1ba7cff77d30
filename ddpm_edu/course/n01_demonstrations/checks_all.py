"""Check of notebook 01: all windows of a file."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function


def all_windows(function: Function) -> None:
    """Checks `function(lengths, horizon, n_obs_steps, n_action_steps) -> rows, is_pad, whose`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases: list[Arguments] = [
        {"lengths": [7, 5, 9], "horizon": 5, "n_obs_steps": 3, "n_action_steps": 2},
        {"lengths": [6, 8], "horizon": 4, "n_obs_steps": 1, "n_action_steps": 3},
        {
            "lengths": [9, 2, 4],
            "horizon": 8,
            "n_obs_steps": 2,
            "n_action_steps": 4,
        },  # the second is too short
    ]
    check_function(
        "all_windows",
        function,
        _all_windows,
        ALL_WINDOWS_MISTAKES,
        cases,
        "Every window of every demonstration, and none that runs from one into the next.",
    )


def _all_windows(
    lengths: list[int],
    horizon: int,
    n_obs_steps: int,
    n_action_steps: int,
    before: bool = True,
    after: bool = True,
    moved: bool = True,
    edges: bool = True,
    last: int = 0,
    inverted: bool = False,
    whole_file: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """The right rows, padding and owners; each option is a mistake."""
    rows, is_pad, whose, offset = [], [], [], 0
    for number, length in enumerate(lengths):
        start = -(n_obs_steps - 1) if before else 0
        end = length - horizon + (n_action_steps - 1 if after else 0) - last
        for first in range(start, max(start, end) + 1):
            steps = torch.arange(first, first + horizon)
            inside = (steps >= 0) & (steps < length)
            kept = steps.clamp(0, length - 1) if edges else steps.clamp(min=0)
            place = kept + (offset if moved else 0)
            rows.append((steps + offset).clamp(0, sum(lengths) - 1) if whole_file else place)
            is_pad.append(inside if inverted else ~inside)
            whose.append(number)
        offset += length
    return torch.stack(rows), torch.stack(is_pad), torch.tensor(whose)


ALL_WINDOWS_MISTAKES = (
    Mistake(
        "counts every demonstration's rows from 0",
        lambda *a: _all_windows(*a, moved=False),
        "The demonstrations lie end to end: add the lengths of those before.",
    ),
    Mistake(
        "begins each demonstration at its first step",
        lambda *a: _all_windows(*a, before=False),
        "The first window begins at -(To - 1): its last observation is the first step.",
    ),
    Mistake(
        "has no padding after the end",
        lambda *a: _all_windows(*a, after=False),
        "The last window begins at L + (Ta - 1) - T.",
    ),
    Mistake(
        "leaves out the last window of each demonstration",
        lambda *a: _all_windows(*a, last=1),
        "Both ends are included: range(first, last + 1).",
    ),
    Mistake(
        "runs from one demonstration into the next",
        lambda *a: _all_windows(*a, edges=False),
        "Clamp the steps to the demonstration before you add its offset.",
    ),
    Mistake(
        "clamps to the file, so that windows run into both neighbours",
        lambda *a: _all_windows(*a, whole_file=True),
        "Clamp the steps to the demonstration before you add its offset.",
    ),
    Mistake(
        "marks the steps that are inside, not those that are padded",
        lambda *a: _all_windows(*a, inverted=True),
        "is_pad is True where a step lies before 0 or behind L - 1.",
    ),
)
