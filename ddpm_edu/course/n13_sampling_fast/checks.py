"""Checks of notebook 13: one DDIM step, the steps that are visited, and how many fit into a control loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Function, Mistake, check_function

BETAS = torch.tensor([0.04, 0.1, 0.17, 0.3, 0.45, 0.7])  # (K,)

# ------------------------------------------------------------------------------------------------
# one DDIM step
# ------------------------------------------------------------------------------------------------


def ddim_step(function: Function) -> None:
    """Checks `function(epsilon, noisy, timestep: int, previous: int, betas (K,)) -> (B, T, Da)`.

    Axes: epsilon (B, T, Da) and noisy (B, T, Da).

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    generator = torch.Generator().manual_seed(13)
    cases = []
    for k, previous, K in ((4, 2, 6), (5, 0, 6), (1, -1, 5), (3, 2, 4)):
        epsilon, noisy = torch.randn(2, 2, 4, 3, generator=generator)
        steps = {"timestep": k, "previous": previous}
        cases.append({"epsilon": epsilon, "noisy": noisy, **steps, "betas": BETAS[:K]})
    passed = "The same noise, scaled down to the level of the next visited step."
    check_function("ddim_step", function, _ddim_step, DDIM_STEP_MISTAKES, cases, passed)


def _ddim_step(epsilon: Tensor, noisy: Tensor, timestep: int, previous: int, betas: Tensor) -> Tensor:
    alpha_bar = torch.cumprod(1 - betas, dim=0)  # (K,)
    left = alpha_bar[timestep]
    left_next = alpha_bar[previous] if previous >= 0 else torch.tensor(1.0)
    clean = ((noisy - (1 - left).sqrt() * epsilon) / left.sqrt()).clamp(-1, 1)  # (B, T, Da)
    return left_next.sqrt() * clean + (1 - left_next).sqrt() * epsilon  # (B, T, Da)


def _left_at(alpha_bar: Tensor, k: int, previous: int) -> Tensor:
    """alpha_bar of the step it leads to; beyond the first one all is signal."""
    return alpha_bar[previous] if previous >= 0 else torch.ones(())


@dataclass(frozen=True)
class DDIMStep:
    """Equation 12 of DDIM without fresh noise, right or with a part put wrong."""

    left_next: Callable[[Tensor, int, int], Tensor] = _left_at
    signal: Callable[[Tensor], Tensor] = lambda left: left.sqrt()
    noise: Callable[[Tensor], Tensor] = lambda left: (1 - left).sqrt()
    clip: bool = True
    recompute: bool = False
    redraw: bool = False
    shift: int = 0

    def __call__(
        self, epsilon: Tensor, noisy: Tensor, timestep: Tensor, previous: Tensor, betas: Tensor
    ) -> Tensor:
        k, previous = int(timestep), int(previous)
        alpha_bar = torch.cumprod(1 - betas, 0)  # (K,)
        left = alpha_bar[max(k + self.shift, 0)]
        clean = (noisy - (1 - left).sqrt() * epsilon) / left.sqrt()  # (B, T, Da)
        if self.clip:
            clean = clean.clamp(-1, 1)
        if self.recompute:
            epsilon = (noisy - left.sqrt() * clean) / (1 - left).sqrt()
        if self.redraw:
            epsilon = torch.randn_like(noisy)
        left_next = self.left_next(alpha_bar, k, previous)
        return self.signal(left_next) * clean + self.noise(left_next) * epsilon  # (B, T, Da)


_TWO_LEVELS = (
    "It leads from `timestep` to `previous`: sqrt(left) * clean + sqrt(1 - left) * epsilon, with `left` the "
    "alpha_bar of `previous`."
)

