"""Checks of notebook 10: the two ways to tell a denoiser directly, and a probe for what a policy sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function


def _features(cases: tuple[tuple[int, ...], ...], *names: str) -> list[Arguments]:
    """features (B, S, Do), and numbers of these names, for each (B, S, Do, ...)."""
    return [
        {
            "features": torch.randn(B, S, Do, generator=torch.Generator().manual_seed(seed)),
            **dict(zip(names, numbers, strict=True)),
        }
        for seed, (B, S, Do, *numbers) in enumerate(cases)
    ]


# ------------------------------------------------------------------------------------------------
# global
# ------------------------------------------------------------------------------------------------


def global_condition(function: Function) -> None:
    """Checks `function(features (B, S, Do), To) -> (B, To * Do)`, S at least To.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    check_function(
        "global_condition",
        function,
        _global,
        GLOBAL_CONDITION_MISTAKES,
        _features(((3, 6, 4, 2), (2, 4, 3, 3), (3, 3, 2, 2)), "To"),
        "One vector for each sample, its To observations one after the other.",
    )


def _global(features: Tensor, To: int) -> Tensor:
    return features[:, :To].flatten(start_dim=1)  # (B, To*Do)


_FIRST = "A policy has seen the first To steps of the window and no more: features[:, :To]."
_KEEP_BATCH = "Each sample keeps its own row: flatten all axes but the first."

GLOBAL_CONDITION_MISTAKES = (
    Mistake(
        "flattens all S steps that were loaded, T where To is meant",
        lambda f, To: f.flatten(1),
        "That shows the policy the future, which it will not have when it acts. " + _FIRST,
    ),
    Mistake(
        "flattens the batch, too: one long vector",
        lambda f, To: f[:, :To].reshape(-1),
        _KEEP_BATCH,
    ),
    Mistake(
        "leaves the observations apart, (B, To, Do)",
        lambda f, To: f[:, :To],
        "FiLM takes one vector for each sample: join the last two axes.",
    ),
    Mistake(
        "lays all observations of the batch in rows, (B*To, Do)",
        lambda f, To: f[:, :To].reshape(-1, f.shape[2]),
        "That is what the encoder takes. Its answer must go back to one row for each sample: (B, To*Do).",
    ),
    Mistake(
        "is transposed: the To values of each feature stand together",
        lambda f, To: f[:, :To].transpose(1, 2).flatten(1),
        "Same numbers, other order: first all of the first observation, then all of the second.",
    ),
    Mistake(
        "mixes the samples: a row holds observations of others",
        lambda f, To: f[:, :To].transpose(0, 1).reshape(len(f), -1),
        "reshape reads in the order of the axes. Keep the batch first, (B, To, Do), before you reshape.",
    ),
    Mistake(
        "takes the last To steps",
        lambda f, To: f[:, -To:].flatten(1),
        _FIRST,
    ),
    Mistake(
        "takes only the newest observation",
        lambda f, To: f[:, To - 1],
        "With one observation nothing tells how fast the hand moves. All To belong in the vector.",
    ),
    Mistake(
        "averages the observations",
        lambda f, To: f[:, :To].mean(1),
        "The difference between two observations is the velocity; an average loses it. Join them.",
    ),
    Mistake(
        "is off by one: it takes To + 1 steps",
        lambda f, To: f[:, : To + 1].flatten(1),
        "The step after now has not been seen. " + _FIRST,
    ),
)


# ------------------------------------------------------------------------------------------------
# local
# ------------------------------------------------------------------------------------------------


