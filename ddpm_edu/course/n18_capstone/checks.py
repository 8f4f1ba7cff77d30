"""Checks of notebook 18: the noise levels, the loss and the sampler of a whole policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function
from ddpm_edu.diffusion.schedule import make_noise_schedule

Predict = Callable[[Tensor, Tensor], Tensor]


def _network(weight: Tensor) -> Predict:
    """A network in miniature that reacts to the trajectory and to the diffusion step."""

    def predict(noisy: Tensor, k: Any) -> Tensor:
        step = torch.as_tensor(k, dtype=noisy.dtype).reshape(-1, 1, 1)  # (B or 1, 1, 1)
        return torch.tanh(noisy @ weight) * (1 + 0.05 * step)

    return predict


def _by_step(coefficient: Tensor, k: Tensor) -> Tensor:
    return coefficient[k][:, None, None]  # (B, 1, 1)


# ------------------------------------------------------------------------------------------------
# noise levels
# ------------------------------------------------------------------------------------------------


def noise_levels(function: Function) -> None:
    """Checks `function(K) -> alpha_bar (K,)`, K a whole number.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    check_function(
        "noise_levels",
        function,
        _levels,
        LEVEL_MISTAKES,
        [{"K": K} for K in (2, 7, 100)],
        "From nearly all signal to nearly none, and never quite none.",
        tolerance=1e-6,
    )


def _curve(K: int, offset: float = 0.008, power: int = 2) -> Tensor:
    u = torch.arange(K + 1, dtype=torch.float64) / K
    return torch.cos((u + offset) / (1 + offset) * torch.pi / 2) ** power  # (K+1,)


def _from_curve(curve: Tensor, cap: float = 0.999) -> Tensor:
    beta = (1 - curve[1:] / curve[:-1]).clamp(max=cap)  # (K,)
    return (1 - beta).cumprod(dim=0)  # (K,)


def _levels(K: int) -> Tensor:
    return _from_curve(_curve(K))


LEVEL_MISTAKES = (
    Mistake(
        "returns the betas, one for each step",
        lambda K: (1 - _curve(K)[1:] / _curve(K)[:-1]).clamp(max=0.999),
        "What is left after step k is the product of all 1 - beta up to k: cumprod.",
    ),
    Mistake(
        "does not cap the last beta at 0.999",
        lambda K: _from_curve(_curve(K), 1.0),
        "The curve ends at 0, and the sampler would divide by its root. Clamp beta before the product.",
    ),
    Mistake(
        "begins before the first step: its first entry is 1",
        lambda K: _curve(K)[:-1] / _curve(K)[0],
        "Index 0 belongs to the first step, after which some noise is there: use f(1/K), …, f(1).",
    ),
    Mistake(
        "leaves the cosine unsquared",
        lambda K: _from_curve(_curve(K, power=1)),
        "alpha_bar is the share of the variance; f is the *squared* cosine.",
    ),
    Mistake(
        "leaves out the offset 0.008",
        lambda K: _from_curve(_curve(K, offset=0.0)),
        "The small offset keeps the first betas from being too small to see (Nichol and Dhariwal 2021).",
    ),
    Mistake(
        "takes betas that grow evenly",
        lambda K: (1 - torch.linspace(1e-4, 0.02, K, dtype=torch.float64)).cumprod(dim=0),
        "That is the schedule of Ho et al., for K = 1000. The weights that you will load know another one.",
    ),
    Mistake(
        "returns the noise's share, 1 - alpha_bar",
        lambda K: 1 - _levels(K),
        "alpha_bar is what is left of the *signal*: near 1 first, near 0 last.",
    ),
)


# ------------------------------------------------------------------------------------------------
# the loss
# ------------------------------------------------------------------------------------------------


