"""The check of notebook 09's first exercise: which entries of a trajectory are given, and with what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import (
    Function,
    Mistake,
    check_function,
    failure,
    outcome,
    refuse_no_answer,
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
        cases.append({"features": features, "horizon": torch.tensor(T), "action_dim": torch.tensor(Da)})
    _refuse_no_pair("condition", function)
    check_function(
        "condition",
        _joined(function),
        _joined(_condition),
        (Mistake(m.name, _joined(m.function), m.hint) for m in CONDITION_MISTAKES),
        cases,
        "The observations stand where they belong, and True says so.",
    )


def _joined(function: Callable[[Tensor, int, int], Any]) -> Function:
    """Both answers in one tensor (2, B, T, Da+Do), which is what `check_function` compares."""

    def call(features: Tensor, horizon: Tensor, action_dim: Tensor) -> Tensor:
        data, mask = function(features, int(horizon), int(action_dim))
        return torch.stack([data, mask.to(data.dtype)])  # (2, B, T, Da+Do)

    return call


def _refuse_no_pair(exercise: str, function: Callable[[Tensor, int, int], Any]) -> None:
    """Says so where the answer is not two tensors (B, T, Da+Do), the second of them bool.

    Raises:
        CheckFailed: if it is not.
    """
    answer = outcome(lambda features: function(features, 6, 3), {"features": torch.zeros(3, 2, 4)})
    if isinstance(answer, Exception) or answer is None:
        refuse_no_answer(exercise, answer)
        raise failure(
            exercise,
            f"It raises {type(answer).__name__}: {answer}",
            "features is (B, To, Do); T and Da are integers. Print the shapes of both sides.",
        )
    pair = isinstance(answer, tuple | list) and len(answer) == 2
    if not pair or not all(isinstance(part, Tensor) for part in answer):
        raise failure(exercise, "Two tensors are wanted.", "End with: return condition_data, condition_mask")
    data, mask = answer
    if data.dtype == torch.bool and mask.dtype != torch.bool:
        raise failure(exercise, "Your two tensors are exchanged.", "First the data, then the mask.")
    if mask.dtype != torch.bool:
        raise failure(
            exercise,
            f"Your mask is of type {mask.dtype}; it must be bool.",
            "torch.zeros_like(condition_data, dtype=torch.bool): a mask of numbers cannot index.",
        )
    if tuple(data.shape) != (3, 6, 7) or data.shape != mask.shape:
        raise failure(
            exercise,
            f"Your shapes are {tuple(data.shape)} and {tuple(mask.shape)}; (3, 6, 7) is wanted.",
            "Both are (B, T, Da+Do); this was with B = 3, T = 6, Da = 3, Do = 4.",
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
    return _built(features, T, Da)


_FIRST_STEPS = "The window begins with the To observations that the robot has: steps 0 to To - 1, `[:, :To]`."
_COLUMNS = "Along the last axis the actions come first: observations stand at `[..., Da:]`."

CONDITION_MISTAKES = (
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