def local_condition(function: Function) -> None:
    """Checks `function(features (B, S, Do), To, T) -> (B, T, Do)`, zero from step To on.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    check_function(
        "local_condition",
        function,
        _local_condition,
        LOCAL_CONDITION_MISTAKES,
        _features(((3, 8, 4, 2, 8), (2, 6, 3, 3, 6), (4, 4, 2, 2, 4), (2, 2, 3, 2, 6)), "To", "T"),
        "Each step has its own observation, and what is not seen yet is zero.",
    )


def _local_condition(features: Tensor, To: int, T: int) -> Tensor:
    B, _, Do = features.shape
    local = features.new_zeros(B, T, Do)
    local[:, :To] = features[:, :To]
    return local  # (B, T, Do)


def _local(features: Tensor, To: int, T: int, begin: int = 0) -> Tensor:
    """Zeros, and the first `To` observations written from step `begin` on."""
    local = features.new_zeros(len(features), T, features.shape[2])
    local[:, begin : begin + To] = features[:, :To]
    return local  # (B, T, Do)


def _all_loaded(features: Tensor, T: int) -> Tensor:
    return _local(features, features.shape[1], T)  # (B, T, Do)


def _zeros_as_loaded(features: Tensor, To: int, T: int) -> Tensor:
    local = torch.zeros_like(features)
    local[:, :To] = features[:, :To]
    return local  # (B, S, Do)


_ZERO_LATER = "Steps from To on are zero: they have not been seen when the policy acts."
_EACH_STEP = "The denoiser wants (B, T, Do): one observation's numbers for each step. "

LOCAL_CONDITION_MISTAKES = (
    Mistake(
        "gives all loaded steps, the future too",
        lambda f, To, T: _all_loaded(f, T),
        _ZERO_LATER + " The loss would look excellent, and the robot would stand helpless.",
    ),
    Mistake(
        "returns the features as they were loaded",
        lambda f, To, T: f[:, :T] * 1.0,
        "A batch may hold To steps or more, the denoiser wants T. " + _ZERO_LATER,
    ),
    Mistake(
        "is as long as what was loaded, S steps, and not T",
        _zeros_as_loaded,
        "zeros_like(features) has the features' S steps. On the robot S is To: features.new_zeros(B, T, Do).",
    ),
    Mistake(
        "is zero everywhere",
        lambda f, To, T: _local(f, 0, T),
        "Write the first To observations in.",
    ),
    Mistake(
        "has its axes turned, (B, Do, T)",
        lambda f, To, T: _local(f, To, T).transpose(1, 2),
        _EACH_STEP + "The denoiser turns the axes itself, as it does with the trajectory.",
    ),
    Mistake(
        "joins the steps to one long vector, (B, T*Do)",
        lambda f, To, T: _local(f, To, T).flatten(1),
        _EACH_STEP + "One vector for all steps is the global condition.",
    ),
    Mistake(
        "repeats the global vector at each step",
        lambda f, To, T: f[:, :To].flatten(1)[:, None].repeat(1, T, 1),
        _EACH_STEP + "Locally, each step is told its own observation only.",
    ),
    Mistake(
        "stretches the observations over all T steps",
        lambda f, To, T: f[:, :To].repeat_interleave(T // To, dim=1),
        _ZERO_LATER,
    ),
    Mistake(
        "repeats the To observations in turn",
        lambda f, To, T: f[:, :To].repeat(1, T // To, 1),
        _ZERO_LATER,
    ),
    Mistake(
        "has only the first To steps, (B, To, Do)",
        lambda f, To, T: f[:, :To],
        "The denoiser wants one vector for each of T steps. " + _ZERO_LATER,
    ),
    Mistake(
        "repeats the newest observation in the later steps",
        lambda f, To, T: torch.cat([f[:, :To], f[:, To - 1 : To].expand(-1, T - To, -1)], 1),
        _ZERO_LATER,
    ),
    Mistake(
        "is inverted: zero where it was seen, and the future in its place",
        lambda f, To, T: _all_loaded(f, T) - _local(f, To, T),
        _ZERO_LATER,
    ),
    Mistake(
        "is off by one: To - 1 observations, the one of now is missing",
        lambda f, To, T: _local(f, To - 1, T),
        "A slice leaves its end out: `:To` holds To steps already.",
    ),
    Mistake(
        "is off by one: To + 1 observations",
        lambda f, To, T: _local(f, To + 1, T),
        "A slice leaves its end out: `:To` is enough. The step after now has not been seen.",
    ),
    Mistake(
        "writes the observations into the last steps",
        lambda f, To, T: _local(f, To, T, begin=T - To),
        "The window begins with what was seen: local[:, :To].",
    ),
    Mistake(
        "takes the last To observations that were loaded",
        lambda f, To, T: _local(f[:, -To:], To, T),
        "Those are the future. What the policy has seen is features[:, :To].",
    ),
    Mistake(
        "leaves step 0 out: it begins at step 1",
        lambda f, To, T: _local(f, To, T, begin=1),
        "Steps count from 0: local[:, :To].",
    ),
)


# ------------------------------------------------------------------------------------------------
# what is seen
# ------------------------------------------------------------------------------------------------

Predict = Callable[[Tensor], Tensor]


def _opposite(features: Tensor) -> Tensor:
    """Steps 1 and 2, of which step 2 moves two action entries in opposite directions."""
    first, second = features[:, 1].sum(1), features[:, 2].sum(1)  # (B,)
    return torch.stack([first + second, -second], dim=1)[:, :, None]  # (B, T=2, Da=1)


def _late(features: Tensor) -> Tensor:
    """Step 0 moves the last action only."""
    return torch.stack([torch.ones(len(features)), features[:, 0, 0] ** 3], dim=1)[:, :, None]


def _all_but_one(features: Tensor) -> Tensor:
    """All steps but step 1, each its own action."""
    seen = features.sum(2).clone()  # (B, S)
    seen[:, 1] = 1.0
    return seen[:, :, None].tanh()


def _faintly(features: Tensor) -> Tensor:
    """Step 0, and very little of step 3."""
    seen = features.sum(2)  # (B, S)
    return (seen[:, 0] + 2e-4 * seen[:, 3])[:, None, None].expand(-1, 2, 1)  # (B, T=2, Da=1)


PREDICTORS: tuple[Predict, ...] = (_opposite, _late, _all_but_one, _faintly)


def observations_used(function: Function) -> None:
    """Checks `function(predict, features (B, S, Do)) -> (S,)` bool, predict(features) -> (B, T, Da).

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = [
        {
            "predict": PREDICTORS[which],
            "features": 0.5 * torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(which)),
        }
        for which in range(len(PREDICTORS))
    ]
    check_function(
        "observations_used",
        function,
        _observations_used,
        OBSERVATIONS_USED_MISTAKES,
        cases,
        "With this you can ask any policy what it looks at.",
    )


