"""Checks of notebook 03: the constant with the least squared error, and the share of one way."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function

# ------------------------------------------------------------------------------------------------
# the constant with the smallest squared error
# ------------------------------------------------------------------------------------------------


def best_constant(function: Function) -> None:
    """Checks `function(samples (N, T, Da)) -> the one trajectory (T, Da) with the least squared error`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    generator = torch.Generator().manual_seed(0)
    # Skewed, so that mean, median and middle differ; and N, T and Da differ, so that axes cannot be mixed up.
    cases: list[Arguments] = [
        {"samples": torch.randn(*size, generator=generator).exp() - 1}
        for size in ((7, 4, 2), (6, 3, 5), (2, 5, 3))
    ]
    check_function(
        "best_constant",
        function,
        _best_constant,
        BEST_CONSTANT_MISTAKES,
        cases,
        "No other single trajectory has a smaller squared error, and it may be one that nobody drove.",
    )


def _best_constant(samples: Tensor) -> Tensor:
    return samples.mean(dim=0)  # (T, Da)


def _nearest_to_mean(samples: Tensor) -> Tensor:
    return samples[(samples - samples.mean(dim=0)).square().flatten(1).sum(dim=1).argmin()]  # (T, Da)


_SAMPLES_AXIS = "One value for each time step and each number is wanted: (T, Da). The samples are axis 0."
BEST_CONSTANT_MISTAKES = (
    Mistake("averages everything into one number", lambda samples: samples.mean(), _SAMPLES_AXIS),
    Mistake("averages over the time steps", lambda samples: samples.mean(dim=1), _SAMPLES_AXIS),
    Mistake("averages over the numbers of a time step", lambda samples: samples.mean(dim=2), _SAMPLES_AXIS),
    Mistake("averages over samples and time steps", lambda samples: samples.mean(dim=(0, 1)), _SAMPLES_AXIS),
    Mistake(
        "keeps the samples' axis: it returns (1, T, Da)",
        lambda samples: samples.mean(dim=0, keepdim=True),
        "The answer is one trajectory, (T, Da): leave `keepdim` out.",
    ),
    Mistake(
        "takes the median",
        lambda samples: samples.median(dim=0).values,
        "The median has the smallest absolute error. Set the derivative of the *squared* error to zero.",
    ),
    Mistake(
        "takes the middle between the smallest and the largest",
        lambda samples: (samples.amin(dim=0) + samples.amax(dim=0)) / 2,
        "That has the smallest largest error. In a sum of squares every sample counts.",
    ),
    Mistake(
        "adds the samples up and does not divide",
        lambda samples: samples.sum(dim=0),
        "The derivative is zero where N times the constant is the sum.",
    ),
    Mistake(
        "divides by N - 1",
        lambda samples: samples.sum(dim=0) / (len(samples) - 1),
        "N - 1 belongs to the estimate of a variance. N times the constant is the sum.",
    ),
    Mistake(
        "takes the root of the mean square",
        lambda samples: samples.square().mean(dim=0).sqrt(),
        "What is squared is the difference to the constant, not the sample.",
    ),
    Mistake(
        "returns the first sample",
        lambda samples: samples[0],
        "A sample is a way that somebody drove, but its squared error to all the others is larger.",
    ),
    Mistake(
        "chooses the best one of the samples",
        _nearest_to_mean,
        "A reasonable wish! But the squared error does not ask for a trajectory that exists: a constant "
        "between the samples has a smaller one.",
    ),
)


# ------------------------------------------------------------------------------------------------
# how many pass on the left
# ------------------------------------------------------------------------------------------------


