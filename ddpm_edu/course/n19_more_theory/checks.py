"""Checks of notebook 19: the score, the weights of the bound, and one step of DDIM with fresh noise."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Function, Mistake, check_function
from ddpm_edu.diffusion.schedule import make_noise_schedule

# ------------------------------------------------------------------------------------------------
# score
# ------------------------------------------------------------------------------------------------


def score_from_noise(function: Function) -> None:
    """Checks `function(epsilon (B, D), alpha_bar (B,)) -> score (B, D)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = []
    for seed, (B, D) in enumerate(((4, 2), (3, 5))):
        generator = torch.Generator().manual_seed(seed)
        alpha_bar = 0.05 + 0.9 * torch.rand(B, generator=generator)
        cases.append({"epsilon": torch.randn(B, D, generator=generator), "alpha_bar": alpha_bar})
    check_function(
        "score_from_noise",
        function,
        _score,
        SCORE_MISTAKES,
        cases,
        "A network that names the noise has named the way uphill.",
    )


def _score(epsilon: Tensor, alpha_bar: Tensor) -> Tensor:
    return -epsilon / (1 - alpha_bar).sqrt()[:, None]


SCORE_MISTAKES = (
    Mistake(
        "points downhill",
        lambda e, a: -_score(e, a),
        "Noise led away from the data; where probability grows lies the other way: a minus.",
    ),
    Mistake(
        "divides by the variance of the noise",
        lambda e, a: -e / (1 - a)[:, None],
        "x - √ᾱ x_0 is √(1 - ᾱ) ε, and it is *that* which is divided by 1 - ᾱ: one root is left.",
    ),
    Mistake(
        "multiplies where it must divide",
        lambda e, a: -e * (1 - a).sqrt()[:, None],
        "With little noise the hills are steep: the score grows as 1 - ᾱ shrinks.",
    ),
    Mistake(
        "takes the signal's share for the noise's",
        lambda e, a: -e / a.sqrt()[:, None],
        "The noise in x has the deviation √(1 - ᾱ).",
    ),
    Mistake(
        "leaves the scale out",
        lambda e, a: -e,
        "ε has variance 1 at every level; the score has not.",
    ),
)


# ------------------------------------------------------------------------------------------------
# the bound
# ------------------------------------------------------------------------------------------------


def bound_weights(function: Function) -> None:
    """Checks `function(beta (K,)) -> (K-1,)`: what the bound multiplies the squared error of step 1 … K-1 by.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    check_function(
        "bound_weights",
        function,
        _weights,
        WEIGHT_MISTAKES,
        [{"beta": make_noise_schedule(K).beta_float64} for K in (10, 40)],
        "What L_simple drops.",
        tolerance=1e-5,
    )


def _weights(beta: Tensor, before: bool = True, half: bool = True, large: bool = False) -> Tensor:
    alpha_bar = (1 - beta).cumprod(dim=0)
    b, bar, last = beta[1:], alpha_bar[1:], alpha_bar[:-1]
    variance = b if large else (1 - last) / (1 - bar) * b
    weights = b**2 / (variance * (1 - b) * (1 - (bar if before else last)))
    return weights / 2 if half else weights


WEIGHT_MISTAKES = (
    Mistake(
        "leaves out the one half",
        lambda beta: _weights(beta, half=False),
        "Between two Gaussians of equal variance: the squared distance over *twice* the variance.",
    ),
    Mistake(
        "takes beta for the variance of the step back",
        lambda beta: _weights(beta, large=True),
        "sigma² = (1 - ᾱ_{k-1}) / (1 - ᾱ_k) · β_k: the variance of x_{k-1} when both x_k and x_0 are known.",
    ),
    Mistake(
        "takes alpha_bar of the step before in the last factor",
        lambda beta: _weights(beta, before=False),
        "The error of ε reaches the mean with β_k / √(1 - ᾱ_k), of the same k.",
    ),
    Mistake(
        "returns all K steps",
        lambda beta: torch.cat([torch.full_like(beta[:1], float("inf")), _weights(beta)]),
        "The first step has no variance to divide by; the bound has another term for it. Begin with k = 1.",
    ),
    Mistake(
        "leaves out the growth of the step, 1 / (1 - beta)",
        lambda beta: _weights(beta) * (1 - beta[1:]),
        "The mean is 1/√(1 - β_k) · (x - …): squared, a factor 1 / (1 - β_k).",
    ),
)


# ------------------------------------------------------------------------------------------------
# DDIM with eta
# ------------------------------------------------------------------------------------------------


def ddim_with_eta(function: Function) -> None:
    """Checks `function(x, epsilon, here, there, eta, noise) -> x at the next level (B, D)`.

    Axes: x (B, D), epsilon (B, D) and noise (B, D).

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = []
    levels = ((0.2, 0.6, 0.7), (0.05, 0.3, 1.0), (0.7, 1.0, 0.5), (0.3, 0.5, 0.2))
    for seed, (here, there, eta) in enumerate(levels):
        generator = torch.Generator().manual_seed(seed)
        x, epsilon, noise = torch.randn(3, 4, 2, generator=generator)
        numbers = {"here": torch.tensor(here), "there": torch.tensor(there), "eta": torch.tensor(eta)}
        cases.append({"x": x, "epsilon": epsilon, **numbers, "noise": noise})
    check_function(
        "ddim_with_eta",
        function,
        _ddim,
        DDIM_MISTAKES,
        cases,
        "From no fresh noise at all to DDPM, by one number.",
        tolerance=1e-5,
    )


def _ddim(
    x: Tensor,
    epsilon: Tensor,
    here: Tensor,
    there: Tensor,
    eta: Tensor,
    noise: Tensor,
    room: bool = True,
    fresh: bool = True,
    power: float = 1.0,
) -> Tensor:
    clean = (x - (1 - here).sqrt() * epsilon) / here.sqrt()
    share = (1 - there) / (1 - here) * (1 - here / there)
    sigma = eta * share.sqrt() ** power
    kept = (1 - there - sigma**2).clamp(min=0).sqrt() if room else (1 - there).sqrt()
    return there.sqrt() * clean + kept * epsilon + (sigma * noise if fresh else 0)


DDIM_MISTAKES = (
    Mistake(
        "adds fresh noise and keeps all of the old",
        lambda x, e, h, t, eta, n: _ddim(x, e, h, t, eta, n, room=False),
        "The variances must add up to 1 - ᾱ_j: the old noise keeps only √(1 - ᾱ_j - sigma²).",
    ),
    Mistake(
        "makes room for fresh noise and adds none",
        lambda x, e, h, t, eta, n: _ddim(x, e, h, t, eta, n, fresh=False),
        "Then x has too little noise for its level. Add sigma times the noise.",
    ),
    Mistake(
        "takes the variance for the deviation",
        lambda x, e, h, t, eta, n: _ddim(x, e, h, t, eta, n, power=2.0),
        "sigma = eta times the *root* of the share.",
    ),
    Mistake(
        "leaves eta out: it is DDIM without fresh noise",
        lambda x, e, h, t, eta, n: _ddim(x, e, h, t, torch.zeros_like(eta), n),
        "sigma grows with eta; with eta = 0 you see what you have.",
    ),
    Mistake(
        "leaves eta out: it is DDPM whatever eta is",
        lambda x, e, h, t, eta, n: _ddim(x, e, h, t, torch.ones_like(eta), n),
        "sigma grows with eta; yours is that of eta = 1.",
    ),
)