DDIM_STEP_MISTAKES = (
    Mistake(
        "returns the predicted clean trajectory",
        DDIMStep(left_next=lambda alpha_bar, k, previous: torch.ones(())),
        "That is all the way in one jump. " + _TWO_LEVELS,
    ),
    Mistake(
        "takes alpha_bar[previous] for previous = -1 too, where Python counts from the end",
        DDIMStep(left_next=lambda alpha_bar, k, previous: alpha_bar[previous]),
        "alpha_bar[-1] is that of the noisiest step. Where previous is -1 all is signal: alpha_bar = 1.",
    ),
    Mistake(
        "leads to timestep - 1, whatever `previous` says",
        DDIMStep(left_next=lambda alpha_bar, k, previous: _left_at(alpha_bar, k, k - 1)),
        "Steps are left out: the next one visited is `previous`. " + _TWO_LEVELS,
    ),
    Mistake(
        "puts clean and noise together again at alpha_bar of `timestep`",
        DDIMStep(left_next=lambda alpha_bar, k, previous: alpha_bar[k]),
        "That stays at the level it came from. " + _TWO_LEVELS,
    ),
    Mistake(
        "predicts the clean trajectory with alpha_bar of timestep - 1",
        DDIMStep(shift=-1),
        "`noisy` is at the level of `timestep`: alpha_bar[timestep] belongs there.",
    ),
    Mistake(
        "forgets the root before the clean trajectory",
        DDIMStep(signal=lambda left: left),
        "alpha_bar is a share of variance; what multiplies a trajectory is its root.",
    ),
    Mistake(
        "forgets the root before the noise",
        DDIMStep(noise=lambda left: 1 - left),
        "1 - alpha_bar is a variance; what multiplies noise is its root.",
    ),
    Mistake(
        "forgets both roots",
        DDIMStep(signal=lambda left: left, noise=lambda left: 1 - left),
        "Both are shares of variance; what multiplies a trajectory, or noise, is the root.",
    ),
    Mistake(
        "leaves the noise out",
        DDIMStep(noise=lambda left: torch.zeros(())),
        "At the level of `previous` there still is noise: the denoiser expects it. " + _TWO_LEVELS,
    ),
    Mistake(
        "does not clip the clean trajectory",
        DDIMStep(clip=False),
        "Normalised data lies in [-1, 1]: .clamp(-1, 1) after predicting it.",
    ),
    Mistake(
        "draws new noise",
        DDIMStep(redraw=True),
        "DDIM keeps the noise that the denoiser found: epsilon. That is why it is deterministic.",
    ),
    Mistake(
        "recomputes epsilon after clipping",
        DDIMStep(recompute=True),
        "That is diffusers' use_clipped_model_output=True; here epsilon is wanted as it came.",
    ),
)

# ------------------------------------------------------------------------------------------------
# the visited steps
# ------------------------------------------------------------------------------------------------


def trailing_timesteps(function: Function) -> None:
    """Checks `function(K: int, n: int) -> (n,)`, the visited steps from K - 1 down.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = [
        {"K": K, "n": n} for K, n in ((100, 10), (100, 16), (50, 7), (100, 60), (1000, 3), (10, 10), (100, 1))
    ]
    check_function(
        "trailing_timesteps",
        function,
        _trailing_timesteps,
        [Mistake(name, wrong, hint) for name, wrong, hint in TIMESTEPS],
        cases,
        "It starts at K - 1, where training saw pure noise.",
    )


def _trailing_timesteps(K: int, n: int) -> Tensor:
    return torch.tensor([K * (n - i) // n - 1 for i in range(n)])  # (n,)


TIMESTEPS = (
    (
        "takes every (K // n)-th step from 0 on ('leading')",
        lambda K, n: [i * (K // n) for i in reversed(range(n))],
        "The highest one is then below K - 1, but the first draw is pure noise, which belongs to K - 1.",
    ),
    (
        "is off by one: it counts the steps from 1 to K",
        lambda K, n: [K * (n - i) // n for i in range(n)],
        "Steps are numbered from 0 to K - 1: subtract 1, or alpha_bar[K] is asked for.",
    ),
    (
        "is off by one: it ends at -1",
        lambda K, n: [K * (n - 1 - i) // n - 1 for i in range(n)],
        "-1 is where the last step leads, not one that is visited. The first one is K - 1.",
    ),
    (
        "visits n + 1 steps: -1 is the clean trajectory",
        lambda K, n: [K * (n - i) // n - 1 for i in range(n + 1)],
        "At -1 there is nothing to denoise; it is where the last step leads.",
    ),
    (
        "spreads them from K - 1 to 0, both ends included (linspace)",
        lambda K, n: torch.linspace(K - 1, 0, n).round(),
        "The last jump leads to -1, so the gaps are K / n wide: the lowest visited step is K / n - 1, not 0.",
    ),
    (
        "spreads them from K - 1 to 0, both ends included (linspace), and cuts the digits off",
        lambda K, n: torch.linspace(K - 1, 0, n).long(),
        "The last jump leads to -1, so the gaps are K / n wide: the lowest visited step is K / n - 1, not 0.",
    ),
    (
        "jumps by K // n, which is too short where n does not divide K",
        lambda K, n: [K - 1 - i * (K // n) for i in range(n)],
        "With K = 100, n = 60 that visits 99 to 40, and no lower one. Divide last: K * (n - i) // n - 1.",
    ),
    (
        "rounds to the nearest step",
        lambda K, n: [round(K * (n - i) / n) - 1 for i in range(n)],
        "Good enough for a robot, but the task says: round down. `//` does.",
    ),
    (
        "counts upwards",
        lambda K, n: [K * (i + 1) // n - 1 for i in range(n)],
        "Sampling goes from noise to the clean trajectory: K - 1 comes first.",
    ),
)

# ------------------------------------------------------------------------------------------------
# how many steps fit
# ------------------------------------------------------------------------------------------------


def steps_that_fit(function: Function) -> None:
    """Checks `function(rate, Ta, fixed_seconds, step_seconds, K) -> int`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    names = ("rate", "Ta", "fixed_seconds", "step_seconds", "K")
    values = (
        (20, 8, 0.013, 0.0071, 100),
        (20, 8, 0.03, 0.0041, 50),
        (10, 4, 0.05, 0.0437, 100),
        (50, 1, 0.0312, 0.0073, 100),
        (1, 8, 0.01, 0.004, 80),
        (8, 4, 0.25, 0.125, 20),
    )
    cases = [dict(zip(names, row, strict=True)) for row in values]
    check_function(
        "steps_that_fit",
        function,
        _steps_that_fit,
        [Mistake(name, wrong, hint) for name, wrong, hint in BUDGETS],
        cases,
        "So many steps, and the next actions are there before the last ones are used up.",
    )


