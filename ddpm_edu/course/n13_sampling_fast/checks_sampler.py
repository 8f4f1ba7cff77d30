"""Check of notebook 13: the whole DDIM sampler, from pure noise to a clean trajectory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function

Denoise = Callable[[Tensor, int], Tensor]


def ddim_sampler(function: Function) -> None:
    """Checks `function(denoise, start (B, T, Da), betas (K,), n) -> (n+1, B, T, Da)`, start and all jumps.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases: list[Arguments] = []
    for seed, (B, T, Da, K, n) in enumerate(
        ((2, 4, 3, 12, 5), (3, 5, 2, 10, 10), (1, 3, 4, 9, 1), (2, 3, 2, 20, 4))
    ):
        generator = torch.Generator().manual_seed(seed)
        cases.append(
            {
                "denoise": lambda x, k, shift=seed: 0.8 * x + 0.3 * torch.sin(x + 0.5 * k + shift),
                "start": torch.randn(B, T, Da, generator=generator),
                "betas": torch.linspace(0.02, 0.6, K),
                "n": n,
            }
        )
    check_function(
        "ddim_sampler",
        function,
        _sampler,
        SAMPLER_MISTAKES,
        cases,
        "From noise to a motion in n questions, and every step leads to the next one.",
    )


def _sampler(denoise: Denoise, start: Tensor, betas: Tensor, n: int) -> Tensor:
    alpha_bar = torch.cumprod(1 - betas, dim=0)  # (K,)
    K = len(betas)
    levels = [K * (n - i) // n - 1 for i in range(n)]
    x = start
    path = [x]
    for i, k in enumerate(levels):
        j = levels[i + 1] if i + 1 < n else -1
        left = alpha_bar[k]
        left_next = alpha_bar[j] if j >= 0 else torch.tensor(1.0)
        epsilon = denoise(x, k)
        clean = ((x - (1 - left).sqrt() * epsilon) / left.sqrt()).clamp(-1, 1)  # (B, T, Da)
        x = left_next.sqrt() * clean + (1 - left_next).sqrt() * epsilon
        path.append(x)
    return torch.stack(path)  # (n+1, B, T, Da)


def _wrong(
    denoise: Denoise,
    start: Tensor,
    betas: Tensor,
    n: int,
    upwards: bool = False,
    python_end: bool = False,
    neighbour: bool = False,
    always_first: bool = False,
    clip: bool = True,
    told: str = "level",
) -> Tensor:
    alpha_bar, K = torch.cumprod(1 - betas, dim=0), len(betas)
    levels = [K * (n - i) // n - 1 for i in range(n)]
    if upwards:
        levels.reverse()
    path = [start]
    for i, k in enumerate(levels):
        j = k - 1 if neighbour else levels[i + 1] if i + 1 < n else -1
        left_next = alpha_bar[j] if python_end or j >= 0 else torch.tensor(1.0)
        x = path[-1]
        epsilon = denoise(start if always_first else x, k if told == "level" else i)
        clean = (x - (1 - alpha_bar[k]).sqrt() * epsilon) / alpha_bar[k].sqrt()
        clean = clean.clamp(-1, 1) if clip else clean
        path.append(left_next.sqrt() * clean + (1 - left_next).sqrt() * epsilon)
    return torch.stack(path)


SAMPLER_MISTAKES = (
    Mistake(
        "visits the levels from below",
        lambda denoise, start, betas, n: _wrong(denoise, start, betas, n, upwards=True),
        "Pure noise belongs to K - 1: that level comes first.",
    ),
    Mistake(
        "takes alpha_bar[-1] in the last jump",
        lambda denoise, start, betas, n: _wrong(denoise, start, betas, n, python_end=True),
        "Index -1 is Python's last entry, that of pure noise. The clean trajectory has alpha_bar = 1.",
    ),
    Mistake(
        "leads each step to k - 1, not to the next visited level",
        lambda denoise, start, betas, n: _wrong(denoise, start, betas, n, neighbour=True),
        "Then x is noisier than the level that the next question names. j is the next entry of the list.",
    ),
    Mistake(
        "asks about the first noise again and again",
        lambda denoise, start, betas, n: _wrong(denoise, start, betas, n, always_first=True),
        "denoise(x, k) with the x of now: it changes in each round.",
    ),
    Mistake(
        "does not clip the clean trajectory",
        lambda denoise, start, betas, n: _wrong(denoise, start, betas, n, clip=False),
        "Near pure noise x is divided by a root near 0: .clamp(-1, 1) keeps a small error small.",
    ),
    Mistake(
        "tells the denoiser the number of the round, not the level",
        lambda denoise, start, betas, n: _wrong(denoise, start, betas, n, told="round"),
        "The network must know how much noise to look for: that is k.",
    ),
    Mistake(
        "returns only where it ends",
        lambda denoise, start, betas, n: _sampler(denoise, start, betas, n)[-1],
        "All n + 1 are wanted, the start first: keep them in a list, and torch.stack it.",
    ),
    Mistake(
        "leaves the start out of what it returns",
        lambda denoise, start, betas, n: _sampler(denoise, start, betas, n)[1:],
        "The list begins with the noise: path = [start].",
    ),
)
