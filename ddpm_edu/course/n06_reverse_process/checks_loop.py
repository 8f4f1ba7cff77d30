"""Checks of notebook 06: the loop from noise to a clean sample, and known mistakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Function, Mistake, check_function
from ddpm_edu.course.n06_reverse_process.checks import BETAS, ReverseStep


def _denoise(noisy: Tensor, timestep: int) -> Tensor:
    """Any function of both will do, as long as each step k gives another answer."""
    return torch.tanh(noisy) * (0.3 + 0.1 * int(timestep))


def _step(epsilon: Tensor, noisy: Tensor, noise: Tensor, timestep: int) -> Tensor:
    return ReverseStep()(epsilon, noisy, noise, torch.tensor(int(timestep)), BETAS)


def sampling_loop(function: Function) -> None:
    """Checks `function(denoise, step, start (B, T, Da), noise (K, B, T, Da)) -> (B, T, Da)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    generator = torch.Generator().manual_seed(8)
    cases = [
        {
            "denoise": _denoise,
            "step": _step,
            "start": torch.randn(2, 4, 3, generator=generator),
            "noise": torch.randn(K, 2, 4, 3, generator=generator),
        }
        for K in (len(BETAS), 4)
    ]
    check_function(
        "sampling_loop",
        function,
        _sampling_loop,
        SAMPLING_LOOP_MISTAKES,
        cases,
        "K steps, from the noisiest level to the clean trajectory.",
    )


def _sampling_loop(denoise: Function, step: Function, start: Tensor, noise: Tensor) -> Tensor:
    x = start
    for k in reversed(range(len(noise))):
        epsilon = denoise(x, k)  # (B, T, Da)
        x = step(epsilon, x, noise[k], k)  # (B, T, Da)
    return x


@dataclass(frozen=True)
class SamplingLoop:
    """Algorithm 2 of DDPM, right or with a part put wrong."""

    order: Callable[[int], range] = lambda K: range(K - 1, -1, -1)
    told: Callable[[int, int], int] = lambda k, K: k
    noise_of: Callable[[int], int] = lambda k: k
    stale: bool = False

    def __call__(self, denoise: Function, step: Function, start: Tensor, noise: Tensor) -> Tensor:
        x = start  # (B, T, Da)
        for k in self.order(len(noise)):
            epsilon = denoise(start if self.stale else x, self.told(k, len(noise)))  # (B, T, Da)
            x = step(epsilon, x, noise[self.noise_of(k)], k)  # (B, T, Da)
        return x


SAMPLING_LOOP_MISTAKES = (
    Mistake(
        "returns the noise it began with",
        lambda denoise, step, start, noise: start,
        "The result of `step` must become the next step's input: x = step(...).",
    ),
    Mistake(
        "walks from k = 0 up",
        SamplingLoop(order=lambda K: range(K)),
        "Pure noise is at k = K - 1. reversed(range(K)) walks down.",
    ),
    Mistake(
        "stops before k = 0",
        SamplingLoop(order=lambda K: range(K - 1, 0, -1)),
        "k = 0 is a step too: a range leaves its end out. reversed(range(K)) goes down to 0.",
    ),
    Mistake(
        "begins at k = K - 2",
        SamplingLoop(order=lambda K: range(K - 2, -1, -1)),
        "The noisiest level is K - 1; only there is a trajectory pure noise.",
    ),
    Mistake(
        "takes one step only",
        SamplingLoop(order=lambda K: range(K - 1, K - 2, -1)),
        "Is `return` inside the loop?",
    ),
    Mistake(
        "does not tell the denoiser k: it always says K - 1",
        SamplingLoop(told=lambda k, K: K - 1),
        "A denoiser must know how noisy its input is: denoise(x, k).",
    ),
    Mistake(
        "tells the denoiser k - 1 in place of k",
        SamplingLoop(told=lambda k, K: k - 1),
        "x is at level k when it is handed in. The level k - 1 is where the step leads.",
    ),
    Mistake(
        "tells the denoiser k + 1 in place of k",
        SamplingLoop(told=lambda k, K: k + 1),
        "x is at level k when it is handed in, and both functions get the same k.",
    ),
    Mistake(
        "adds the same noise in every step",
        SamplingLoop(noise_of=lambda k: 0),
        "Each step has its own: noise[k].",
    ),
    Mistake(
        "asks the denoiser about the first noise in every step",
        SamplingLoop(stale=True),
        "The denoiser shall look at the trajectory as it is now, after the steps so far.",
    ),
)