def _observations_used(predict: Predict, features: Tensor) -> Tensor:
    before = predict(features)  # (B, T, Da)
    used = []
    for step in range(features.shape[1]):
        changed = features.clone()
        changed[:, step] += 1
        used.append(not torch.equal(predict(changed), before))
    return torch.tensor(used)  # (S,)


Differ = Callable[[Tensor, Tensor], Any]


def _used(
    predict: Predict,
    features: Tensor,
    differ: Differ = lambda new, old: not torch.equal(new, old),
    accumulate: bool = False,
    onwards: bool = False,
) -> Tensor:
    before = predict(features)  # (B, T, Da)
    used, changed = [], features.clone()
    for step in range(features.shape[1]):
        if not accumulate:
            changed = features.clone()
        changed[:, step : None if onwards else step + 1] += 1
        used.append(bool(differ(predict(changed), before)))
    return torch.tensor(used)  # (S,)


_ANY_CHANGE = "An observation is used if *any* entry of the answer changes: compare all of them."

OBSERVATIONS_USED_MISTAKES = (
    Mistake(
        "is inverted: True where nothing changes",
        lambda p, f: ~_used(p, f),
        "True should say that the observation is used: that the answer changed.",
    ),
    Mistake(
        "does not undo a change before the next",
        lambda p, f: _used(p, f, accumulate=True),
        "From the first used step on, everything then looks used. Begin each time with features.clone().",
    ),
    Mistake(
        "changes all steps from s on",
        lambda p, f: _used(p, f, onwards=True),
        "Then a later step answers for an earlier one. Change one step: changed[:, s].",
    ),
    Mistake(
        "compares the sums of the answers",
        lambda p, f: _used(p, f, lambda new, old: (new.sum() - old.sum()).abs() > 1e-4),
        "Two entries may change in opposite directions, and the sum stays. " + _ANY_CHANGE,
    ),
    Mistake(
        "looks at the first action only",
        lambda p, f: _used(p, f, lambda new, old: not torch.equal(new[:, 0], old[:, 0])),
        _ANY_CHANGE,
    ),
    Mistake(
        "asks whether all entries change",
        lambda p, f: _used(p, f, lambda new, old: (new != old).all()),
        _ANY_CHANGE + " torch.equal, or .any() instead of .all().",
    ),
    Mistake(
        "takes a small change for none",
        lambda p, f: _used(p, f, lambda new, old: not torch.allclose(new, old, atol=1e-2)),
        "A faint influence is one, too. The same input gives the same answer to the last digit: torch.equal.",
    ),
    Mistake(
        "says True for every step",
        lambda p, f: torch.ones(f.shape[1], dtype=torch.bool),
        "Compare the answers before and after: some observations change nothing.",
    ),
    Mistake(
        "says False for every step",
        lambda p, f: torch.zeros(f.shape[1], dtype=torch.bool),
        "Do you hand the changed features to predict, or the old ones?",
    ),
)