def _steps_that_fit(rate: float, Ta: int, fixed_seconds: float, step_seconds: float, K: int) -> int:
    steps = floor((Ta / rate - fixed_seconds) / step_seconds)
    return max(0, min(steps, K))


@dataclass(frozen=True)
class Budget:
    """Steps in the time that a chunk of actions takes, right or with a part put wrong."""

    seconds: Callable[[float, int], float] = lambda rate, Ta: Ta / rate
    whole: Callable[[float], float] = floor
    fixed: bool = True
    lowest: float = 0
    capped: bool = True

    def __call__(self, rate: float, Ta: int, fixed_seconds: float, step_seconds: float, K: int) -> float:
        left = self.seconds(rate, Ta) - fixed_seconds * self.fixed
        steps = max(self.whole(left / step_seconds), self.lowest)
        return min(steps, K) if self.capped else steps


_FORMULA = "floor((Ta / rate - fixed_seconds) / step_seconds), then between 0 and K."

BUDGETS = (
    (
        "gives the time of a single action",
        Budget(lambda rate, Ta: 1 / rate),
        "The robot decides once in Ta actions: it has Ta / rate seconds. " + _FORMULA,
    ),
    (
        "multiplies Ta by the rate",
        Budget(lambda rate, Ta: Ta * rate),
        "rate is in actions per second: Ta actions take Ta / rate seconds. " + _FORMULA,
    ),
    (
        "divides the rate by Ta",
        Budget(lambda rate, Ta: rate / Ta),
        "That is decisions per second; the seconds per decision are Ta / rate. " + _FORMULA,
    ),
    (
        "forgets what a decision costs before its first step",
        Budget(fixed=False),
        "Observations are read and encoded first: fixed_seconds. " + _FORMULA,
    ),
    ("rounds up", Budget(whole=ceil), "The last of these steps would come too late: round down. " + _FORMULA),
    ("rounds to the nearest", Budget(whole=round), "One step too many is too late: round down. " + _FORMULA),
    ("does not round", Budget(whole=float), "There is no half step: round down. " + _FORMULA),
    ("allows more than K steps", Budget(capped=False), "There are K noise levels, no more. " + _FORMULA),
    (
        "gives a negative number where nothing fits",
        Budget(lowest=-float("inf")),
        "Where not even one step fits, the answer is 0. " + _FORMULA,
    ),
    (
        "gives 1 where nothing fits",
        Budget(lowest=1),
        "Where not even one step fits, the answer is 0: this loop cannot be kept. " + _FORMULA,
    ),
)
