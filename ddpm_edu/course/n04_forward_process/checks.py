"""Checks of notebook 04: alpha_bar and the closed form of the forward process, and known mistakes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import (
    Arguments,
    Function,
    Mistake,
    check_function,
)
from ddpm_edu.diffusion.schedule import squared_cosine_betas

# Neither growing nor falling: in a tidy schedule some mistakes give nearly the right numbers.
BETAS = torch.tensor([0.08, 0.3, 0.02, 0.15, 0.4, 0.05, 0.22, 0.1])  # (K,)


# ------------------------------------------------------------------------------------------------
# alpha_bar from the betas
# ------------------------------------------------------------------------------------------------


def alpha_bar(function: Function) -> None:
    """Checks `function(betas (K,)) -> alpha_bar (K,)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = [{"betas": BETAS}, {"betas": BETAS[:3]}, {"betas": squared_cosine_betas(100).float()}]
    check_function(
        "alpha_bar", function, _alpha_bar, ALPHA_BAR_MISTAKES, cases, "You have every step's share of signal."
    )


def _alpha_bar(betas: Tensor) -> Tensor:
    return torch.cumprod(1 - betas, dim=0)  # (K,)


def _one_step_late(series: Tensor) -> Tensor:
    return torch.cat([torch.ones(1), series[:-1]])  # (K,)


_PRODUCT = (
    "What is left after k steps is a share of a share of a share: multiply the alphas, alpha = 1 - beta."
)
_ZERO_BASED = (
    "k counts from 0 here, as in diffusers: alpha_bar[0] already holds the step that beta[0] describes."
)

ALPHA_BAR_MISTAKES = (
    Mistake(
        "returns alpha, what each single step keeps",
        lambda betas: 1 - betas,
        "alpha_bar is what all steps up to k keep together. Which function multiplies cumulatively?",
    ),
    Mistake("multiplies the betas, not the alphas", lambda betas: betas.cumprod(0), _PRODUCT),
    Mistake(
        "returns 1 minus the product of the betas",
        lambda betas: 1 - betas.cumprod(0),
        "Take 1 - beta first, then multiply: the product of (1 - beta) is not 1 - the product of beta.",
    ),
    Mistake(
        "returns the noise's share, 1 - alpha_bar",
        lambda betas: 1 - _alpha_bar(betas),
        "alpha_bar is the signal's share: it begins near 1 and falls.",
    ),
    Mistake(
        "returns the square root of alpha_bar",
        lambda betas: _alpha_bar(betas).sqrt(),
        "alpha_bar itself is a share of variance. The root comes later, where it scales a trajectory.",
    ),
    Mistake("adds the alphas", lambda betas: (1 - betas).cumsum(0), _PRODUCT),
    Mistake(
        "subtracts the betas from 1",
        lambda betas: 1 - betas.cumsum(0),
        "Each step takes its share of what is left, not of the whole: this becomes negative. " + _PRODUCT,
    ),
    Mistake(
        "returns exp(-sum of beta)",
        lambda betas: torch.exp(-betas.cumsum(0)),
        "That is the limit of infinitely many tiny steps. For these betas the product of 1 - beta is exact.",
    ),
    Mistake(
        "is one step late: it begins with 1", lambda betas: _one_step_late(_alpha_bar(betas)), _ZERO_BASED
    ),
    Mistake(
        "is one step late and wraps around: the last entry stands first",
        lambda betas: _alpha_bar(betas).roll(1),
        _ZERO_BASED,
    ),
    Mistake(
        "returns one number, the product of all alphas",
        lambda betas: (1 - betas).prod(),
        "Every step has its own alpha_bar: K numbers. Which function multiplies cumulatively?",
    ),
    Mistake(
        "multiplies from the end",
        lambda betas: _alpha_bar(betas.flip(0)).flip(0),
        "Noise is added from k = 0 on, so alpha_bar[k] holds the steps 0 to k.",
    ),
)


# ------------------------------------------------------------------------------------------------
# the closed form
# ------------------------------------------------------------------------------------------------


def forward_process(function: Function) -> None:
    """Checks `function(clean (B, T, Da), noise (B, T, Da), timestep (B,), betas (K,)) -> (B, T, Da)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    check_function(
        "forward_process",
        function,
        _add_noise,
        forward_process_mistakes(),
        _forward_cases(),
        "It holds for each sample of a batch at its own k, the first and the last included.",
    )


def _forward_cases() -> list[Arguments]:
    """B unlike T and Da, then B = T, then B = Da: wrong broadcasting raises in the first only.

    The last one stays below the last k: what asks for an entry after it raises in the others only.
    """
    generator = torch.Generator().manual_seed(4)
    cases = []
    for B, T, Da, K in ((5, 4, 3, 8), (4, 4, 3, 7), (3, 4, 3, 8), (3, 3, 3, 6)):
        clean, noise = torch.randn(2, B, T, Da, generator=generator)
        timestep = torch.tensor([3, 0, 4 if T == 3 else K - 1, 5, 1])[:B]
        cases.append({"clean": clean, "noise": noise, "timestep": timestep, "betas": BETAS[:K]})
    return cases


