"""Check of notebook 06: DDPM's walk over some of the levels only."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function


def few_steps(function: Function) -> None:
    """Checks `function(denoise, start, noise, levels, alpha_bar) -> sample (B, T, Da)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases: list[Arguments] = []
    for seed, (levels, (B, T, Da)) in enumerate(
        (([9, 6, 3, 0], (3, 4, 2)), ([8, 4, 1], (2, 5, 3)), ([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], (2, 3, 4)))
    ):
        generator = torch.Generator().manual_seed(seed)
        cases.append(
            {
                "denoise": _denoiser,
                "start": torch.randn(B, T, Da, generator=generator),
                "noise": torch.randn(len(levels), B, T, Da, generator=generator),
                "levels": torch.tensor(levels),
                "alpha_bar": torch.linspace(0.97, 0.03, 10),
            }
        )
    check_function(
        "few_steps",
        function,
        _few_steps,
        FEW_STEPS_MISTAKES,
        cases,
        "DDPM over any levels: two neighbouring alpha-bars are all that a step needs.",
    )


def _denoiser(x: Tensor, k: Tensor) -> Tensor:
    return 1.4 * x.tanh() + 0.05 * k


def _few_steps(
    denoise: Function,
    start: Tensor,
    noise: Tensor,
    levels: Tensor,
    alpha_bar: Tensor,
    neighbour: bool = False,
    clipped: bool = True,
    large: bool = False,
    last_noise: bool = False,
    rooted: bool = True,
    reverse: bool = False,
    own: bool = True,
    anew: bool = False,
    roots: bool = True,
    calm: bool = False,
) -> Tensor:
    """The right walk; each option is a mistake."""
    x, one = start, torch.ones(())
    order = levels.flip(0) if reverse else levels
    for i, k in enumerate(order):
        here, last = alpha_bar[k], i + 1 == len(order)
        if neighbour:
            before = alpha_bar[k - 1] if k > 0 else one
        else:
            before = one if last else alpha_bar[order[i + 1]]
        beta = 1 - here / before
        epsilon = denoise(x, k)
        clean = (x - (1 - here).sqrt() * epsilon) / here.sqrt()
        clean = clean.clamp(-1, 1) if clipped else clean
        if anew:
            x = before.sqrt() * clean + (1 - before).sqrt() * noise[i]
            continue
        a, s = (before.sqrt(), (1 - beta).sqrt()) if roots else (before, 1 - beta)
        mean = (a * beta * clean + s * (1 - before) * x) / (1 - here)
        variance = beta if large or (last and last_noise) else (1 - before) / (1 - here) * beta
        if last and calm:
            variance = torch.zeros(())
        x = mean + (variance.sqrt() if rooted else variance) * noise[i if own else 0]
    return x


FEW_STEPS_MISTAKES = (
    Mistake(
        "takes alpha-bar of the level k - 1, though the walk goes on further down",
        lambda *a: _few_steps(*a, neighbour=True),
        "`before` belongs to the next level that is visited: alpha_bar[levels[i + 1]], and 1 after the last.",
    ),
    Mistake(
        "does not clip the predicted clean trajectory",
        lambda *a: _few_steps(*a, clipped=False),
        "clean.clamp(-1, 1), before the mean is computed.",
    ),
    Mistake(
        "adds noise of variance beta, not beta tilde",
        lambda *a: _few_steps(*a, large=True),
        "(1 - before) / (1 - here) * beta is the variance of the step that knows the clean trajectory.",
    ),
    Mistake(
        "adds noise of variance beta, not beta tilde, in all steps but the last",
        lambda *a: _few_steps(*a, large=True, calm=True),
        "(1 - before) / (1 - here) * beta is smaller, and 0 in the last step by itself.",
    ),
    Mistake(
        "adds noise in the last step",
        lambda *a: _few_steps(*a, last_noise=True),
        "With before = 1 the variance is 0 by itself.",
    ),
    Mistake(
        "multiplies the noise by the variance, not by its root",
        lambda *a: _few_steps(*a, rooted=False),
        "What multiplies noise is a deviation.",
    ),
    Mistake(
        "makes the clean guess noisy anew, and forgets x",
        lambda *a: _few_steps(*a, anew=True),
        "The posterior's mean has two parts: the clean guess, and x as it is.",
    ),
    Mistake(
        "walks from little noise to much",
        lambda *a: _few_steps(*a, reverse=True),
        "`levels` fall: begin with the first.",
    ),
    Mistake(
        "uses the same noise in all steps",
        lambda *a: _few_steps(*a, own=False),
        "noise[i] is for step i.",
    ),
    Mistake(
        "leaves out the roots in the two weights",
        lambda *a: _few_steps(*a, roots=False),
        "What multiplies a trajectory carries a root: sqrt(before) and sqrt(alpha).",
    ),
)
