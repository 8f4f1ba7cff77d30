"""The check of notebook 09's first exercise: which entries of a trajectory are given, and with what."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import (
    Function,
    Mistake,
    check_function,
)

Pair = tuple[Tensor, Tensor]


def condition(function: Function) -> None:
    """Checks `function(features (B, To, Do), T, Da) -> (condition_data, condition_mask)`, (B, T, Da+Do) both.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = []
    for seed, (B, To, Do, T, Da) in enumerate(((3, 2, 4, 6, 3), (2, 3, 2, 8, 5), (2, 1, 3, 4, 3))):
        features = torch.randn(B, To, Do, generator=torch.Generator().manual_seed(seed))
        features[0, 0, 0] = 0.0  # a feature may be 0, and is given all the same
        cases.append({"features": features, "T": T, "Da": Da})
    check_function(
        "condition",
        function,
        _condition,
        CONDITION_MISTAKES,
        cases,
        "The observations stand where they belong, and True says so.",
    )


def _built(
    features: Tensor,
    T: int,
    Da: int,
    steps: slice | None = None,
    mask_steps: slice | None = None,
    columns: slice | None = None,
    mask_columns: slice | None = None,
) -> Pair:
    B, To, Do = features.shape
    data = features.new_zeros(B, T, Da + Do)
    mask = torch.zeros_like(data, dtype=torch.bool)
    where = steps or slice(0, To), columns or slice(Da, None)
    data[:, where[0], where[1]] = features
    mask[:, mask_steps or where[0], mask_columns or where[1]] = True
    return data, mask


def _condition(features: Tensor, T: int, Da: int) -> Pair:
    B, To, Do = features.shape
    condition_data = features.new_zeros(B, T, Da + Do)
    condition_mask = torch.zeros_like(condition_data, dtype=torch.bool)
    condition_data[:, :To, Da:] = features
    condition_mask[:, :To, Da:] = True
    return condition_data, condition_mask


_FIRST_STEPS = "The window begins with the To observations that the robot has: steps 0 to To - 1, `[:, :To]`."
_COLUMNS = "Along the last axis the actions come first: observations stand at `[..., Da:]`."

CONDITION_MISTAKES = (
    Mistake(
        "returns the two tensors in the other order",
        lambda f, T, Da: _condition(f, T, Da)[::-1],
        "First the data, then the mask.",
    ),
    Mistake(
        "has the mask inverted",
        lambda f, T, Da: (_built(f, T, Da)[0], ~_built(f, T, Da)[1]),
        "True means given. Everything else is for the policy to fill in.",
    ),
    Mistake(
        "gives nothing: the mask is False everywhere",
        lambda f, T, Da: (_built(f, T, Da)[0], torch.zeros_like(_built(f, T, Da)[1])),
        "Data is read under the mask only. Set it to True where the features are.",
    ),
    Mistake(
        "has the right mask, but writes no features into the data",
        lambda f, T, Da: (torch.zeros_like(_built(f, T, Da)[0]), _built(f, T, Da)[1]),
        "Then the policy is told that everything it sees is zero.",
    ),
    Mistake(
        "gives the actions of the observed steps too",
        lambda f, T, Da: _built(f, T, Da, mask_columns=slice(None)),
        "They are not known: it fixes the first actions at zero. " + _COLUMNS,
    ),
    Mistake(
        "gives the observations of the whole horizon",
        lambda f, T, Da: _built(f, T, Da, mask_steps=slice(None)),
        "The future has not been seen: it would be told that it is zero. " + _FIRST_STEPS,
    ),
    Mistake(
        "is off by one at To: the mask has one step too many",
        lambda f, T, Da: _built(f, T, Da, mask_steps=slice(0, f.shape[1] + 1)),
        "A slice leaves its end out: `:To` holds the steps 0 to To - 1.",
    ),
    Mistake(
        "is off by one at To: the last observation, which is now, is not given",
        lambda f, T, Da: (
            _built(f, T, Da)[0],
            _built(f, T, Da)[1] & (torch.arange(T) < f.shape[1] - 1)[:, None],
        ),
        "A slice leaves its end out: `:To` holds To steps already, `:To - 1` loses the newest.",
    ),
    Mistake(
        "writes the features at the end of the window",
        lambda f, T, Da: _built(f, T, Da, steps=slice(T - f.shape[1], T)),
        _FIRST_STEPS + " What follows is the future.",
    ),
    Mistake(
        "leaves the first step out: it begins at step 1",
        lambda f, T, Da: _built(f, T, Da, steps=slice(1, f.shape[1] + 1)),
        "Steps count from 0. " + _FIRST_STEPS,
    ),
    Mistake(
        "puts the observations before the actions",
        lambda f, T, Da: _built(f, T, Da, columns=slice(0, f.shape[2])),
        _COLUMNS,
    ),
    Mistake(
        "has the right data, but the mask marks the actions' columns",
        lambda f, T, Da: _built(f, T, Da, mask_columns=slice(0, Da)),
        _COLUMNS,
    ),
)