def _add_noise(clean: Tensor, noise: Tensor, timestep: Tensor, betas: Tensor) -> Tensor:
    alpha_bar = torch.cumprod(1 - betas, dim=0)[timestep].reshape(-1, 1, 1)  # (B, 1, 1)
    return alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise  # (B, T, Da)


Scale = Callable[[Tensor, Tensor], Tensor]
"""From alpha_bar (K,) and alpha (K,) to the scale of each step (K,)."""


class _ForwardProcess:
    """x_k = signal_scale x_0 + noise_scale epsilon; right by default, and each part can be put wrong."""

    def __init__(
        self,
        signal: Scale = lambda alpha_bar, alpha: alpha_bar.sqrt(),
        noise: Scale = lambda alpha_bar, alpha: (1 - alpha_bar).sqrt(),
        share: Callable[[Tensor], Tensor] = _alpha_bar,
        pick: Callable[[Tensor, Tensor], Tensor] = lambda scale, k: scale[k][:, None, None],
    ) -> None:
        self.signal, self.noise, self.share, self.pick = signal, noise, share, pick

    def __call__(self, clean: Tensor, noise: Tensor, timestep: Tensor, betas: Tensor) -> Tensor:
        share, alpha = self.share(betas), 1 - betas  # (K,)
        signal_scale, noise_scale = self.signal(share, alpha), self.noise(share, alpha)  # (K,)
        return self.pick(signal_scale, timestep) * clean + self.pick(noise_scale, timestep) * noise


_VARIANCE = "alpha_bar is a share of the variance; what multiplies a trajectory is its square root."
_ALL_STEPS = (
    "alpha_k is what one step keeps. From x_0 straight to x_k it takes alpha_bar_k, all steps up to k."
)
_SIGNAL_SCALES: tuple[tuple[str, Scale, str], ...] = (
    ("scales the signal by alpha_bar, without the square root", lambda ab, a: ab, _VARIANCE),
    (
        "scales the signal by sqrt(alpha), of one step, not sqrt(alpha_bar)",
        lambda ab, a: a.sqrt(),
        _ALL_STEPS,
    ),
    ("scales the signal by alpha, of one step", lambda ab, a: a, _ALL_STEPS),
    (
        "does not scale the signal",
        lambda ab, a: torch.ones_like(ab),
        "The signal must shrink as the noise grows, or the variance grows without end.",
    ),
    (
        "scales the signal by sqrt(1 - alpha_bar), which is for the noise",
        lambda ab, a: (1 - ab).sqrt(),
        "At k = 0 nearly all is signal: alpha_bar is close to 1 there. Which factor must be close to 1?",
    ),
    (
        "scales the signal by sqrt(beta)",
        lambda ab, a: (1 - a).sqrt(),
        "beta is the variance of one step's noise. The signal keeps alpha_bar of its variance.",
    ),
    ("leaves the signal out", lambda ab, a: torch.zeros_like(ab), "x_k is a sum of two: signal and noise."),
)
_NOISE_SCALES: tuple[tuple[str, Scale, str], ...] = (
    (
        "scales the noise by 1 - alpha_bar, without the square root",
        lambda ab, a: 1 - ab,
        "1 - alpha_bar is the noise's variance; what multiplies the noise is its square root.",
    ),
    (
        "scales the noise by 1 - sqrt(alpha_bar)",
        lambda ab, a: 1 - ab.sqrt(),
        "Variances add to 1, not factors: the noise's factor is sqrt(1 - alpha_bar).",
    ),
    (
        "scales the noise by sqrt(beta), of one step",
        lambda ab, a: (1 - a).sqrt(),
        "beta is what one step adds. From x_0 straight to x_k it is all steps' noise: 1 - alpha_bar.",
    ),
    (
        "scales the noise by beta",
        lambda ab, a: 1 - a,
        "beta is a variance, and of one step only. All steps' noise has the variance 1 - alpha_bar.",
    ),
    (
        "scales the noise by sqrt(1 - beta), what one step keeps of the signal",
        lambda ab, a: a.sqrt(),
        "The noise's factor must grow with k, from near 0 to 1: sqrt(1 - alpha_bar).",
    ),
    (
        "scales the noise by sqrt(alpha_bar), which is for the signal",
        lambda ab, a: ab.sqrt(),
        "At k = 0 there is hardly any noise: which factor is close to 0 there?",
    ),
    (
        "scales the noise by sqrt(1 - alpha_bar²)",
        lambda ab, a: (1 - ab**2).sqrt(),
        "alpha_bar is a share of variance already; do not square it.",
    ),
    (
        "does not scale the noise",
        lambda ab, a: torch.ones_like(ab),
        "Unscaled, the noise is as strong at the first step as at the last.",
    ),
    (
        "subtracts the noise",
        lambda ab, a: -((1 - ab).sqrt()),
        "The distribution is the same, but the denoiser would learn the noise with the wrong sign.",
    ),
    ("leaves the noise out", lambda ab, a: torch.zeros_like(ab), "x_k is a sum of two: signal and noise."),
)
_BOTH_SCALES: tuple[tuple[str, Scale, Scale, str], ...] = (
    ("takes no square roots", lambda ab, a: ab, lambda ab, a: 1 - ab, _VARIANCE),
    (
        "swaps the two scales",
        lambda ab, a: (1 - ab).sqrt(),
        lambda ab, a: ab.sqrt(),
        "At k = 0 nearly all is signal, at the last k nearly all is noise. Yours goes the other way.",
    ),
    (
        "uses alpha where alpha_bar belongs: it takes one step, not all steps up to k",
        lambda ab, a: a.sqrt(),
        lambda ab, a: (1 - a).sqrt(),
        _ALL_STEPS,
    ),
    (
        "returns clean + noise, as the formula of the loss reads when taken literally",
        lambda ab, a: torch.ones_like(ab),
        lambda ab, a: torch.ones_like(ab),
        "The k in A⁰ + εᵏ stands for two scales: sqrt(alpha_bar) and sqrt(1 - alpha_bar).",
    ),
    (
        "divides by the signal's scale: noise grows on an unshrunk signal",
        lambda ab, a: torch.ones_like(ab),
        lambda ab, a: ((1 - ab) / ab).sqrt(),
        "This 'variance exploding' form has its place (Song et al. 2021); here the variance must stay 1.",
    ),
)
_SHARES: tuple[tuple[str, Callable[[Tensor], Tensor], str], ...] = (
    (
        "is off by one step: it takes alpha_bar[k - 1] (at k = 0 the last)",
        lambda betas: _alpha_bar(betas).roll(1),
        _ZERO_BASED + " And index -1 is Python's last entry.",
    ),
    (
        "is off by one step: its alpha_bar begins with 1",
        lambda betas: _one_step_late(_alpha_bar(betas)),
        _ZERO_BASED,
    ),
    (
        "is off by one step: it takes alpha_bar[k + 1]",
        lambda betas: _alpha_bar(betas)[1:],
        _ZERO_BASED + " The last k has no entry after it.",
    ),
    (
        "is off by one step: it takes alpha_bar[k + 1] (at the last k the first)",
        lambda betas: _alpha_bar(betas).roll(-1),
        _ZERO_BASED,
    ),
    ("multiplies the betas where alpha_bar is the product of 1 - beta", lambda b: b.cumprod(0), _PRODUCT),
    ("takes 1 - the sum of betas for alpha_bar", lambda betas: 1 - betas.cumsum(0), _PRODUCT),
    ("takes exp(-sum of beta) for alpha_bar", lambda betas: torch.exp(-betas.cumsum(0)), _PRODUCT),
    (
        "takes the last alpha_bar for every k",
        lambda betas: _alpha_bar(betas)[-1:].expand(len(betas)),
        "Each sample has its own k: index alpha_bar with timestep.",
    ),
)
_PER_SAMPLE = "It must be (B, 1, 1), one scale for each sample: scale[timestep].reshape(-1, 1, 1)."
_PICKS: tuple[tuple[str, Callable[[Tensor, Tensor], Tensor], str], ...] = (
    (
        "broadcasts the scales (B,) along the last axis, the action dimensions",
        lambda scale, k: scale[k],
        "Broadcasting aligns the last axes; it only fails where B is not Da. " + _PER_SAMPLE,
    ),
    (
        "broadcasts the scales (B, 1) along the time axis",
        lambda scale, k: scale[k][:, None],
        "Broadcasting aligns the last axes; it only fails where B is not T. " + _PER_SAMPLE,
    ),
    (
        "uses the first sample's k for the whole batch",
        lambda scale, k: scale[k[0]],
        "In training each sample of a batch has its own random k. " + _PER_SAMPLE,
    ),
)