def policy_loss(function: Function) -> None:
    """Checks `function(trajectory, noise, k, alpha_bar, predict) -> loss ()`.

    Axes: trajectory (B, T, D), noise (B, T, D), k (B,) and alpha_bar (K,).

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = []
    for seed, (B, T, D, K) in enumerate(((4, 8, 3, 20), (3, 5, 2, 50))):
        generator = torch.Generator().manual_seed(seed)
        trajectory, noise = torch.randn(2, B, T, D, generator=generator)
        k = torch.randint(0, K, (B,), generator=generator)
        alpha_bar = make_noise_schedule(K).alpha_bar
        predict = _network(torch.randn(D, D, generator=generator))
        cases.append(
            {"trajectory": trajectory, "noise": noise, "k": k, "alpha_bar": alpha_bar, "predict": predict}
        )
    check_function(
        "policy_loss",
        function,
        _loss,
        LOSS_MISTAKES,
        cases,
        "One step of training, without the optimiser: this is all of it.",
    )


def _noisy(x: Tensor, noise: Tensor, k: Tensor, alpha_bar: Tensor) -> Tensor:
    share = _by_step(alpha_bar, k)
    return share.sqrt() * x + (1 - share).sqrt() * noise  # (B, T, D)


def _loss(trajectory: Tensor, noise: Tensor, k: Tensor, alpha_bar: Tensor, predict: Function) -> Tensor:
    return (predict(_noisy(trajectory, noise, k, alpha_bar), k) - noise).square().mean()


LOSS_MISTAKES = (
    Mistake(
        "compares the prediction with the trajectory",
        lambda x, e, k, a, predict: (predict(_noisy(x, e, k, a), k) - x).square().mean(),
        "The network of this policy names the *noise* (prediction type epsilon).",
    ),
    Mistake(
        "adds the noise as it is, without scaling either",
        lambda x, e, k, a, predict: (predict(x + e, k) - e).square().mean(),
        "So the outline writes it; but then every k is equally noisy. Scale: sqrt(a) x + sqrt(1 - a) e.",
    ),
    Mistake(
        "scales with the variances, not with their roots",
        lambda x, e, k, a, predict: (
            (predict(_by_step(a, k) * x + (1 - _by_step(a, k)) * e, k) - e).square().mean()
        ),
        "alpha_bar is a share of variance; what is multiplied by is its square root.",
    ),
    Mistake(
        "gives every trajectory the diffusion step of the first",
        lambda x, e, k, a, predict: (
            (predict(_noisy(x, e, k[:1].expand(len(x)), a), k[:1]) - e).square().mean()
        ),
        "k is (B,): one step for each trajectory. alpha_bar[k] is (B,) too, and wants two more axes.",
    ),
    Mistake(
        "shows the network the clean trajectory",
        lambda x, e, k, a, predict: (predict(x, k) - e).square().mean(),
        "Then there is no noise to find. Predict from the noisy trajectory.",
    ),
    Mistake(
        "exchanges signal and noise",
        lambda x, e, k, a, predict: (predict(_noisy(e, x, k, a), k) - e).square().mean(),
        "sqrt(alpha_bar) belongs to the trajectory: at k = 0 nearly all of it is left.",
    ),
    Mistake(
        "returns the sum",
        lambda x, e, k, a, predict: (predict(_noisy(x, e, k, a), k) - e).square().sum(),
        "Take the mean, or the learning rate depends on the batch and the horizon.",
    ),
)


# ------------------------------------------------------------------------------------------------
# the sampler
# ------------------------------------------------------------------------------------------------


def policy_sample(function: Function) -> None:
    """Checks `function(noise, alpha_bar, levels, predict) -> trajectory (B, T, D)`, DDIM without noise.

    Axes: noise (B, T, D), alpha_bar (K,) and levels (L,).

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    check_function(
        "policy_sample",
        function,
        _sample,
        SAMPLE_MISTAKES,
        _sample_cases(),
        "Out of noise, level by level, to a trajectory without any.",
    )


def _sample_cases() -> list[Arguments]:
    cases = []
    for seed, (B, T, D, K, levels) in enumerate(((3, 6, 2, 20, (19, 13, 8, 2)), (2, 4, 3, 50, (49, 30, 9)))):
        generator = torch.Generator().manual_seed(seed)
        cases.append(
            {
                "noise": torch.randn(B, T, D, generator=generator),
                "alpha_bar": make_noise_schedule(K).alpha_bar,
                "levels": torch.tensor(levels),
                "predict": _network(0.5 * torch.randn(D, D, generator=generator)),
            }
        )
    return cases


def _sample(
    noise: Tensor,
    alpha_bar: Tensor,
    levels: Tensor,
    predict: Function,
    clip: bool = True,
    again: bool = False,
    roots: bool = True,
    neighbours: bool = False,
    finish: bool = True,
    told: int | None = None,
) -> Tensor:
    """The right sampler; each option is a mistake."""
    x = noise
    for step, k in enumerate(levels.tolist()):
        last = step + 1 == len(levels)
        a = alpha_bar[k]
        if neighbours:
            b = alpha_bar[k - 1]
        elif last:
            b = torch.tensor(1.0) if finish else alpha_bar[0]
        else:
            b = alpha_bar[levels[step + 1]]
        power = 0.5 if roots else 1.0
        epsilon = predict(x, k if told is None else told)
        clean = (x - (1 - a) ** power * epsilon) / a**power
        if clip:
            clean = clean.clamp(-1, 1)
        if again:
            epsilon = (x - a.sqrt() * clean) / (1 - a).sqrt()
        x = b**power * clean + (1 - b) ** power * epsilon
    return x


SAMPLE_MISTAKES = (
    Mistake(
        "does not clip the clean trajectory to [-1, 1]",
        lambda e, a, k, predict: _sample(e, a, k, predict, clip=False),
        "Near pure noise, x is divided by a root near 0: a small error becomes a huge motion. Clamp x_0.",
    ),
    Mistake(
        "computes the noise anew after clipping",
        lambda e, a, k, predict: _sample(e, a, k, predict, again=True),
        "A fair choice, but not that of diffusers' DDIM, nor of the policy whose weights you will load: "
        "keep the network's own epsilon.",
    ),
    Mistake(
        "takes the shares of variance where their roots are meant",
        lambda e, a, k, predict: _sample(e, a, k, predict, roots=False),
        "x = sqrt(a) x_0 + sqrt(1 - a) epsilon: the roots, both in taking apart and in putting together.",
    ),
    Mistake(
        "goes from k to k - 1, not to the next level that is visited",
        lambda e, a, k, predict: _sample(e, a, k, predict, neighbours=True),
        "Ten of a hundred levels are visited: the next one is levels[step + 1].",
    ),
    Mistake(
        "stops at the lowest level and leaves a little noise",
        lambda e, a, k, predict: _sample(e, a, k, predict, finish=False),
        "After the last level comes the clean trajectory: there alpha_bar is 1.",
    ),
    Mistake(
        "tells the network the same step every time",
        lambda e, a, k, predict: _sample(e, a, k, predict, told=int(k[0])),
        "The network must know how much noise to look for: predict(x, k) with the level that x is at.",
    ),
    Mistake(
        "visits the levels from below",
        lambda e, a, k, predict: _sample(e, a, k.flip(0), predict),
        "Noise comes first: the levels stand in the order in which they are visited.",
    ),
)
