"""Check of notebook 19: a sampler with guidance, clipping and any eta."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function


def guided_walk(function: Function) -> None:
    """Checks `function(told, untold, w, start, noise, levels, alpha_bar, eta) -> samples (B, D)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases: list[Arguments] = []
    for seed, (levels, w, eta, B) in enumerate(
        (([7, 5, 2, 0], 1.5, 0.7, 4), ([6, 3, 1], 0.5, 1.0, 3), ([7, 4, 0], 2.0, 0.0, 5))
    ):
        generator = torch.Generator().manual_seed(seed)
        cases.append(
            {
                "told": _told,
                "untold": _untold,
                "w": w,
                "start": torch.randn(B, 2, generator=generator),
                "noise": torch.randn(len(levels), B, 2, generator=generator),
                "levels": torch.tensor(levels),
                "alpha_bar": torch.linspace(0.98, 0.05, 8),
                "eta": eta,
            }
        )
    check_function(
        "guided_walk",
        function,
        _guided_walk,
        GUIDED_MISTAKES,
        cases,
        "Guidance, clipping and eta in one sampler: the last step adds nothing, whatever eta is.",
    )


def _told(x: Tensor, k: Tensor) -> Tensor:
    return 0.9 * x + 0.4 - 0.02 * k


def _untold(x: Tensor, k: Tensor) -> Tensor:
    return 0.7 * x.tanh() + 0.03 * k


def _guided_walk(
    told: Function,
    untold: Function,
    w: float,
    start: Tensor,
    noise: Tensor,
    levels: Tensor,
    alpha_bar: Tensor,
    eta: float,
    others: bool = False,
    exchanged: bool = False,
    clipped: bool = True,
    kept_all: bool = False,
    neighbour: bool = False,
    squared: bool = True,
    plus: bool = False,
    own_noise: bool = False,
) -> Tensor:
    """The right walk; each option is a mistake."""
    x = start
    for i, k in enumerate(levels):
        here, last = alpha_bar[k], i + 1 == len(levels)
        there = torch.ones(()) if last else alpha_bar[levels[i + 1]]
        if neighbour:
            there = alpha_bar[k - 1] if k > 0 else torch.ones(())
        a, b = (untold(x, k), told(x, k)) if exchanged else (told(x, k), untold(x, k))
        epsilon = b + (w if others else 1 + w) * (a - b)  # (B, D)
        epsilon = (1 + w) * a + w * b if plus else epsilon
        clean = (x - (1 - here).sqrt() * epsilon) / here.sqrt()  # (B, D)
        clean = clean.clamp(-1, 1) if clipped else clean
        if own_noise:
            epsilon = (x - here.sqrt() * clean) / (1 - here).sqrt()
        sigma = eta * ((1 - there) / (1 - here) * (1 - here / there)).sqrt()
        taken = sigma**2 if squared else sigma
        kept = (1 - there - (0 if kept_all else taken)).clamp(min=0).sqrt()
        x = there.sqrt() * clean + kept * epsilon + sigma * noise[i]
    return x


GUIDED_MISTAKES = (
    Mistake(
        "counts w as other libraries do",
        lambda *a: _guided_walk(*a, others=True),
        "Here w = 0 is the conditional answer: the factor is 1 + w.",
    ),
    Mistake(
        "exchanges the two answers",
        lambda *a: _guided_walk(*a, exchanged=True),
        "From the answer without a condition towards the one with it, and beyond.",
    ),
    Mistake(
        "does not clip the clean guess",
        lambda *a: _guided_walk(*a, clipped=False),
        "Guidance pushes outwards: clamp(-1, 1) keeps the guess where data can be.",
    ),
    Mistake(
        "adds fresh noise and takes no old noise away",
        lambda *a: _guided_walk(*a, kept_all=True),
        "The variances add up to 1 - there: kept = sqrt(1 - there - sigma**2).",
    ),
    Mistake(
        "takes sigma off, not its square",
        lambda *a: _guided_walk(*a, squared=False),
        "sigma is a deviation; what is taken off under the root is a variance.",
    ),
    Mistake(
        "takes the level k - 1 for the next one",
        lambda *a: _guided_walk(*a, neighbour=True),
        "The next level is levels[i + 1]; after the last, alpha-bar is 1.",
    ),
    Mistake(
        "adds the answer without a condition, where it is subtracted",
        lambda *a: _guided_walk(*a, plus=True),
        "(1 + w) · told - w · untold: a minus.",
    ),
    Mistake(
        "computes the noise anew from the clipped guess",
        lambda *a: _guided_walk(*a, own_noise=True),
        "Here the guided noise stays as it is, as in diffusers unless it is told otherwise.",
    ),
)