def share_left(function: Function) -> None:
    """Checks `function(trajectories (N, T, 2)) -> share that has y > 0 where x is nearest to 0`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases: list[Arguments] = [
        {"trajectories": _crossings(size, seed)} for seed, size in enumerate(((13, 9), (8, 12), (40, 6)))
    ]
    check_function(
        "share_left",
        function,
        _share_left,
        SHARE_LEFT_MISTAKES,
        cases,
        "It counts trajectories, each at the place where the obstacle is.",
    )


def _crossings(size: tuple[int, int], seed: int) -> Tensor:
    """Trajectories (N, T, 2) that come past x = 0 at different times, and go to and fro on their way."""
    N, T = size
    generator = torch.Generator().manual_seed(100 + seed)
    pace = torch.linspace(-0.9, 0.9, T) + torch.linspace(-0.55, 0.7, N)[:, None]  # (N, T)
    pace = pace.gather(1, torch.rand(N, T, generator=generator).argsort(dim=1))  # (N, T)
    y = 0.8 * torch.randn(N, T, generator=generator) + 0.3  # (N, T)
    y[2, pace[2].abs().argmin()] = 0.0  # on neither side: y > 0 does not hold
    return torch.stack([pace, y], dim=-1)  # (N, T, 2)


def _share_left(trajectories: Tensor) -> Tensor:
    nearest = trajectories[..., 0].abs().argmin(dim=1)  # (N,)
    y = trajectories[torch.arange(len(trajectories)), nearest, 1]  # (N,)
    return (y > 0).float().mean()  # ()


def _side_at_obstacle(trajectories: Tensor) -> Tensor:
    nearest = trajectories[..., 0].abs().argmin(dim=1)  # (N,)
    return trajectories[torch.arange(len(trajectories)), nearest, 1] > 0  # (N,)


def _sides(pick: Callable[[Tensor], Tensor]) -> Function:
    return lambda trajectories: (pick(trajectories) > 0).float().mean()


def _y_where(index: Callable[[Tensor], Tensor]) -> Function:
    return _sides(lambda t: t[torch.arange(len(t)), index(t), 1])


_WHERE = (
    "Ask each trajectory where it is when its x is nearest to 0: trajectories[..., 0].abs().argmin(dim=1)."
)
_TYPE = "A comparison gives truth values, one for each trajectory. Their mean, as float, is the share."
SHARE_LEFT_MISTAKES = (
    Mistake(
        "gives the share of the right",
        lambda t: 1 - _side_at_obstacle(t).float().mean(),
        "Seen along x, left is where y is positive.",
    ),
    Mistake(
        "counts points, not trajectories",
        _sides(lambda t: t[..., 1]),
        f"A trajectory may waver on its way, but it passes the obstacle once. {_WHERE}",
    ),
    Mistake("averages y over the whole way", _sides(lambda t: t[..., 1].mean(dim=1)), _WHERE),
    Mistake("looks at the last time step", _sides(lambda t: t[:, -1, 1]), _WHERE),
    Mistake("looks at the first time step", _sides(lambda t: t[:, 0, 1]), _WHERE),
    Mistake(
        "looks at the middle time step",
        _sides(lambda t: t[:, t.shape[1] // 2, 1]),
        f"Not every trajectory is at the obstacle at half-time. {_WHERE}",
    ),
    Mistake(
        "looks where y is largest, whatever its sign",
        _y_where(lambda t: t[..., 1].abs().argmax(dim=1)),
        _WHERE,
    ),
    Mistake(
        "looks where x is smallest, not where it is nearest to 0",
        _y_where(lambda t: t[..., 0].argmin(dim=1)),
        "The smallest x is the start. `.abs()` before `argmin` makes it the obstacle.",
    ),
    Mistake(
        "looks at x, not at y",
        _sides(lambda t: t[torch.arange(len(t)), t[..., 0].abs().argmin(dim=1), 0]),
        "The last axis is (x, y): x says how far along, y (index 1) says on which side.",
    ),
    Mistake(
        "asks every trajectory at the moments of all the others",
        _sides(lambda t: t[:, t[..., 0].abs().argmin(dim=1), 1]),
        "trajectories[:, nearest, 1] is (N, N). Pairs need two index tensors: "
        "trajectories[torch.arange(N), nearest, 1] is (N,).",
    ),
    Mistake("returns how many, not which share", lambda t: _side_at_obstacle(t).float().sum(), _TYPE),
    Mistake("returns one truth value for each trajectory", _side_at_obstacle, _TYPE),
    Mistake(
        "rounds the share to a whole number",
        lambda t: _side_at_obstacle(t).sum() // len(t),
        "`//` drops what is left over. " + _TYPE,
    ),
    Mistake(
        "returns the mean y, not a share",
        lambda t: t[torch.arange(len(t)), t[..., 0].abs().argmin(dim=1), 1].mean(),
        "The mean place is exactly what this notebook warns of. Compare with 0 first, then average.",
    ),
)