def forward_process_mistakes() -> Iterator[Mistake]:
    """One mistake, then two at once; lazily, since a right answer needs none of them."""
    for name, signal, noise, hint in _BOTH_SCALES:
        yield Mistake(name, _ForwardProcess(signal, noise), hint)
    for name, signal, hint in _SIGNAL_SCALES:
        yield Mistake(name, _ForwardProcess(signal=signal), hint)
    for name, noise, hint in _NOISE_SCALES:
        yield Mistake(name, _ForwardProcess(noise=noise), hint)
    for name, share, hint in _SHARES:
        yield Mistake(name, _ForwardProcess(share=share), hint)
    for name, pick, hint in _PICKS:
        yield Mistake(name, _ForwardProcess(pick=pick), hint)
    for (name, signal, hint), (also, noise, other_hint) in product(_SIGNAL_SCALES, _NOISE_SCALES):
        hints = hint if hint == other_hint else f"{hint} {other_hint}"
        yield Mistake(f"{name}, and {also}", _ForwardProcess(signal, noise), hints)
    for (name, signal, noise, hint), (also, pick, other_hint) in product(_BOTH_SCALES, _PICKS):
        yield Mistake(
            f"{name}, and {also}", _ForwardProcess(signal, noise, pick=pick), f"{hint} {other_hint}"
        )
    for (name, share, hint), (also, pick, other_hint) in product(_SHARES, _PICKS):
        yield Mistake(f"{name}, and {also}", _ForwardProcess(share=share, pick=pick), f"{hint} {other_hint}")
